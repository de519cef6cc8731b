"""How busy this machine is: processors, memory and GPUs.

Not here: when it is measured (fsrun.tui.app: on a thread) and how it is drawn (fsrun.tui.widgets.workers).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import psutil

EVERY_SECONDS = 2.0
_KEPT = 60  # measurements: two minutes


@dataclass(frozen=True)
class Gpu:
    """One GPU: shares from 0 to 1, memory in bytes."""

    name: str
    busy: float
    memory_used: int
    memory: int


@dataclass(frozen=True)
class Resources:
    """What was measured last, and shares of the processors and of the first GPU before, oldest first."""

    cpu: float
    memory_used: int
    memory: int
    gpus: tuple[Gpu, ...] = ()
    cpu_before: tuple[float, ...] = ()
    gpu_before: tuple[float, ...] = ()


class Meter:
    """Measures again and again; for one thread at a time, because it may take long."""

    def __init__(self) -> None:
        self._cpu: list[float] = []
        self._gpu: list[float] = []
        self._nvml: Any = None
        psutil.cpu_percent()  # what the next call counts from

    def measure(self) -> Resources:
        """Return the use of this machine since the last call."""
        memory = psutil.virtual_memory()
        gpus = self._gpus()
        self._cpu = _later(self._cpu, psutil.cpu_percent() / 100)
        self._gpu = _later(self._gpu, gpus[0].busy) if gpus else []
        return Resources(
            cpu=self._cpu[-1],
            memory_used=memory.total - memory.available,
            memory=memory.total,
            gpus=gpus,
            cpu_before=tuple(self._cpu),
            gpu_before=tuple(self._gpu),
        )

    def _gpus(self) -> tuple[Gpu, ...]:
        """Return NVIDIA's GPUs, none where there is no such GPU, driver or library."""
        if self._nvml is None:
            self._nvml = _nvml()
        if self._nvml is False:
            return ()
        try:
            count = self._nvml.nvmlDeviceGetCount()
            return tuple(self._gpu_at(index) for index in range(count))
        except self._nvml.NVMLError:  # a GPU that has gone away, or does not tell
            self._nvml = False
            return ()

    def _gpu_at(self, index: int) -> Gpu:
        nvml = self._nvml
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(device)
        name = nvml.nvmlDeviceGetName(device)
        busy = nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
        return Gpu(str(name), busy, int(memory.used), int(memory.total))


def _later(before: Sequence[float], now: float) -> list[float]:
    return [*before, now][-_KEPT:]


def _nvml() -> Any:
    """Return NVIDIA's management library, ready; False where there is none to use."""
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return False
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return False
    return nvml
