"""Homes that were copied, moved or are shared: every database goes on from its own checkpoints."""

import gc
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine

from fsrun.checkpoint_files import prepare
from fsrun.models import model_of_run
from fsrun.object_store import MARK
from fsrun.worker.runner import execute
from fsrun.worker.supervisor import Supervisor
from store import queue
from store.engine import open_store
from store.jobs import JobStatus
from store.results import ResultRow
from store.runs import get_run
from store.upkeep import back_up
from tests.cli.cli_cases import Case, Points, in_its_own_process
from tests.worker.worker_cases import after, ask_for_the_long_run, never, take, wait_until


def files_of(case: Case) -> dict[Path, bytes]:
    """Return every checkpoint below a home with what is in it."""
    return {path: path.read_bytes() for path in case.checkpoints.rglob("*.safetensors")}


def known_files(case: Case) -> set[Path]:
    """Return where the checkpoints lie that the database of a home knows."""
    runs = range(1, 1 + len(case.statuses()))
    return {case.checkpoints / row.path for run_id in runs for row in case.run(run_id).checkpoints}


def train(home: Case, run_id: int) -> None:
    """Train on for 20 chunks, and leave the database to nobody."""
    engine = home.engine()
    prepare(engine, home, 1.0)
    claim = queue.claim(engine, "w", now=1e9, lease_seconds=60)
    assert claim is not None
    execute(engine, home, run_id, claim.attempt, "cpu", after(20))
    engine.dispose()


def trained(home: Case) -> int:
    """Train the long run for 20 chunks of 20 steps, and return its number."""
    run_id = ask_for_the_long_run(home)
    train(home, run_id)
    return run_id


def copied(home: Case, name: str) -> Case:
    """Copy a home as `cp -r` does."""
    return Case(Path(shutil.copytree(home.root, home.root.with_name(name))))


def test_a_copied_home_goes_on_from_its_own_files_and_leaves_those_of_the_original(
    home: Case, undisturbed: tuple[tuple[ResultRow, ...], Points]
) -> None:
    run_id = trained(home)
    before = files_of(home)
    copy = copied(home, "copy")
    for chunks in (20, 20, 20):  # two more checkpoints push the first one out
        execute(copy.engine(), copy, run_id, take(copy).attempt, "cpu", after(chunks))
    assert [attempt.from_step for attempt in copy.run(run_id).attempts] == [0, 400, 800, 1200]
    assert in_its_own_process(copy, "gc", "--yes").out == "Nothing to free.\n"
    assert set(files_of(copy)) == known_files(copy)  # the copy of the first one was its own to remove
    assert files_of(home) == before
    execute(home.engine(), home, run_id, take(home).attempt, "cpu", never)
    assert home.run(run_id).attempts[-1].from_step == 400
    assert home.numbers(run_id) == undisturbed


