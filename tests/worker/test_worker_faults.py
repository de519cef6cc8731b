import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from store import queue
from store.jobs import JobStatus, Outcome
from store.results import ResultRow
from store.upkeep import identity
from tests.cli.cli_cases import TINY, Case, Points, assert_refused, in_its_own_process
from tests.worker.worker_cases import (
    ask,
    ask_for_the_long_run,
    held_under_way,
    is_alive,
    runners,
    suspended,
    the_runner,
    wait_until,
    working,
)

Numbers = tuple[tuple[ResultRow, ...], Points]

SMALL = {"steps": [200], "episodes": [10]}
ENDLESS_CHUNK = {"steps": [50_000_000], "log_every": [50_000_000]}


def outcomes(home: Case, run_id: int = 1) -> list[Outcome | None]:
    return [attempt.outcome for attempt in home.run(run_id).attempts]


def processor_seconds(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def test_a_hung_job_is_cancelled_after_the_grace_period_and_the_next_one_is_done(
    home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_GRACE_SECONDS", "1")
    ask(home, "synthetic", "linear", ENDLESS_CHUNK)
    ask(home, "synthetic", "linear", SMALL)
    with working(home, "worker", "--drain") as worker:
        wait_until(lambda: home.log(1).is_file())
        hung = the_runner(home)
        ready = processor_seconds(hung)
        wait_until(lambda: processor_seconds(hung) > ready + 3)  # by then in its chunk, deaf to a cancel
        asked_at = time.monotonic()
        assert in_its_own_process(home, "cancel", "1").code == 0
        wait_until(lambda: home.statuses()[0] is JobStatus.CANCELLED)
        assert time.monotonic() - asked_at < 30  # a heartbeat and the usual grace would take longer
        worker.communicate(timeout=60)
    assert not is_alive(hung)
    assert home.statuses() == [JobStatus.CANCELLED, JobStatus.DONE]
    assert outcomes(home) == [Outcome.CANCELLED]
    assert "did not stop within 1 s" in str(home.run(1).attempts[0].error)


def test_a_segmentation_fault_leaves_its_trace_with_the_attempt(home: Case) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        with held_under_way(home) as first:
            os.kill(first, signal.SIGSEGV)
        worker.communicate(timeout=60)
    assert outcomes(home) == [Outcome.CRASHED, Outcome.DONE]
    reason = str(home.run(1).attempts[0].error)
    assert reason.startswith("the runner was ended by SIGSEGV (segmentation fault)")
    assert "Fatal Python error: Segmentation fault" in reason
    assert "runner.py" in reason  # where it was
    assert "\x00" not in reason


def test_a_worker_and_its_runner_that_were_suspended_past_the_lease_are_shut_out(
    home: Case, undisturbed: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_LEASE_SECONDS", "2")
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as sleeper:
        with held_under_way(home), suspended(sleeper.pid):
            time.sleep(2.2)
            answer = in_its_own_process(home, "worker", "--drain")
            assert (answer.code, answer.err) == (0, "")
        _, refused = sleeper.communicate(timeout=60)
    assert (sleeper.returncode, refused) == (0, "")
    assert outcomes(home) == [Outcome.LOST, Outcome.DONE]
    assert home.numbers(1) == undisturbed
    assert set(home.checkpoints.glob("*/*/*")) == {
        home.checkpoints / row.path for row in home.run(1).checkpoints
    }


def test_two_workers_on_one_queue_carry_out_each_job_once(home: Case) -> None:
    ask(home, "synthetic", "linear", SMALL, seeds=6)
    with working(home, "worker", "--drain") as one, working(home, "worker", "--drain") as other:
        said = [worker.communicate(timeout=120)[1] for worker in (one, other)]
    assert said == ["", ""]
    assert home.statuses() == [JobStatus.DONE] * 6
    assert [outcomes(home, run_id) for run_id in range(1, 7)] == [[Outcome.DONE]] * 6


def test_a_paused_queue_lets_the_worker_wait_until_resume(home: Case) -> None:
    ask(home, "synthetic", "linear", SMALL)
    queue.pause(home.engine(), time.time())
    with working(home, "worker", "--drain") as worker:
        the_runner(home)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "The queue is paused: no job is begun until fsrun resume.\n"
        assert home.statuses() == [JobStatus.QUEUED]
        queue.resume(home.engine())
        worker.communicate(timeout=60)
    assert home.statuses() == [JobStatus.DONE]


def test_a_worker_whose_schema_was_upgraded_under_it_ends_with_one_line_and_its_job_stays(home: Case) -> None:
    home.engine().dispose()
    with working(home, "worker") as worker:
        the_runner(home)
        with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
        _, refused = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert refused.startswith("fsrun: ")
    assert refused.count("\n") == 1
    assert "newer" in refused


def test_a_database_held_by_another_process_for_a_while_changes_nothing(
    home: Case, undisturbed: Numbers
) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        with closing(sqlite3.connect(home.root / "fsrun.db", timeout=30, isolation_level=None)) as holder:
            with held_under_way(home):
                holder.execute("BEGIN EXCLUSIVE")
            time.sleep(3)
            holder.execute("ROLLBACK")
        _, refused = worker.communicate(timeout=60)
    assert (worker.returncode, refused) == (0, "")
    assert outcomes(home) == [Outcome.DONE]
    assert home.numbers(1) == undisturbed


def damage(path: Path) -> None:
    """Overwrite all pages of a database but the first while it is in use."""
    with closing(sqlite3.connect(path, timeout=30)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def test_a_database_damaged_under_a_worker_is_named_and_restored_without_loss_of_what_the_backup_has(
    home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_GRACE_SECONDS", "2")  # in which nothing can be saved
    backup = tmp_path / "backup.db"
    elsewhere = Case(tmp_path / "elsewhere")
    ask_for_the_long_run(elsewhere)
    assert in_its_own_process(elsewhere, "worker", "--drain").code == 0
    assert in_its_own_process(home, "queue", "synthetic", *TINY).code == 0
    assert in_its_own_process(home, "worker", "--drain").code == 0
    before = home.numbers(1)
    ask_for_the_long_run(home)
    with working(home, "worker") as worker:
        with held_under_way(home, run_id=2):
            assert in_its_own_process(home, "db", "backup", str(backup)).code == 0
            damage(home.root / "fsrun.db")
        assert worker.stdout is not None
        lines = [worker.stdout.readline() for _ in range(2)]
        assert "started" in lines[0]
        assert "it is damaged: stop all workers and restore a backup (fsrun db restore)" in lines[1]
        doctor = in_its_own_process(home, "doctor")
        assert doctor.code == 1
        assert "wrong  database" in doctor.out
        assert "it is damaged" in doctor.out
        assert_refused(in_its_own_process(home, "db", "check"), "it is damaged", "fsrun db restore")
        assert worker.poll() is None
        worker.terminate()
        _, refused = worker.communicate(timeout=60)
    assert refused.count("\n") <= 1
    assert "Traceback" not in refused
    assert in_its_own_process(home, "db", "restore", str(backup)).code == 0
    # The lease of the worker that was stopped is in the backup; it has not yet run out.
    queue.request_cancel(home.engine(), [2], time.time() + 3600)
    queue.retry(home.engine(), [2], time.time())
    assert in_its_own_process(home, "worker", "--drain").code == 0
    assert home.statuses() == [JobStatus.DONE] * 2
    assert (home.numbers(1), home.numbers(2)) == (before, elsewhere.numbers(1))


@pytest.fixture
def small_disk(home: Case) -> Iterator[Path]:
    """A disk of 2 MB, on which the home lies."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(home.root)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield home.root
    subprocess.run(["umount", "--lazy", str(home.root)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                pass


def test_on_a_full_disk_the_job_waits_and_goes_on_when_there_is_space(
    home: Case, small_disk: Path, undisturbed: Numbers
) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        assert worker.stdout is not None
        with held_under_way(home):
            fill(small_disk / "filler")
        lines = [worker.stdout.readline() for _ in range(2)]
        assert "started" in lines[0]
        assert "free some space on its disk" in lines[1]
        assert worker.poll() is None
        assert len(runners(home)) == 1
        (small_disk / "filler").unlink()
        said, refused = worker.communicate(timeout=60)
    assert (worker.returncode, refused) == (0, "")
    assert "can be used again" in said
    assert outcomes(home) == [Outcome.DONE]
    assert home.numbers(1) == undisturbed


def test_started_on_a_full_disk_the_worker_waits_until_gc_has_freed_what_nobody_needs(
    home: Case, small_disk: Path
) -> None:
    assert in_its_own_process(home, "queue", "synthetic", *TINY).code == 0
    engine = home.engine()
    identity(engine, time.time())
    engine.dispose()
    log = home.worker_log("of-last-week")
    log.parent.mkdir()
    log.write_bytes(bytes(1_500_000))
    os.utime(log, (0, 0))
    fill(small_disk / "filler")
    with working(home, "worker", "--drain") as worker:
        assert worker.stdout is not None
        assert "free some space" in worker.stdout.readline()
        freed = in_its_own_process(home, "gc", "--yes")
        assert (freed.code, freed.err) == (0, "")
        assert not log.exists()
        said, refused = worker.communicate(timeout=120)
    assert (worker.returncode, refused) == (0, "")
    assert "can be used again" in said
    assert home.statuses() == [JobStatus.DONE]


def test_a_home_that_can_only_be_read_is_named_and_works_when_it_can_be_written(
    home: Case, small_disk: Path
) -> None:
    assert in_its_own_process(home, "queue", "synthetic", *TINY).code == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "queued" in in_its_own_process(home, "ls").out
    assert_refused(in_its_own_process(home, "cancel", "1"), "fsrun.db", "writable")
    doctor = in_its_own_process(home, "doctor")
    assert doctor.code == 1
    assert "wrong  database" in doctor.out
    with working(home, "worker", "--drain") as worker:
        assert worker.stdout is not None
        assert "fsrun.db" in worker.stdout.readline()
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        said, refused = worker.communicate(timeout=120)
    assert (worker.returncode, refused) == (0, "")
    assert "can be used again" in said
    assert home.statuses() == [JobStatus.DONE]


def forbidden(folder: Path) -> Path:
    """Put a folder in whose place nobody may write, not even root: a part of the kernel's own files."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to("/sys/kernel", target_is_directory=True)
    return folder


def test_without_permission_to_write_checkpoints_a_run_waits_at_its_end_and_says_why(home: Case) -> None:
    ask(home, "synthetic", "linear", SMALL)
    database = identity(home.engine(), time.time())
    link = forbidden(home.checkpoint(database, 1, attempt=1, step=0).parent)
    with working(home, "worker", "--drain") as worker:
        wait_until(lambda: "cannot be written" in said_in(home.log(1)))
        assert home.statuses() == [JobStatus.RUNNING]
        link.unlink()
        worker.communicate(timeout=60)
    assert outcomes(home) == [Outcome.DONE]


def said_in(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def test_a_worker_whose_machine_fails_three_jobs_in_a_row_leaves_the_others_and_says_why(home: Case) -> None:
    ask(home, "glyphs", "protonet", {"steps": [1], "episodes": [2]}, seeds=5)
    forbidden(home.root / "data")
    answer = in_its_own_process(home, "worker", "--drain")
    assert_refused(answer, "runs 1, 2, 3 failed in a row", "fsrun retry 1 2 3")
    assert home.statuses() == [JobStatus.FAILED] * 3 + [JobStatus.QUEUED] * 2
