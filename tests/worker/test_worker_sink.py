import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fsrun.checkpoint_files import checkpoint_files
from fsrun.worker import sink as sink_module
from fsrun.worker.outage import Outage
from fsrun.worker.sink import StoreSink
from store import queue
from store.engine import check_writable, open_store, writing
from store.errors import DatabaseUnavailable, LeaseLost
from store.upkeep import back_up
from tests.cli.cli_cases import Case
from tests.worker.worker_cases import STEPS, ask_for_the_long_run, take, wait_until


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no statement wait for a lock, and everybody try again at once."""
    monkeypatch.setattr("store.engine.BUSY_SECONDS", 0.01)
    monkeypatch.setattr("fsrun.worker.outage.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("fsrun.worker.outage.SETTLED_SECONDS", 0.05)
    monkeypatch.setattr(sink_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(sink_module, "FLUSH_SECONDS", 0.01)


class Bench:
    """A sink of one attempt, and the lines it says."""

    def __init__(self, home: Case) -> None:
        self.home = home
        self.run_id = ask_for_the_long_run(home)
        self.claim = take(home)
        self.lines: list[str] = []
        self.alone = False
        engine = home.engine()
        outage = Outage(engine, self.lines.append)
        files = checkpoint_files(home)
        self.sink = StoreSink(
            engine, self.run_id, self.claim.attempt, outage, lambda: self.alone, files, STEPS
        )
        self.sink.started(0)

    def report(self, steps: range) -> None:
        """Report one point a step."""
        for step in steps:
            self.sink.metrics([step], {"train/loss": [step / 2]})

    def is_stored(self, steps: range) -> bool:
        return self.stored() == points(steps)

    def stored(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        return self.home.numbers(self.run_id)[1].get("train/loss", ((), ()))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the database against everybody else."""
        holder = open_store(self.home.root / "fsrun.db")
        with writing(holder):
            yield
        holder.dispose()


@pytest.fixture
def bench(home: Case, impatient: None) -> Iterator[Bench]:
    made = Bench(home)
    yield made
    made.sink.close()


def points(steps: range) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return tuple(steps), tuple(step / 2 for step in steps)


def test_points_are_kept_while_the_database_is_held_and_stored_once_when_it_is_free(bench: Bench) -> None:
    bench.report(range(1, 4))
    wait_until(lambda: bench.is_stored(range(1, 4)))
    with bench.held():
        bench.report(range(4, 20))
        wait_until(lambda: bool(bench.lines))
        assert bench.is_stored(range(1, 4))
    bench.report(range(20, 22))
    wait_until(lambda: bench.is_stored(range(1, 22)))
    wait_until(lambda: len(bench.lines) > 1)
    begun, over = bench.lines
    assert "another process has held it" in begun
    assert "can be used again" in over


def test_an_outage_in_which_some_writes_succeed_is_told_once_and_its_end_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsrun.worker.outage.SETTLED_SECONDS", 10_000.0)
    outage = bench.sink.outage
    for _ in range(3):
        with bench.held(), outage.borne():
            check_writable(bench.sink.engine)
        with outage.borne():
            check_writable(bench.sink.engine)
            outage.over()
    assert len(bench.lines) == 1
    outage.over(at_the_end=True)
    outage.over(at_the_end=True)
    assert len(bench.lines) == 2


def test_a_full_buffer_makes_training_wait_for_the_database(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "MAX_BUFFERED", 5)
    trainer = threading.Thread(target=bench.report, args=(range(1, 50),))
    with bench.held():
        trainer.start()
        time.sleep(0.5)
        assert trainer.is_alive()
        assert bench.sink.reported - bench.sink.written == 6
    trainer.join(timeout=30)
    bench.sink.flush()
    assert bench.is_stored(range(1, 50))


def test_a_runner_whose_supervisor_is_gone_does_not_wait_for_the_database(bench: Bench) -> None:
    bench.alone = True
    with bench.held():
        bench.report(range(1, 3))
        with pytest.raises(DatabaseUnavailable):
            bench.sink.flush()


def test_a_training_loop_whose_job_was_lost_is_told_while_it_reports(bench: Bench) -> None:
    bench.report(range(1, 4))
    wait_until(lambda: bench.is_stored(range(1, 4)))
    queue.release(bench.home.engine(), bench.run_id, bench.claim.attempt, now=1.0)
    bench.report(range(4, 5))
    wait_until(lambda: not bench.sink.writer.is_alive())
    with pytest.raises(LeaseLost):
        bench.report(range(5, 6))


def test_what_a_caller_changes_after_reporting_it_changes_no_point(bench: Bench) -> None:
    steps, numbers, values = [1, 2], [0.5, 1.0], dict[str, list[float]]()
    values["train/loss"] = numbers
    bench.sink.metrics(steps, values)
    steps.clear()
    numbers.clear()
    values.clear()
    bench.sink.flush()
    assert bench.is_stored(range(1, 3))


def test_a_checkpoint_of_an_attempt_that_lost_its_job_is_removed(bench: Bench) -> None:
    queue.release(bench.home.engine(), bench.run_id, bench.claim.attempt, now=1.0)
    take(bench.home)
    path = bench.home.checkpoint("0123456789ab", bench.run_id, 1, 20)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    with pytest.raises(LeaseLost):
        bench.sink.checkpoint(20, path)
    assert not path.exists()
    assert bench.home.run(bench.run_id).checkpoints == ()


def test_a_damaged_database_is_waited_for_until_a_sound_copy_is_in_its_place(bench: Bench) -> None:
    path = bench.home.root / "fsrun.db"
    bench.report(range(1, 4))
    wait_until(lambda: bench.is_stored(range(1, 4)))
    back_up(bench.home.engine(), bench.home.root / "copy.db")
    spoilt = bench.home.root / "spoilt"
    spoilt.write_bytes(b"no database at all " * 500)
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    spoilt.replace(path)
    bench.sink.engine.dispose()
    bench.report(range(4, 9))
    wait_until(lambda: bool(bench.lines))
    assert "restore a backup" in bench.lines[0]
    (bench.home.root / "copy.db").replace(path)
    bench.report(range(9, 11))
    wait_until(lambda: bench.is_stored(range(1, 11)))
    wait_until(lambda: "can be used again" in bench.lines[-1])


def test_the_log_says_now_and_then_how_far_the_run_is(
    home: Case, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fsrun.worker.sink.LOG_SECONDS", 0.0)
    caplog.set_level("INFO", "fsrun.sink")
    bench = Bench(home)
    bench.report(range(1, 21))
    bench.sink.flush()
    bench.sink.close()
    assert f"step 20 of {STEPS:,}, train/loss 10, " in caplog.text
    assert " steps/s, " in caplog.text