def test_a_moved_home_goes_on_where_it_was(
    home: Case, undisturbed: tuple[tuple[ResultRow, ...], Points], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = trained(home)
    moved = Case(home.root.rename(home.root.with_name("moved")))
    execute(moved.engine(), moved, run_id, take(moved).attempt, "cpu", never)
    assert [attempt.from_step for attempt in moved.run(run_id).attempts] == [0, 400]
    assert moved.numbers(run_id) == undisturbed
    assert not home.root.exists()
    monkeypatch.setenv("FSRUN_HOME", str(moved.root))
    assert model_of_run(moved.engine(), run_id).weights in files_of(moved)


def test_a_home_of_the_schema_with_absolute_paths_goes_on_after_it_was_moved(home: Case) -> None:
    run_id = trained(home)
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0004'")
        database.execute("UPDATE checkpoint SET path = ? || path", (f"{home.checkpoints}/",))
    moved = Case(home.root.rename(home.root.with_name("moved")))
    execute(moved.engine(), moved, run_id, take(moved).attempt, "cpu", after(5))
    assert [attempt.from_step for attempt in moved.run(run_id).attempts] == [0, 400]


def test_a_copy_of_a_database_in_the_same_home_reads_its_checkpoints_and_removes_none(home: Case) -> None:
    run_id = trained(home)
    back_up(home.engine(), home.root / "second.db")
    before = files_of(home)
    second = open_store(home.root / "second.db")
    for chunks in (20, 20, 20):
        claim = queue.claim(second, "w", now=1e9, lease_seconds=60)
        assert claim is not None
        execute(second, home, run_id, claim.attempt, "cpu", after(chunks))
    assert [attempt.from_step for attempt in get_run(second, run_id).attempts] == [0, 400, 800, 1200]
    second.dispose()
    settings = {"FSRUN_DB_URL": f"sqlite:///{home.root / 'second.db'}"}
    assert in_its_own_process(home, "gc", "--yes", settings=settings).out == "Nothing to free.\n"
    after_all = files_of(home)
    assert {path: after_all.get(path) for path in before} == before
    assert len(after_all) == len(before) + 2  # two of its own are kept


def test_a_copied_home_removes_nothing_that_the_original_keeps_at_the_storage(
    home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'fsrun[cloud]'")
    monkeypatch.setenv("FSRUN_STORAGE", f"file://{tmp_path}/storage")
    run_id = trained(home)
    (kept,) = (tmp_path / "storage").rglob("*.safetensors")
    copy = copied(home, "copy")
    for chunks in (20, 20, 20):
        execute(copy.engine(), copy, run_id, take(copy).attempt, "cpu", after(chunks))
    assert copy.run(run_id).attempts[-1].from_step == 1200
    assert kept.is_file()
    assert len(list((tmp_path / "storage").rglob("*.safetensors"))) == 3  # two are the copy's own


def test_a_restored_database_frees_what_the_replaced_one_wrote_once_that_is_removed(home: Case) -> None:
    run_id = ask_for_the_long_run(home)
    train(home, run_id)
    assert in_its_own_process(home, "db", "backup", str(home.root / "backup.db")).code == 0
    for _ in range(2):
        train(home, run_id)
    oldest = min(files_of(home))  # the backup's only one was removed meanwhile
    replaced = set(files_of(home))
    for path in replaced:
        os.utime(path, (1.0, 1.0))
    gc.collect()  # closes the connections of engines that nobody holds any more
    assert in_its_own_process(home, "db", "restore", str(home.root / "backup.db")).code == 0
    train(home, run_id)
    assert in_its_own_process(home, "gc", "--yes").out == "Nothing to free.\n"
    assert oldest in files_of(home)
    (aside,) = home.root.glob("fsrun.db.replaced-*[0-9]")
    aside.unlink()
    assert f"{oldest}  (no run knows it)" in in_its_own_process(home, "gc", "--yes").out
    (own,) = files_of(home)
    assert own in known_files(home) - replaced


@dataclass(frozen=True)
class Apart(Case):
    """A home whose database lies beside it."""

    def engine(self) -> Engine:
        """Open the database, made where it is missing."""
        return open_store(self.root.with_name("apart.db"))


@pytest.mark.parametrize("beneath", [True, False])
def test_a_home_that_vanishes_from_a_runner_is_not_made_anew(tmp_path: Path, beneath: bool) -> None:
    home, away = Apart(tmp_path / "home"), tmp_path / "away"
    home.root.mkdir()
    run_id = trained(home)
    looks = count()

    def vanishes() -> bool:
        if next(looks) != 20:
            return False
        home.root.rename(away)
        if beneath:  # as a mount point without its disk
            home.root.mkdir()
        return True

    execute(home.engine(), home, run_id, take(home).attempt, "cpu", vanishes)
    assert list(home.root.glob("*")) == []
    assert [row.step for row in home.run(run_id).checkpoints] == [400]
    assert "mount or restore it" in (away / "logs" / f"run-{run_id}.log").read_text()
    if beneath:
        home.root.rmdir()
    away.rename(home.root)
    execute(home.engine(), home, run_id, take(home).attempt, "cpu", after(5))
    assert [attempt.from_step for attempt in home.run(run_id).attempts] == [0, 400, 400]


def test_a_worker_whose_home_vanishes_says_so_once_and_claims_nothing_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_DB_URL", f"sqlite:///{tmp_path / 'apart.db'}")
    home, away, said = Apart(tmp_path / "home"), tmp_path / "away", list[str]()
    home.root.mkdir()
    supervisor = Supervisor(home.engine(), home, "cpu", say=said.append)
    worker = Thread(target=supervisor.work)
    worker.start()
    try:
        wait_until((home.checkpoints / MARK).is_file)
        home.root.rename(away)
        wait_until(lambda: bool(said))
        ask_for_the_long_run(home)
        assert not home.root.exists()
        assert home.run(1).status is JobStatus.QUEUED
        away.rename(home.root)
        wait_until(lambda: home.run(1).status is not JobStatus.QUEUED)
    finally:
        supervisor.stop()
        worker.join(60)
    (line,) = said
    assert "going on when it is there again" in line


def test_what_a_killed_attempt_left_of_a_checkpoint_is_removed_by_the_next(home: Case) -> None:
    run_id = trained(home)
    (whole,) = files_of(home)
    half = whole.with_name("step-000000800-attempt-1.partial")
    half.write_bytes(b"half of it")
    train(home, run_id)
    assert not half.exists()
    assert whole.exists()
