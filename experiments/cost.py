"""What a method costs: the numbers it learns, and the time and memory its evaluation takes on this machine.

Not here: what it measures. A cost differs from time to time, so it is never part of a result.
"""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from experiments.events import Cost

_PROCESS = Path("/proc/self")
_OWN = ("experiments.methods.", "experiments.models.")


def learned_parameters(method: object) -> int:
    """Return how many numbers training changes by a gradient; averages of them are not counted again."""
    learned = {id(each): each for each in _parameters(method) if each.requires_grad}
    return sum(each.numel() for each in learned.values())


def _parameters(holder: object) -> Iterator[nn.Parameter]:
    for value in vars(holder).values():
        if isinstance(value, nn.Module):
            yield from value.parameters()
        elif type(value).__module__.startswith(_OWN):
            yield from _parameters(value)


class CostMeter:
    """Measures what happens inside a `with` block: `cost(episodes)` afterwards."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __enter__(self) -> "CostMeter":
        self._before = self._reset()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._started
        self._peak = None if self._before is None else max(self._highest() - self._before, 0)

    def cost(self, episodes: int, parameters: int | None = None) -> Cost:
        """Return the seconds of each of so many episodes, and the most memory all of it took at a time."""
        return Cost(self._seconds / episodes, self._peak, parameters)

    def _reset(self) -> int | None:
        """Forget the peak so far; return the bytes in use, None where the system does not tell."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device)
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # else what training has freed would be used again unseen
        try:
            (_PROCESS / "clear_refs").write_text("5", encoding="ascii")
            pages = int((_PROCESS / "statm").read_text(encoding="ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return None

    def _highest(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        lines = (_PROCESS / "status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
