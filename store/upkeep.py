"""Upkeep: which database it is, deleted runs until they are gone, checks, backups and restoring."""

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from sqlalchemy import Connection, Engine, delete, func, or_, select, tuple_, update
from sqlmodel import col

from store.checkpoints import CheckpointRow, checkpoint_row, checkpoints_of
from store.engine import copy_file, open_store, reading, revision_of, schema_of, upsert, writing
from store.errors import DatabaseUnavailable, InvalidTransition
from store.jobs import JobStatus, ancestry, are, job_row, kept, numbered, refuse_trashed
from store.runs import change_remark
from store.tables import (
    Attempt,
    Checkpoint,
    Dependency,
    Job,
    Metric,
    MetricPoint,
    MetricSummary,
    Remark,
    Result,
    Run,
    Setting,
    Worker,
    table_of,
)

IDENTITY = "identity"
"""The setting that holds the identity, and after a blank where the database lay when it was given."""

ORIGINAL, REPLACED = "identity of the original", "identities replaced"


@dataclass(frozen=True)
class Lineage:
    """Identities that a database has to do with.

    `original` is that of the database it is a copy of, or its own before it moved to another disk, empty
    where there is none; `replaced` are those of the databases that lay in its place before it was restored.
    """

    own: str
    original: str
    replaced: tuple[str, ...]


def identity(engine: Engine, now: float) -> str:
    """Return twelve hexadecimal digits that no other database has, given at the first call.

    A copy still says where its original lay, and is given an identity of its own; so is, without harm, a
    database that was moved to another disk.
    """
    return lineage(engine, now).own


def lineage(engine: Engine, now: float) -> Lineage:
    """Return the identity, given at the first call, and those it follows."""
    with writing(engine) as connection:
        place = _place(connection)
        given, _, then = _setting(connection, IDENTITY).partition(" ")
        if given and then == place:
            replaced = tuple(_setting(connection, REPLACED).split())
            return Lineage(given, _setting(connection, ORIGINAL), replaced)
        new = token_hex(6)
        # What the original had replaced is the original's.
        _set(connection, {IDENTITY: f"{new} {place}", ORIGINAL: given, REPLACED: ""}, now)
        return Lineage(new, given, ())


def given_identity(engine: Engine) -> str:
    """Return the identity as it was given last, nothing before that; changes nothing."""
    with reading(engine) as connection:
        return _setting(connection, IDENTITY).partition(" ")[0]


