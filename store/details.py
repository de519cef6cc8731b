"""One run in full, with its curves as closely as they are looked at.

Not here: the line of a run in a list (store.rows), and the picture as a whole (store.snapshot).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select
from sqlmodel import col

from store.metrics import Curve, metric_names, read_curve
from store.results import ResultRow
from store.rows import RunRow
from store.runs import AttemptRecord, attempts_of, parents_of, results_of
from store.tables import Job, Run


@dataclass(frozen=True)
class Look:
    """How closely runs are looked at: how many entries a curve may have, and between which steps.

    Of the runs in `compared` only one metric is read, with the ends of its band, called metric.low and
    metric.high. The window holds for all runs.
    """

    max_points: int = 200
    window: tuple[int, int] | None = None
    compared: tuple[int, ...] = ()
    metric: str = ""


@dataclass(frozen=True)
class RunDetail:
    """One run in full: `config` is its JSON text, `error` the whole traceback."""

    row: RunRow
    config: str
    curves: tuple[Curve, ...]
    results: tuple[ResultRow, ...]
    attempts: tuple[AttemptRecord, ...]
    parents: tuple[int, ...]
    error: str | None


SettledDetails = dict[int, tuple[object, RunDetail]]
"""Compared runs that are not running, each with all that can change what was read of it."""


def read_detail(connection: Connection, row: RunRow, look: Look, metric: str | None = None) -> RunDetail:
    """Return everything about the run of this line, its curves of one metric or of all."""
    query = select(col(Run.config), col(Job.error)).join(Job, col(Job.run_id) == col(Run.id))
    config, error = connection.execute(query.where(col(Run.id) == row.id)).one()
    names = metric_names(connection, row.id)
    first, last = look.window or (None, None)
    return RunDetail(
        row=row,
        config=config,
        curves=tuple(
            read_curve(connection, row.id, name, max_points=look.max_points, first=first, last=last)
            for name in names
            if metric is None or name.removesuffix(".low").removesuffix(".high") == metric
        ),
        results=results_of(connection, row.id),
        attempts=attempts_of(connection, row.id),
        parents=parents_of(connection, row.id),
        error=error,
    )


def read_compared(
    connection: Connection, rows: Mapping[int, RunRow], settled: SettledDetails, look: Look
) -> tuple[RunDetail, ...]:
    """Return the compared runs that are among the rows; those in `settled` are not read again."""
    asked = look.max_points, look.window, look.metric
    found = []
    for row in (rows[run_id] for run_id in look.compared if run_id in rows):
        standing = asked, row.status, row.attempt, row.finished
        known = settled.get(row.id)
        if known is None or known[0] != standing:
            known = standing, read_detail(connection, row, look, look.metric)
            if row.finished is not None:
                settled[row.id] = known
        found.append(replace(known[1], row=row))
    for run_id in settled.keys() - set(look.compared):
        del settled[run_id]
    return tuple(found)
