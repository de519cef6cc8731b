"""Looking after a database as a whole: whether it is sound, copies of it, and which files it needs.

Not here: opening and upgrading (store.engine).
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, or_, select, tuple_
from sqlmodel import col

from store.checkpoints import CheckpointRow, checkpoint_row
from store.engine import copy_file, open_store, reading, revision_of, schema_of, writing
from store.errors import DatabaseUnavailable
from store.identity import identities_in, take_the_place_of
from store.jobs import JobStatus
from store.tables import Attempt, Checkpoint, Job, Run, Worker, table_of

MAX_PROBLEMS = 20
ASIDE = ".replaced-"
"""Stands after the name of a SQLite file in those of the files that lay there before it was restored."""

_SHARED_FIRST, _SHARED_BYTES = 0x40000002, 510  # of a file of SQLite; part of its format


@dataclass(frozen=True)
class KnownFile:
    """A checkpoint the database knows, with the status of its run, and whether the run could do without."""

    row: CheckpointRow
    status: JobStatus
    spare: bool


def revision(engine: Engine) -> str:
    """Return the schema's revision."""
    with reading(engine) as connection:
        return revision_of(connection) or "none"


def problems(engine: Engine) -> list[str]:
    """Return what is wrong inside the database, one line each, at most MAX_PROBLEMS; empty if it is sound.

    Reads the whole of a SQLite file.
    """
    found: list[str] = []
    with reading(engine) as connection:
        if engine.dialect.name == "sqlite":
            answers = connection.exec_driver_sql(f"PRAGMA integrity_check({MAX_PROBLEMS})").scalars()
            found += [str(answer) for answer in answers if answer != "ok"]
            loose = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            found += [f"a row of {row[0]} names a row of {row[2]} that is not there" for row in loose]
        without_job = select(col(Run.id)).where(col(Run.id).not_in(select(col(Job.run_id))))
        found += [f"run {run_id} has no job" for run_id in connection.execute(without_job).scalars()]
        running = col(Job.status) == JobStatus.RUNNING.value
        no_owner = running & or_(col(Job.lease_until).is_(None), col(Job.worker_id).is_(None))
        torn = connection.execute(select(col(Job.run_id)).where(no_owner)).scalars()
        found += [f"run {run_id} is running under no lease" for run_id in torn]
        missing = select(col(Job.run_id)).where(
            col(Job.attempt) > 0,
            tuple_(col(Job.run_id), col(Job.attempt)).not_in(
                select(col(Attempt.run_id), col(Attempt.number)).where(col(Attempt.run_id) == col(Job.run_id))
            ),
        )
        found += [f"run {run_id} lacks its attempt" for run_id in connection.execute(missing).scalars()]
    return found[:MAX_PROBLEMS]


def back_up(engine: Engine, target: Path) -> None:
    """Copy a SQLite database to a new file, whoever uses it meanwhile; the copy is private.

    Raises DatabaseUnavailable for another kind of database, and where the file cannot be made.
    """
    if engine.dialect.name != "sqlite":
        raise DatabaseUnavailable("only SQLite files are copied here: use pg_dump for PostgreSQL")
    try:
        copy_file(Path(str(engine.url.database)), target)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseUnavailable(
            f"cannot copy the database to {target} ({error}): try another place"
        ) from error
    _check_copy(target)


def _check_copy(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as copy:
            answer = str(copy.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.Error as error:
        answer = str(error)
    if answer != "ok":
        raise DatabaseUnavailable(f"the copy {path} is damaged ({answer.splitlines()[0]}): take another one")


def restore(path: Path, backup: Path, aside: Path, now: float) -> None:
    """Put a copy of the backup in the place of a SQLite file, which goes to `aside` with what belongs to it.

    Raises DatabaseUnavailable where the backup is no sound database, or another process uses the file, and
    DatabaseTooNew where the backup is of a newer version.
    """
    if not backup.is_file() or schema_of(backup) is None:
        raise DatabaseUnavailable(f"{backup} is no backup of a database: name another file")
    _check_copy(backup)
    replaced = identities_in(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as held:
        if path.exists():
            held.enter_context(_alone_with(path))
            os.link(path, aside)
        for end in ("-wal", "-shm"):  # SQLite would play them back onto the backup
            with suppress(FileNotFoundError):
                path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
        copy_file(backup, path)
    engine = open_store(path)
    take_the_place_of(engine, replaced, now)
    engine.dispose()


@contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    """Hold the lock that everybody who has the SQLite file open shares. Raises DatabaseUnavailable."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_BYTES, _SHARED_FIRST)
        except OSError as error:
            raise DatabaseUnavailable(
                f"database {path} is in use: stop all workers and screens, then try again"
            ) from error
        yield


def known_files(engine: Engine) -> tuple[KnownFile, ...]:
    """Return every checkpoint; one of a run that is done is spare where the run has a further one."""
    query = select(table_of(Checkpoint), col(Job.status)).join(Job, col(Job.run_id) == col(Checkpoint.run_id))
    order = (col(Checkpoint.run_id), col(Checkpoint.step).desc(), col(Checkpoint.attempt).desc())
    known, last_run = [], None
    with reading(engine) as connection:
        for row in connection.execute(query.order_by(*order)):
            file = checkpoint_row(row)
            spare = row.run_id == last_run and row.status == JobStatus.DONE
            known.append(KnownFile(file, JobStatus(row.status), spare))
            last_run = row.run_id
    return tuple(known)


def forget(engine: Engine, row: CheckpointRow) -> None:
    """Take a checkpoint of a run that is done from the database; that of any other run stays."""
    done = select(col(Job.run_id)).where(col(Job.status) == JobStatus.DONE.value)
    this = (col(Checkpoint.step) == row.step, col(Checkpoint.attempt) == row.attempt)
    with writing(engine) as connection:
        gone = delete(Checkpoint).where(col(Checkpoint.run_id) == row.run_id, *this)
        connection.execute(gone.where(col(Checkpoint.run_id).in_(done)))


def live_workers(engine: Engine, since: float) -> frozenset[str]:
    """Return the workers that have not signed off and were heard of at that time or later."""
    alive = select(col(Worker.id)).where(col(Worker.stopped).is_(None), col(Worker.heartbeat) >= since)
    with reading(engine) as connection:
        return frozenset(connection.execute(alive).scalars())


def active_runs(engine: Engine) -> frozenset[int]:
    """Return the runs that run at the moment, which may have files that are not known yet."""
    running = select(col(Job.run_id)).where(col(Job.status) == JobStatus.RUNNING.value)
    with reading(engine) as connection:
        return frozenset(connection.execute(running).scalars())
