"""The database at one moment, for lists and screens; read again and again at the cost of what changed."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from json import dumps
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, func, or_, select
from sqlmodel import col

from store.engine import reading
from store.errors import RunNotFound
from store.jobs import JobStatus, kept, telling_line
from store.queue import is_paused
from store.runs import tags_of, unfinished_parents
from store.tables import Attempt, Job, Metric, Remark, Result, Run, Worker, table_of
from store.views import (
    Look,
    RunDetail,
    RunRow,
    SettledDetails,
    WorkerRow,
    read_compared,
    read_detail,
    seeds_in,
)

MOST_RUNS = 1000
"""How many runs are listed where nobody asks for more or fewer."""


@dataclass(frozen=True)
class Which:
    """Which runs a list is about: those that meet everything given; None and "" ask for nothing.

    `held_by` is part of the name of the worker that has the run, or had it last.
    """

    run_ids: frozenset[int] | None = None
    status: JobStatus | None = None
    experiment: str = ""
    tag: str = ""
    held_by: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what a query over jobs, runs and remarks must meet; runs in the trash never do."""
        conditions = [kept(Job.run_id)]
        if self.run_ids is not None:
            conditions.append(col(Job.run_id).in_(self.run_ids))
        if self.status is not None:
            conditions.append(col(Job.status) == self.status.value)
        if self.experiment:
            conditions.append(col(Run.experiment) == self.experiment)
        if self.tag:
            conditions.append(col(Remark.tags).contains(dumps(self.tag), autoescape=True))
        if self.held_by:
            conditions.append(col(Job.worker_id).contains(self.held_by, autoescape=True))
        return conditions


@dataclass(frozen=True)
class Snapshot:
    """The state of the database at one moment.

    `found` is how many runs there are of those asked for, listed or not; `counts` is over all runs.
    """

    taken: float
    runs: tuple[RunRow, ...]
    workers: tuple[WorkerRow, ...]
    counts: Mapping[JobStatus, int]
    selected: RunDetail | None
    paused: bool = False
    compared: tuple[RunDetail, ...] = ()
    found: int = 0


def snapshot(
    engine: Engine,
    *,
    now: float,
    selected: int | None = None,
    max_points: int = 200,
    limit: int | None = MOST_RUNS,
    which: Which | None = None,
) -> Snapshot:
    """Read the newest `limit` runs, or all, and those that are running; of them those in `which`.

    The selected run is read with its curves, in at most about `max_points` entries. Runs come newest first.
    Raises RunNotFound if the selected run is not there.
    """
    with reading(engine) as connection:
        return read_snapshot(
            connection,
            {},
            now=now,
            selected=selected,
            look=Look(max_points),
            limit=limit,
            which=which or Which(),
        )


SettledRows = dict[int, tuple[tuple[Any, ...], RunRow]]
"""Lines of runs that are not running, by run, each with all of its job that can change it (_STANDING)."""


def read_snapshot(
    connection: Connection,
    settled: SettledRows,
    *,
    now: float,
    selected: int | None,
    look: Look,
    limit: int | None,
    which: Which,
    also: Collection[int] = (),
) -> Snapshot:
    """Do what snapshot does, inside a transaction, but for the runs compared (store.views).

    Runs in `also` are listed in any case. Lines in `settled`, from this database, are not read again where
    they still hold; it is brought up to date.
    """
    workers = read_workers(connection, now)
    listed = {*also, *look.compared, *(() if selected is None else (selected,))}
    runs = _runs(connection, settled, now, workers, _listed(which, limit, listed))
    if selected is not None and selected not in runs:
        raise RunNotFound(f"there is no run {selected}: `fsrun ls` lists the runs there are")
    return Snapshot(
        taken=now,
        runs=tuple(runs.values()),
        workers=workers,
        counts=_counts(connection),
        paused=is_paused(connection),
        selected=None if selected is None else read_detail(connection, runs[selected], look),
        found=connection.execute(_jobs(func.count()).where(*which.conditions())).scalar_one(),
    )


def read_workers(connection: Connection, now: float) -> tuple[WorkerRow, ...]:
    """Return the workers that have not signed off, those heard of last first."""
    alive = select(table_of(Worker)).where(col(Worker.stopped).is_(None))
    return tuple(
        WorkerRow(row.id, row.host, row.pid, row.device, row.started, now - row.heartbeat, row.run_id)
        for row in connection.execute(alive.order_by(col(Worker.heartbeat).desc(), col(Worker.id)))
    )


