"""What a job may compute on.

Not here: how a method uses it.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.machine import requested_threads, usable_cores
from fsrun.errors import UsageError

if TYPE_CHECKING:
    import torch


def check_device(name: str) -> None:
    """Raise UsageError for a device that does not exist; imports torch only where a GPU is named."""
    if name in ("auto", "cpu"):
        return
    if not re.fullmatch(r"cuda(:\d+)?|mps", name):
        raise UsageError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps")
    import torch  # seconds; only where a GPU is asked for

    if name == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError(
                f"device mps: torch {torch.__version__} sees no Apple GPU here: use --device cpu"
            )
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise UsageError(f"device {name}: torch {torch.__version__} sees no CUDA GPU here: use --device cpu")
    if int(name.partition(":")[2] or 0) >= count:
        raise UsageError(
            f"device {name}: there are {count} GPUs, cuda:0 to cuda:{count - 1}: name one of them"
        )


def check_gpus(processes: int, device: str) -> None:
    """Raise UsageError for a device that does not exist, or where there are fewer GPUs than processes.

    On the CPU processes share the cores, so that what needs several GPUs can be tried without any.
    """
    check_device(device)
    if processes == 1 or device == "cpu":
        return
    if device == "mps" or ":" in device:
        raise UsageError(
            f"--gpus {processes} with --device {device}: name no single GPU; CUDA_VISIBLE_DEVICES says which"
        )
    import torch  # seconds; only where GPUs are asked for

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < processes:
        there = f"torch {torch.__version__} sees {count or 'no'} CUDA GPU{'s' * (count > 1)} here"
        raise UsageError(
            f"--gpus {processes}: {there}: "
            + (f"use --gpus {count}" if count > 1 else "leave it out")
            + f", or --device cpu for {processes} processes that share the cores"
        )


def resolve_device(name: str) -> "torch.device":
    """Return the device of a checked name; auto is the first CUDA GPU, or the CPU where there is none."""
    import torch

    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def device_of(rank: int, device: "torch.device") -> "torch.device":
    """Return what one of several processes computes on: a GPU each, or the CPU together."""
    import torch

    return torch.device("cuda", rank) if device.type == "cuda" else device


def share_cores(processes: int) -> int:
    """Have torch compute with this process's share of the cores, and return how many these are."""
    import torch

    cores = _cores_each(processes)
    torch.set_num_threads(min(cores, torch.get_num_threads()))
    return cores


def has_bfloat16(described: Path = Path("/proc/cpuinfo")) -> bool:
    """Say whether the CPU multiplies bfloat16 itself; where it is not told, as off Linux, no."""
    try:
        flags = described.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags.split())


def thread_count(experiment: str, processes: int = 1) -> int:
    """Return how many threads each process of a job should use: OMP_NUM_THREADS where it is set.

    Else all cores, shared by the processes. Tiny matrices are several times faster with one.
    """
    if experiment == "synthetic":
        return 1
    return requested_threads() or _cores_each(processes)


def _cores_each(processes: int) -> int:
    return max(usable_cores() // processes, 1)
