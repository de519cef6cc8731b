from pathlib import Path

from benchmarks.scaling import overhead, points_per_second
from fsrun.paths import Home


def test_what_several_writers_log_is_counted_together(tmp_path: Path) -> None:
    assert points_per_second(tmp_path / "fsrun.db", processes=2, seconds=0.5) > 0


def test_the_overhead_of_a_worker_is_told_apart_from_its_jobs(tmp_path: Path) -> None:
    found = overhead(Home(tmp_path / "home"), (), 3)
    assert found.until_first > 0
    assert found.job > 0
    assert 0 < found.each < found.until_first
