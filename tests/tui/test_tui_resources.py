"""What is said of workers and of this machine."""

import sys

import pytest
from rich.text import Text

from fsrun.tui.resources import Gpu, Meter, Resources
from fsrun.tui.widgets.workers import _in_short, machine_text, sparkline
from store.views import WorkerRow

GIB = 1024**3


def test_a_sparkline_has_the_newest_at_its_right_end_and_stays_in_its_width() -> None:
    assert sparkline([0.0, 0.5, 1.0], 5) == "   ▄█"
    assert sparkline([0.0, 0.5, 1.0], 2) == "▄█"
    assert sparkline([-1.0, 7.0], 2) == " █"
    assert sparkline([0.5], 0) == ""


def test_this_machine_is_measured_and_what_was_before_is_kept_for_two_minutes() -> None:
    meter = Meter()
    for _ in range(70):
        measured = meter.measure()
    assert 0 <= measured.cpu <= 1
    assert 0 < measured.memory_used <= measured.memory
    assert len(measured.cpu_before) == 60


def test_a_machine_without_nvidias_library_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Meter().measure().gpus == ()


def test_cpu_memory_and_gpus_are_told_in_one_line() -> None:
    gpu = Gpu("H100", 0.98, 10 * GIB, 80 * GIB)
    resources = Resources(0.61, 5 * GIB, 24 * GIB, (gpu,), (0.5, 0.61), (1.0,))
    words = machine_text(resources, spark=2).plain
    assert words == "cpu  61% ▄▅  mem 5.0/24 GiB  gpu  98%  █ 10.0/80 GiB"


def test_workers_are_told_with_what_they_do_and_when_they_were_heard_of() -> None:
    def worker(name: str, age: float, run: int | None, *, died: bool = False) -> WorkerRow:
        return WorkerRow(name, "box", 1, "cpu", 0.0, age, run, died=died)

    assert _in_short([]).plain == "no workers"
    assert _in_short([worker("a", 2.0, 3)]).plain.strip() == "cpu #3 ♥ 2s"
    said: Text = _in_short([worker("a", 2.0, None), worker("b", 300.0, 4), worker("c", 5.0, 5, died=True)])
    assert said.plain.strip() == "1 of 3 cpu idle ♥ 2s  cpu #4 silent 5m00s  cpu #5 died, silent 5s"
