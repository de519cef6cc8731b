"""Slots as processes of this machine: several jobs at a time, each on a GPU or on its share of the cores.

Not here: when slots are wanted (fleet.py), and what they do (slot.py).
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from experiments.machine import python_command, usable_cores
from fsrun.worker.fleet import Ended
from fsrun.worker.launcher import signal_name
from fsrun.worker.nodes import Order
from fsrun.worker.slot import Report, Slot


def gpus_to_share(device: str) -> list[str]:
    """Return the CUDA GPUs that jobs share, as CUDA_VISIBLE_DEVICES names them; none for another device."""
    if device not in ("auto", "cuda"):
        return []
    import torch  # seconds; only where several jobs are asked for

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] or [str(each) for each in range(count)]


def threads_each(jobs: int) -> int:
    """Return how many cores each of so many jobs has."""
    return max(usable_cores() // jobs, 1)


@dataclass
class _Process:
    running: "subprocess.Popen[str]"
    gpu: str | None
    is_withdrawn: bool = False


class LocalFleet:
    """So many slots at a time, each a process that ends with this one; GPUs are shared out evenly."""

    def __init__(self, order: Order, jobs: int, gpus: Sequence[str] = ()) -> None:
        self.name = order.fleet
        self._order = order
        self._jobs = jobs
        self._gpus = gpus
        self._slots: dict[str, _Process] = {}

    def room(self) -> int:
        """Return how many slots there may be."""
        return self._jobs

    def in_flight(self) -> Collection[str]:
        """Return the slots that were started and have not been told as ended."""
        return list(self._slots)

    def start(self, slots: Collection[str]) -> None:
        """Start a process for each slot."""
        for slot in slots:
            gpu = self._least_used()
            running = subprocess.Popen(
                python_command("-m", "fsrun.worker.local_engine"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}),
                start_new_session=True,  # Ctrl-C reaches the command alone, which then asks politely
            )
            self._slots[slot] = _Process(running, gpu)
            assert running.stdin is not None
            with suppress(BrokenPipeError):  # it died already, which `ended` tells
                running.stdin.write(json.dumps({"slot": slot, "order": asdict(self._order)}) + "\n")
                running.stdin.flush()

    def ended(self) -> list[Ended]:
        """Return the slots that ended since the last call."""
        over = [slot for slot, each in self._slots.items() if each.running.poll() is not None]
        return [_end_of(slot, self._slots.pop(slot)) for slot in over]

    def withdraw(self, slots: Collection[str]) -> None:
        """End processes that have not begun to work."""
        for slot in slots:
            self._slots[slot].is_withdrawn = True
            self._slots[slot].running.kill()

    def kill(self) -> None:
        """End all slots at once."""
        for each in self._slots.values():
            each.running.kill()

    def _least_used(self) -> str | None:
        used = Counter(each.gpu for each in self._slots.values())
        return min(self._gpus, key=lambda gpu: used[gpu], default=None)


def _end_of(slot: str, process: _Process) -> Ended:
    said, _ = process.running.communicate()
    if process.is_withdrawn:
        return Ended(slot)
    code = process.running.returncode
    if code == 0 and said:
        return Ended(slot, Report(**json.loads(said)))
    how = f"was ended by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    return Ended(slot, died=f"its process {how}")


def main() -> None:
    """Be one slot until nothing is left, or until standard input ends: the command does, or is gone."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the command hears them, and stops its slots
        signal.signal(each, signal.SIG_IGN)
    told: Mapping[str, object] = json.loads(sys.stdin.readline())
    order = told["order"]
    assert isinstance(order, dict)
    slot = Slot(Order(**order | {"left_in": tuple(order["left_in"])}), str(told["slot"]))

    def stop_with_the_command() -> None:
        sys.stdin.read()
        slot.stop()

    threading.Thread(target=stop_with_the_command, daemon=True).start()
    sys.stdout.write(json.dumps(asdict(slot.work())))


if __name__ == "__main__":
    main()
