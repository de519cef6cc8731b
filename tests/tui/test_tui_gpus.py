"""GPUs as NVIDIA's own package tells of them, over a driver's library that is compiled here: needs no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

DRIVER = r"""
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned gpu, memory; } rates;
static int gone_after = GONE_AFTER; /* calls for use, after which the second device has fallen off the bus */
int nvmlInitWithFlags(unsigned flags) { return INIT; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(long)(index + 1);
    return 0;
}
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    strncpy(name, (long)device == 1 ? "NVIDIA H200" : "NVIDIA [bold]L4[/]", length);
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory *found) {
    found->total = 141ull << 30; found->used = (unsigned long long)(long)device << 30;
    found->free = found->total - found->used;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, rates *found) {
    if ((long)device == 2 && gone_after-- <= 0) return 15; /* NVML_ERROR_GPU_IS_LOST */
    found->gpu = (long)device == 1 ? 98 : 7; found->memory = 0;
    return 0;
}
const char *nvmlErrorString(int result) { return "as the driver says"; }
"""
"""What the driver's library is asked for, with two devices."""

MEASURED_TWICE = """
import dataclasses, json
from fsrun.tui.resources import Meter
meter = Meter()
print(json.dumps([dataclasses.asdict(meter.measure()) for _ in range(2)]))
"""


def measured(folder: Path, *, starts: bool = True, gone_after: int = 1000) -> list[dict[str, object]]:
    """Return what a fresh process measures, twice, on a machine with such a driver."""
    pytest.importorskip("pynvml", reason="needs nvidia-ml-py, the extra `gpu`")
    compiler = which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for the driver's library")
    source, library = folder / "driver.c", folder / "libnvidia-ml.so.1"
    source.write_text(DRIVER)
    defined = [f"-DINIT={0 if starts else 9}", f"-DGONE_AFTER={gone_after}"]  # 9: the driver is not loaded
    subprocess.run([compiler, "-shared", "-fPIC", *defined, "-o", library, source], check=True)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED_TWICE],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_every_gpu_is_told_with_its_use_and_memory(tmp_path: Path) -> None:
    gib = 2**30
    first, second = measured(tmp_path)
    assert first["gpus"] == [
        {"name": "NVIDIA H200", "busy": 0.98, "memory_used": gib, "memory": 141 * gib},
        {"name": "NVIDIA [bold]L4[/]", "busy": 0.07, "memory_used": 2 * gib, "memory": 141 * gib},
    ]
    assert second["gpu_before"] == [0.98, 0.98]


def test_a_gpu_that_goes_away_meanwhile_takes_no_screen_with_it(tmp_path: Path) -> None:
    first, second = measured(tmp_path, gone_after=1)
    assert len(first["gpus"]) == 2  # type: ignore[arg-type]
    assert second["gpus"] == []


def test_a_driver_that_is_not_loaded_is_no_gpu(tmp_path: Path) -> None:
    assert [each["gpus"] for each in measured(tmp_path, starts=False)] == [[], []]
