"""How a worker that died looks from outside, and one that is only slow."""

import os
import signal
import time

from fsrun.tui.database import Database
from fsrun.words import living, status_word
from store.jobs import JobStatus
from store.snapshot import Snapshot
from tests.cli.cli_cases import Case, in_its_own_process
from tests.worker.worker_cases import ask, runners, the_runner, wait_until, working

ENDLESS_CHUNK = {"steps": [50_000_000], "log_every": [50_000_000]}


def looking(home: Case, seconds: float) -> Snapshot:
    """Return the picture as it will be in so many seconds, if nobody is heard of until then."""
    database = Database(home.root / "fsrun.db", clock=lambda: time.time() + seconds, home=home)
    try:
        return database.picture(1, max_points=10).snapshot
    finally:
        database.close()


def words(taken: Snapshot) -> set[str]:
    assert taken.selected is not None
    return {status_word(taken.selected.row), *(status_word(row) for row in taken.runs)}


def test_a_worker_is_listed_with_what_it_computes_on_not_with_auto(home: Case) -> None:
    ask(home, "synthetic", "linear", ENDLESS_CHUNK)
    with working(home, "worker", "--device", "auto") as worker:
        wait_until(lambda: home.statuses() == [JobStatus.RUNNING])
        (listed,) = looking(home, 0.0).workers
        assert listed.device in ("cpu", "cuda:0")
        for pid in (worker.pid, the_runner(home)):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not runners(home))


def test_a_dead_worker_is_called_so_within_seconds_and_a_slow_one_never(home: Case) -> None:
    ask(home, "synthetic", "linear", ENDLESS_CHUNK)
    with working(home, "worker") as worker:
        wait_until(lambda: home.statuses() == [JobStatus.RUNNING])
        wait_until(home.log(1).is_file)
        os.kill(worker.pid, signal.SIGSTOP)  # as slow as can be
        for seconds in (0.0, 12.0, 40.0):
            slow = looking(home, seconds)
            assert (words(slow), living(slow.workers)) == ({"running"}, 1)
        assert words(looking(home, 70.0)) == {"lost"}  # its lease has run out: the run may be another's
        for pid in (worker.pid, the_runner(home)):  # both at once: a runner left alone hands its job back
            os.kill(pid, signal.SIGKILL)
        worker.wait()
        killed_at = time.monotonic()
        wait_until(lambda: words(looking(home, 0.0)) == {"lost"})
        assert time.monotonic() - killed_at < 15
        dead = looking(home, 0.0)
        assert dead.selected is not None
        assert dead.selected.row.worker_died
        assert living(dead.workers) == 0
        assert "lost" in in_its_own_process(home, "ls").out
    assert home.run(1).status is JobStatus.RUNNING  # seen, not settled: whoever comes next takes it over