def identities_in(path: Path) -> tuple[str, ...]:
    """Return the identities of a SQLite file and of those it replaced; none where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            settings = dict(database.execute("SELECT name, value FROM setting").fetchall())
    except sqlite3.Error:
        return ()
    return (*settings.get(IDENTITY, "").split()[:1], *settings.get(REPLACED, "").split())


def take_the_place_of(engine: Engine, replaced: tuple[str, ...], now: float) -> None:
    """Note that this database was restored where one of these identities lay."""
    lineage(engine, now)
    with writing(engine) as connection:
        _set(connection, {REPLACED: " ".join(replaced)}, now)


def _setting(connection: Connection, name: str) -> str:
    query = select(col(Setting.value)).where(col(Setting.name) == name)
    return connection.execute(query).scalar_one_or_none() or ""


def _set(connection: Connection, values: dict[str, str], now: float) -> None:
    rows = [{"name": name, "value": value, "changed": now} for name, value in values.items()]
    upsert(connection, table_of(Setting), rows)


def _place(connection: Connection) -> str:
    """Return what a database does not share with its copies: its number within the disk or the server."""
    if connection.dialect.name == "postgresql":
        number = "SELECT oid FROM pg_database WHERE datname = current_database()"
        return str(connection.exec_driver_sql(number).scalar_one())
    return str(Path(str(connection.engine.url.database)).stat().st_ino)


_FOR_GOOD = 0.0
"""The time of deletion of a run whose purge has begun: it does not come back."""

_AT_ONCE = 20_000
"""Points that are removed in one transaction, during which nobody else can write."""


@dataclass(frozen=True)
class TrashedRun:
    """A run in the trash: since when, and what goes with it."""

    run_id: int
    method: str
    experiment: str
    trashed: float
    points: int  # of all its curves
    checkpoints: tuple[CheckpointRow, ...]


def trash(engine: Engine, run_ids: Collection[int], now: float) -> None:
    """Put the runs into the trash, all or none.

    Raises RunNotFound, and InvalidTransition where one is queued or running, in the trash already, or what
    another run starts from that is not deleted with it.
    """
    with writing(engine) as connection:
        statuses = {run_id: job_row(connection, run_id).status for run_id in sorted(set(run_ids))}
        refuse_trashed(connection, statuses)
        active = [r for r, status in statuses.items() if status in (JobStatus.QUEUED, JobStatus.RUNNING)]
        if active:
            order = f"fsrun cancel {' '.join(map(str, active))}"
            raise InvalidTransition(
                f"{numbered(active)} {are(active)} queued or running: `{order}` comes first"
            )
        _refuse_needed(connection, statuses)
        for run_id in statuses:
            change_remark(connection, run_id, trashed=now)


def undo(engine: Engine, run_ids: Collection[int] = ()) -> tuple[int, ...]:
    """Take runs out of the trash, by default those deleted last; return them.

    What they start from comes with them. Raises RunNotFound, and InvalidTransition where there is nothing to
    take out.
    """
    with writing(engine) as connection:
        for run_id in run_ids:
            job_row(connection, run_id)
        latest = select(func.max(col(Remark.trashed))).scalar_subquery()
        wanted = col(Remark.run_id).in_(run_ids) if run_ids else col(Remark.trashed) == latest
        query = select(col(Remark.run_id)).where(wanted, col(Remark.trashed) > _FOR_GOOD)
        found = connection.execute(query).scalars().all()
        missing = sorted({*run_ids} - {*found})
        if missing or not found:
            lacking = f"{numbered(missing)} {are(missing)} not in the trash: `fsrun ls` lists what is there"
            raise InvalidTransition(lacking if missing else "the trash is empty: there is nothing to undo")
        family = ancestry(connection, found)
        lying = select(col(Run.id)).where(col(Run.id).in_(family), ~kept(Run.id)).order_by(col(Run.id))
        back = tuple(run_id for run_id in connection.execute(lying).scalars() if run_id is not None)
        connection.execute(update(Remark).where(col(Remark.run_id).in_(back)).values(trashed=None))
        return back


def trashed(engine: Engine, before: float) -> tuple[TrashedRun, ...]:
    """Return the runs that lie in the trash since that time or longer, in an order they can be purged in."""
    points = select(func.coalesce(func.sum(col(Metric.count)), 0)).where(col(Metric.run_id) == col(Run.id))
    columns = col(Run.id), col(Run.method), col(Run.experiment), col(Remark.trashed)
    query = (
        select(*columns, points.scalar_subquery().label("points"))
        .join(Remark, col(Remark.run_id) == col(Run.id))
        .where(col(Remark.trashed) <= before)
        .order_by(col(Run.id).desc())  # a run is always younger than what it starts from
    )
    with reading(engine) as connection:
        return tuple(
            TrashedRun(
                run_id=row.id,
                method=row.method,
                experiment=row.experiment,
                trashed=row.trashed,
                points=row.points,
                checkpoints=checkpoints_of(connection, row.id),
            )
            for row in connection.execute(query).all()
        )


def purge(engine: Engine, run_id: int, before: float) -> bool:
    """Remove everything about a run that lies in the trash since that time or longer; return whether it did.

    It stays where another run still starts from it. Others get their turn to write in between; a purge that
    was interrupted is finished by the next.
    """
    with writing(engine) as connection:
        this = col(Remark.run_id) == run_id
        lying = connection.execute(select(col(Remark.trashed)).where(this)).scalar_one_or_none()
        if lying is None or lying > before or _is_needed(connection, run_id):
            return False
        change_remark(connection, run_id, trashed=_FOR_GOOD)
        metrics = select(col(Metric.id)).where(col(Metric.run_id) == run_id)
        numbers = [number for number in connection.execute(metrics).scalars() if number is not None]
    for number in numbers:
        while _forget_points(engine, number):
            pass
    with writing(engine) as connection:
        connection.execute(delete(MetricSummary).where(col(MetricSummary.metric_id).in_(numbers)))
        for table in (Metric, Result, Checkpoint, Attempt, Dependency, Remark, Job):
            connection.execute(delete(table).where(table_of(table).c.run_id == run_id))
        connection.execute(delete(Run).where(col(Run.id) == run_id))
    return True


def _forget_points(engine: Engine, metric_id: int) -> bool:
    """Remove the first points of a metric; return whether there may be more."""
    with writing(engine) as connection:
        this = col(MetricPoint.metric_id) == metric_id
        steps = select(col(MetricPoint.step)).where(this).order_by(col(MetricPoint.step))
        end = connection.execute(steps.offset(_AT_ONCE).limit(1)).scalar_one_or_none()
        beginning = [] if end is None else [col(MetricPoint.step) < end]
        connection.execute(delete(MetricPoint).where(this, *beginning))
        return end is not None


def _refuse_needed(connection: Connection, run_ids: Collection[int]) -> None:
    """Raise InvalidTransition where runs that stay start from one of these."""
    query = (
        select(col(Dependency.parent_id), col(Dependency.run_id))
        .where(col(Dependency.parent_id).in_(run_ids), col(Dependency.run_id).not_in(run_ids))
        .where(kept(Dependency.run_id))
        .order_by(col(Dependency.parent_id), col(Dependency.run_id))
    )
    needs = connection.execute(query).all()
    if needs:
        parent = needs[0].parent_id
        children = [need.run_id for need in needs if need.parent_id == parent]
        start = "starts" if len(children) == 1 else "start"
        them = numbered(children)
        raise InvalidTransition(
            f"run {parent} cannot be deleted: {them} {start} from it; delete {them} before it or with it"
        )


def _is_needed(connection: Connection, run_id: int) -> bool:
    """Return whether any run, be it in the trash too, starts from this one."""
    children = select(col(Dependency.run_id)).where(col(Dependency.parent_id) == run_id).limit(1)
    return connection.execute(children).one_or_none() is not None


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
        raise DatabaseUnavailable(f"{backup} is not a backup of a database: name another file")
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