def _counts(connection: Connection) -> Mapping[JobStatus, int]:
    counted = connection.execute(
        select(col(Job.status), func.count()).where(kept(Job.run_id)).group_by(col(Job.status))
    )
    return Counter({JobStatus(status): count for status, count in counted})


_AT_ONCE = 10_000  # runs: one query takes no more than some 30,000 numbers

_STANDING = (
    col(Job.run_id),
    col(Job.status),
    col(Job.attempt),
    col(Job.priority),
    col(Job.finished),
    col(Job.cancel_requested),
    col(Remark.note),
    col(Remark.tags),
)
"""What tells whether the line of a run that is not running has changed: all else changes only with these."""


def _jobs(*columns: Any) -> Select[Any]:
    """Return a query over every job with its run, and its remark where there is one."""
    query = select(*columns).select_from(table_of(Job)).join(Run, col(Run.id) == col(Job.run_id))
    return query.outerjoin(Remark, col(Remark.run_id) == col(Job.run_id))


def _listed(which: Which, limit: int | None, also: Collection[int]) -> ColumnElement[bool]:
    """Return the condition that a job is in the list."""
    wanted = and_(*which.conditions())
    if limit is not None:
        newest = _jobs(col(Job.run_id)).where(wanted).order_by(col(Job.run_id).desc()).limit(limit).subquery()
        running = and_(wanted, col(Job.status) == JobStatus.RUNNING.value)
        wanted = or_(col(Job.run_id).in_(select(newest.c.run_id)), running)
    return or_(wanted, and_(col(Job.run_id).in_(also), kept(Job.run_id))) if also else wanted


def _runs(
    connection: Connection,
    settled: SettledRows,
    now: float,
    workers: Collection[WorkerRow],
    listed: ColumnElement[bool],
) -> dict[int, RunRow]:
    rows = connection.execute(_jobs(*_STANDING).where(listed).order_by(col(Job.run_id).desc())).all()
    standing = {row.run_id: tuple(row) for row in rows}
    for run_id in settled.keys() - standing.keys():
        del settled[run_id]
    known = {run_id: row for run_id, (then, row) in settled.items() if then == standing[run_id]}
    fresh: dict[int, RunRow] = {}
    unread = sorted(standing.keys() - known.keys())
    for first in range(0, len(unread), _AT_ONCE):
        fresh |= _read_rows(connection, unread[first : first + _AT_ONCE], now, workers)
    for run_id, row in fresh.items():
        if row.status is not JobStatus.RUNNING:
            settled[run_id] = (standing[run_id], row)
    known |= fresh
    waits_for = unfinished_parents(connection)
    return {run_id: _waiting(known[run_id], tuple(waits_for.get(run_id, ()))) for run_id in standing}


def _waiting(row: RunRow, parents: tuple[int, ...]) -> RunRow:
    return row if row.waits_for == parents else replace(row, waits_for=parents)


def _read_rows(
    connection: Connection, run_ids: Collection[int], now: float, workers: Collection[WorkerRow]
) -> dict[int, RunRow]:
    """Return the lines of some runs, but for what they wait for."""
    query = _jobs(table_of(Job), table_of(Run), col(Remark.note), col(Remark.tags))
    rows = connection.execute(query.where(col(Job.run_id).in_(run_ids))).all()
    spent = select(col(Attempt.run_id), func.sum(col(Attempt.ended) - col(Attempt.started)))
    spent = spent.where(col(Attempt.run_id).in_(run_ids), col(Attempt.ended).is_not(None))
    worked = {row[0]: row[1] for row in connection.execute(spent.group_by(col(Attempt.run_id)))}
    latest = _values(connection, run_ids, Metric, "last_value")
    results = _values(connection, run_ids, Result, "value")
    intervals = _values(connection, run_ids, Result, "interval")
    ages = {worker.id: worker.heartbeat_age for worker in workers}
    return {
        row.run_id: _run_row(
            row,
            latest=latest.get(row.run_id, {}),
            results=results.get(row.run_id, {}),
            intervals=intervals.get(row.run_id, {}),
            heartbeat_age=ages.get(row.worker_id) if row.status == JobStatus.RUNNING else None,
            lease_left=None if row.lease_until is None else row.lease_until - now,
            waits_for=(),
            worked=worked.get(row.run_id, 0.0),
        )
        for row in rows
    }


