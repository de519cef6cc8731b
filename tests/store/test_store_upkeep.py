"""Checking and copying a whole database, and knowing which files it needs.

Not here: opening and upgrading (test_store_engine).
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from store import checkpoints, queue, upkeep, workers
from store.engine import check_schema, check_writable, open_store, schema_of, writing
from store.errors import DatabaseTooNew, DatabaseUnavailable
from store.runs import get_run
from tests.store.store_cases import ask, complete, request, take


def test_a_sound_database_has_no_problems(engine: Engine) -> None:
    ask(engine, request("a"), request("b", request("c")))
    complete(engine, take(engine))
    take(engine)
    check_writable(engine)
    assert upkeep.problems(engine) == []


def test_a_run_without_its_job_or_its_attempt_is_named(engine: Engine) -> None:
    torn, bare = ask(engine, request("a"), request("b"))
    take(engine)
    with writing(engine) as connection:
        connection.execute(text(f"DELETE FROM attempt WHERE run_id = {torn}"))
        connection.execute(text(f"DELETE FROM job WHERE run_id = {bare}"))
    assert upkeep.problems(engine) == [f"run {bare} has no job", f"run {torn} lacks its attempt"]


def test_damaged_pages_are_found_or_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "fsrun.db"
    engine = open_store(path)
    ask(engine, *(request("a", seed=seed) for seed in range(200)))
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[8192 : len(content) // 2] = b"\xa5" * (len(content) // 2 - 8192)
    path.write_bytes(content)
    try:
        found = upkeep.problems(open_store(path))
    except DatabaseUnavailable as error:
        found = [str(error)]
        assert "restore a backup" in found[0]
    assert found
    assert all("\n" not in line for line in found)


def test_a_copy_is_private_and_holds_what_was_committed(tmp_path: Path) -> None:
    engine = open_store(tmp_path / "fsrun.db")
    (run_id,) = ask(engine, request())
    target = tmp_path / "copy.db"
    upkeep.back_up(engine, target)
    assert target.stat().st_mode & 0o777 == 0o600
    copy = open_store(target)
    assert get_run(copy, run_id).spec == request().spec
    with pytest.raises(DatabaseUnavailable, match=r"cannot copy the database to .*: try another place"):
        upkeep.back_up(engine, tmp_path / "no such folder" / "copy.db")
    copy.dispose()
    engine.dispose()


def test_a_schema_that_another_version_has_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "fsrun.db"
    assert schema_of(path) is None
    engine = open_store(path)
    assert schema_of(path) == upkeep.revision(engine)
    check_schema(engine)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseTooNew, match="upgrade this program"):
        check_schema(engine)
    with pytest.raises(DatabaseTooNew, match="upgrade this program"):
        schema_of(path)
    engine.dispose()


def test_only_checkpoints_before_the_last_of_a_run_that_is_done_are_spare(engine: Engine) -> None:
    ask(engine, request("done"), request("failed"))
    for end in (queue.finish, queue.fail):
        claim = take(engine)
        for step in (100, 200):
            place = f"run-{claim.run_id}/{step}"
            checkpoints.add(
                engine, claim.run_id, claim.attempt, step=step, place=place, sha256="0", now=float(step)
            )
        if end is queue.finish:
            complete(engine, claim)
        else:
            queue.fail(engine, claim.run_id, claim.attempt, "boom", now=3.0)
    known = upkeep.known_files(engine)
    assert [(each.row.run_id, each.row.step, each.spare) for each in known] == [
        (1, 200, False),
        (1, 100, True),
        (2, 200, False),
        (2, 100, False),
    ]
    for each in known:
        upkeep.forget(engine, each.row)  # asked for the wrong ones too
    assert [(each.row.run_id, each.row.step) for each in upkeep.known_files(engine)] == [(2, 200), (2, 100)]


def test_workers_and_runs_at_work_are_known(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    for name, now in (("early", 1.0), ("late", 50.0), ("gone", 50.0)):
        workers.register(engine, name, host="h", pid=1, device="cpu", now=now)
    workers.stopped(engine, "gone", 51.0)
    assert upkeep.active_runs(engine) == frozenset()
    take(engine)
    assert upkeep.active_runs(engine) == {run_id}
    assert upkeep.live_workers(engine, since=40.0) == {"late"}
