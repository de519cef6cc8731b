"""The benchmark of the dashboard, on few runs and points."""

from pathlib import Path

import pytest

from benchmarks.tui import fill, growing, growth, refreshes
from store.engine import open_store
from store.jobs import JobStatus
from store.snapshot import snapshot
from tests.cli.cli_cases import Case
from tests.worker.worker_cases import wait_until


def test_a_growing_curve_is_watched_picture_by_picture(tmp_path: Path) -> None:
    claim = fill(tmp_path / "fsrun.db", 20, 3_000)
    with growing(tmp_path / "fsrun.db", claim, 3_000):
        found = refreshes(tmp_path, tmp_path / "out.json", 4, 0.3)
        wait_until(lambda: Case(tmp_path).run(claim.run_id).step > 3_000)  # it grew
    assert len(found.busy) == len(found.blocked) == len(found.resident) >= 4
    assert all(cost > 0 for cost in found.busy)
    engine = open_store(tmp_path / "fsrun.db")
    taken = snapshot(engine, now=0.0, selected=claim.run_id)
    engine.dispose()
    assert taken.counts[JobStatus.RUNNING] == 1
    assert taken.selected is not None
    assert taken.selected.row.step > 3_000


def test_growth_is_what_a_thousand_refreshes_add_whatever_single_ones_jump() -> None:
    rising = [100 + 0.002 * number + number % 2 for number in range(500)]
    assert growth(rising) == pytest.approx(2, abs=0.02)
    assert growth([100.0] * 500) == 0