def _run_row(row: Row[Any], **joined: Any) -> RunRow:
    """Return the line of a row that has the columns of job, run and remark."""
    remaining = row.total_steps - row.step
    running = row.status == JobStatus.RUNNING
    return RunRow(
        id=row.run_id,
        experiment=row.experiment,
        method=row.method,
        preset=row.preset,
        seed=row.seed,
        n_way=row.n_way,
        k_shot=row.k_shot,
        status=JobStatus(row.status),
        priority=row.priority,
        step=row.step,
        total_steps=row.total_steps,
        rate=row.rate,
        eta_seconds=max(remaining, 0) / row.rate if running and row.rate else None,
        worker_id=row.worker_id,
        attempt=row.attempt,
        created=row.created,
        started=row.started,
        finished=row.finished,
        cancel_requested=row.cancel_requested,
        error=telling_line(row.error),
        group_hash=row.group_hash,
        variant=row.variant,
        note=row.note or "",
        tags=tags_of(row.tags),
        seeds=seeds_in(row.config),
        **joined,
    )


def _values(
    connection: Connection, run_ids: Collection[int], model: type[Metric] | type[Result], column: str
) -> dict[int, dict[str, float]]:
    """Return run -> name -> value, NaN where the database has NULL."""
    table = table_of(model).c
    query = select(table.run_id, table.name, table[column]).where(table.run_id.in_(run_ids))
    values: dict[int, dict[str, float]] = {}
    for run_id, name, value in connection.execute(query.order_by(table.run_id, table.name)).all():
        values.setdefault(run_id, {})[name] = float("nan") if value is None else value
    return values


class Pictures:
    """Takes snapshots for whoever looks again and again; for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._connection: object = None  # the driver's, over which the rest was read
        self._asked: tuple[object, ...] = ()
        self._last: Snapshot | None = None
        self._settled: SettledRows = {}
        self._settled_details: SettledDetails = {}

    def take(
        self,
        *,
        now: float,
        selected: int | None = None,
        look: Look | None = None,
        limit: int | None = MOST_RUNS,
        which: Which | None = None,
        also: Collection[int] = (),
    ) -> Snapshot:
        """Do what store.snapshot.snapshot does, and read the runs to compare.

        Runs in `also` are listed in any case. Where nothing was committed since, only ages change.
        """
        look, which = look or Look(), which or Which()
        with reading(self.engine) as connection:
            driver = connection.connection.dbapi_connection
            if driver is not self._connection:  # perhaps to another file: one that was put in its place
                self._connection, self._last, self._settled, self._settled_details = driver, None, {}, {}
            asked = (_state(connection, driver), selected, look, limit, which, frozenset(also))
            if self._last is None or asked != self._asked:
                self._last = None  # of no use where reading fails
                taken = read_snapshot(
                    connection,
                    self._settled,
                    now=now,
                    selected=selected,
                    look=look,
                    limit=limit,
                    which=which,
                    also=also,
                )
                rows = {row.id: row for row in taken.runs}
                compared = read_compared(connection, rows, self._settled_details, look)
                self._last = replace(taken, compared=compared)
                self._asked = asked
        return _at(self._last, now)


def _state(connection: Connection, driver: Any) -> tuple[object, ...]:
    """Return what changes, for this connection, whenever anything is committed, by itself or by others."""
    if connection.dialect.name == "postgresql":
        return (connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one(),)
    # The version tells of others' changes, the total of this connection's own.
    version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
    return version, driver.total_changes


def _at(taken: Snapshot, now: float) -> Snapshot:
    """Return the same picture as it looks at another time."""
    later = now - taken.taken
    if not later:
        return taken

    def older(row: RunRow) -> RunRow:
        if row.heartbeat_age is None and row.lease_left is None:
            return row
        age = None if row.heartbeat_age is None else row.heartbeat_age + later
        return replace(
            row, heartbeat_age=age, lease_left=None if row.lease_left is None else row.lease_left - later
        )

    def older_worker(row: WorkerRow) -> WorkerRow:
        return replace(row, heartbeat_age=row.heartbeat_age + later)

    selected = taken.selected
    return replace(
        taken,
        taken=now,
        runs=tuple(map(older, taken.runs)),
        workers=tuple(map(older_worker, taken.workers)),
        selected=None if selected is None else replace(selected, row=older(selected.row)),
    )
