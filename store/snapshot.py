"""One consistent picture of everything a screen or a list shows, as frozen values.

Not here: how it is drawn, how often it is taken, and how to take many in a row cheaply (store.pictures).
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, or_, select
from sqlmodel import col

from store.details import Look, RunDetail, read_detail
from store.engine import reading
from store.errors import RunNotFound
from store.jobs import JobStatus, kept, telling_line
from store.orders import is_paused
from store.remarks import tags_of
from store.rows import RunRow, WorkerRow
from store.runs import unfinished_parents
from store.tables import Job, Metric, Remark, Result, Run, Worker, table_of


@dataclass(frozen=True)
class Snapshot:
    """The state of the database at one moment; `counts` is over all runs, also those not listed."""

    taken: float
    runs: tuple[RunRow, ...]
    workers: tuple[WorkerRow, ...]
    counts: Mapping[JobStatus, int]
    selected: RunDetail | None
    paused: bool = False
    compared: tuple[RunDetail, ...] = ()


def snapshot(
    engine: Engine, *, now: float, selected: int | None = None, max_points: int = 200, limit: int = 1000
) -> Snapshot:
    """Read the newest `limit` runs, all that are running, and the selected one with its curves.

    Runs come newest first, curves in at most about `max_points` entries. Raises RunNotFound if the
    selected run is not there.
    """
    with reading(engine) as connection:
        return read_snapshot(connection, {}, now=now, selected=selected, look=Look(max_points), limit=limit)


SettledRows = dict[int, tuple[tuple[Any, ...], RunRow]]
"""Lines of runs that are not running, by run, each with all of its job that can change it (_STANDING)."""


def read_snapshot(
    connection: Connection,
    settled: SettledRows,
    *,
    now: float,
    selected: int | None,
    look: Look,
    limit: int,
) -> Snapshot:
    """Do what snapshot does, inside a transaction, but for the runs compared (store.details).

    Lines in `settled`, from this database, are not read again where they still hold; it is brought up to
    date.
    """
    workers = _workers(connection, now)
    runs = _runs(connection, settled, now, workers, selected, limit)
    if selected is not None and selected not in runs:
        raise RunNotFound(f"there is no run {selected}: `fsrun ls` lists the runs there are")
    return Snapshot(
        taken=now,
        runs=tuple(runs.values()),
        workers=workers,
        counts=_counts(connection),
        paused=is_paused(connection),
        selected=None if selected is None else read_detail(connection, runs[selected], look),
    )


def _workers(connection: Connection, now: float) -> tuple[WorkerRow, ...]:
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


def _runs(
    connection: Connection,
    settled: SettledRows,
    now: float,
    workers: Collection[WorkerRow],
    selected: int | None,
    limit: int,
) -> dict[int, RunRow]:
    newest = select(col(Run.id)).where(kept(Run.id)).order_by(col(Run.id).desc()).limit(limit).subquery()
    listed = or_(
        col(Job.run_id).in_(select(newest.c.id)),
        col(Job.status) == JobStatus.RUNNING.value,
        col(Job.run_id) == (-1 if selected is None else selected),
    )
    query = select(*_STANDING).outerjoin(Remark, col(Remark.run_id) == col(Job.run_id))
    query = query.where(listed, kept(Job.run_id)).order_by(col(Job.run_id).desc())
    rows = connection.execute(query).all()
    standing = {row.run_id: tuple(row) for row in rows}
    for run_id in settled.keys() - standing.keys():
        del settled[run_id]
    known = {run_id: row for run_id, (then, row) in settled.items() if then == standing[run_id]}
    fresh = _read_rows(connection, standing.keys() - known.keys(), now, workers)
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
    query = (
        select(
            table_of(Job),
            *(column for column in table_of(Run).c if column.name != "config"),
            col(Remark.note),
            col(Remark.tags),
        )
        .join(Run, col(Run.id) == col(Job.run_id))
        .outerjoin(Remark, col(Remark.run_id) == col(Job.run_id))
        .where(col(Job.run_id).in_(run_ids))
    )
    rows = connection.execute(query).all() if run_ids else []
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
        **joined,
    )


def _values(
    connection: Connection, run_ids: Collection[int], model: type[Metric] | type[Result], column: str
) -> dict[int, dict[str, float]]:
    """Return run -> name -> value, NaN where the database has NULL."""
    table = table_of(model).c
    query = select(table.run_id, table.name, table[column]).where(table.run_id.in_(run_ids))
    values: dict[int, dict[str, float]] = {}
    if not run_ids:
        return values
    for run_id, name, value in connection.execute(query.order_by(table.run_id, table.name)).all():
        values.setdefault(run_id, {})[name] = float("nan") if value is None else value
    return values
