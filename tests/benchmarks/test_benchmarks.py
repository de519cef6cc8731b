import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.candidates import CANDIDATES, NAMES, measure
from benchmarks.crash import disturbed
from benchmarks.final_state import FinalState, difference
from benchmarks.metrics import long_curve
from benchmarks.queue import in_a_queue_of, share_out
from benchmarks.small_jobs import small_jobs
from benchmarks.soak import soak
from tests.store.postgres_server import find_programs, serving

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize("name", ["crash", "queue", "metrics", "soak", "tui"])
def test_each_benchmark_explains_itself_from_any_folder(name: str, tmp_path: Path) -> None:
    script = SCRIPTS / f"{name}.py"
    words = [sys.executable, str(script), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--" in done.stdout


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of an empty database of a server that was just started, None for a file."""
    if request.param == "sqlite":
        yield None
        return
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'fsrun[postgres]'")
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with serving(programs) as server, server.database() as name:
        yield server.url(name)


@pytest.mark.slow
def test_killed_runners_and_workers_lose_double_and_change_nothing(
    tmp_path: Path, database: str | None
) -> None:
    two_linear_and_a_protonet = [*small_jobs("glyphs")[:2], small_jobs("glyphs")[4]]
    kills = 2 if database else 4  # the server itself takes its time
    disturbance, verdict = disturbed(
        tmp_path, two_linear_and_a_protonet, kills=kills, seed=0, workers=2, database=database
    )
    assert disturbance.engine.dialect.name == ("postgresql" if database else "sqlite")
    disturbance.engine.dispose()
    assert disturbance.kills.total() == kills
    assert verdict.runs >= 3
    assert verdict.flawless, verdict


def test_a_difference_is_noticed() -> None:
    known = FinalState((), {("loss", 1): "0x1p0", ("loss", 2): "0x1p1"}, 2, (), "a")
    other = FinalState((), {("loss", 2): "0x1p1", ("loss", 3): "0x1p1"}, 4, (), "b")
    found = difference(known, other)
    assert (found.lost_points, found.doubled_points) == (1, 3)
    assert found.parts == ("points", "counted", "weights")
    assert difference(known, known).parts == ()


def test_two_processes_share_out_a_queue_each_job_exactly_once(tmp_path: Path) -> None:
    sharing = share_out(tmp_path / "fsrun.db", processes=2, jobs=50)
    assert sharing.times_finished == Counter({1: 50})
    assert sharing.done == sum(sharing.shares) == 50


def test_a_claim_reads_no_more_of_a_longer_queue(tmp_path: Path) -> None:
    short, long = (in_a_queue_of(tmp_path / f"{jobs}.db", jobs, repeats=20) for jobs in (100, 20_000))
    for kind in ("all_queued", "priorities", "mostly_done"):  # sorting so many takes 30 times as long
        assert getattr(long, kind) < 5 * getattr(short, kind) + 5.0


@pytest.mark.parametrize("name", [name for name, (_, package) in CANDIDATES.items() if package is None])
def test_what_the_loop_logs_is_in_the_files(name: str, tmp_path: Path) -> None:
    cost = measure(CANDIDATES[name][0], tmp_path, seconds=0.2, pace=0.0)
    (file,) = tmp_path.glob("*.db")
    with sqlite3.connect(file) as database:
        (stored,) = database.execute("SELECT count(*) FROM point").fetchone()
    database.close()
    assert stored == cost.scalars + len(NAMES)  # and the first one, which is not timed
    assert 0 < cost.loop <= cost.in_all


def test_a_long_curve_opens_with_few_entries(tmp_path: Path) -> None:
    curve = long_curve(tmp_path / "fsrun.db", 50_000, repeats=3)
    assert 100 < curve.entries <= 500
    assert curve.read < 200


def test_a_worker_over_several_jobs_leaves_nothing_behind(tmp_path: Path) -> None:
    found = soak(tmp_path, 10)
    assert (found.exit_code, found.not_done, found.processes_left) == (0, 0, 0)
    assert found.strange_files == ()
    assert found.runners == 1
