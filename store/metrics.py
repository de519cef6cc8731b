"""Curves: written in batches under the lease, read at the cost of the pixels drawn.

Not here: how points fold into summaries (store.summaries), and what a finished run measured (store.results).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Engine, insert, select, update
from sqlmodel import col

from store import buckets
from store.engine import reading, writing
from store.jobs import fence
from store.summaries import Summary, level_for, merge_by, width_for
from store.tables import Attempt, Metric, table_of

_METRICS = table_of(Metric).c
_STRETCH = 20_000
"""Points that are read in one transaction."""


class Point(NamedTuple):
    """One value of one metric; `time` in Unix seconds."""

    name: str
    step: int
    value: float
    time: float


@dataclass(frozen=True)
class Curve:
    """A metric of one run as drawn: tuples of equal length, one entry per point or stretch of points.

    `steps` and `times` are those of the last point of each stretch, `low` and `high` its extremes.
    """

    name: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    last: tuple[float, ...]
    times: tuple[float, ...]


def write_points(
    engine: Engine,
    run_id: int,
    attempt: int,
    points: Sequence[Point],
    *,
    step: int,
    rate: float | None,
    now: float,
) -> None:
    """Store the points and how far the run is: steps done, steps per second. Raises LeaseLost.

    A point at a step that has one already replaces it.
    """
    with writing(engine, beside_others=True) as connection:
        fence(connection, run_id, attempt, step=step, rate=rate, reported=now)
        if not points:
            return
        curves: dict[str, list[tuple[int, float, float]]] = {}
        for name, moment, value, time in points:
            curves.setdefault(name, []).append((moment, value, time))
        lines = _directory(connection, run_id, curves, now)
        ends = dict(lines.values())
        buckets.write(connection, {lines[name][0]: curve for name, curve in curves.items()}, ends)


def add_points(
    connection: Connection, run_id: int, name: str, points: Sequence[tuple[int, float]], now: float
) -> None:
    """Store a metric of a run that was made elsewhere, which nobody has a lease on: values by their steps."""
    if points:
        metric_id, last = _directory(connection, run_id, [name], now)[name]
        curve = [(step, value, now) for step, value in points]
        buckets.write(connection, {metric_id: curve}, {metric_id: last})


def rewind(engine: Engine, run_id: int, attempt: int, step: int) -> None:
    """Forget all points after this step, because the attempt goes on from here. Raises LeaseLost."""
    with writing(engine, beside_others=True) as connection:
        fence(connection, run_id, attempt, step=step)
        this = update(Attempt).where(col(Attempt.run_id) == run_id, col(Attempt.number) == attempt)
        connection.execute(this.values(from_step=step))
        beyond = select(_METRICS.id).where(_METRICS.run_id == run_id, _METRICS.last_step > step)
        for metric_id in connection.execute(beyond).scalars().all():
            buckets.forget(connection, metric_id, step)


def read_curve(
    connection: Connection,
    run_id: int,
    name: str,
    *,
    max_points: int,
    first: int | None = None,
    last: int | None = None,
) -> Curve:
    """Return the metric between two steps, both included, in at most about max_points entries.

    Every entry is of points between the two steps alone. Reads at most 17 * max_points rows, and of a part
    of the curve some hundred more, however long it is; a metric the run lacks is an empty curve.
    """
    query = select(_METRICS.id, _METRICS.last_step).where(_METRICS.run_id == run_id, _METRICS.name == name)
    metric = connection.execute(query).one_or_none()
    if metric is None:
        return _curve(name, [])
    begin, end = first or 0, buckets.NO_BOUND if last is None or last >= metric.last_step else last
    points = buckets.read_points(connection, metric.id, begin, end, limit=max_points + 1)
    if len(points) <= max_points:
        return _curve(name, points)
    width = width_for(points[0].last_step, min(end, metric.last_step), max_points)
    parts = buckets.read_between(connection, metric.id, level_for(width), begin, end)
    return _curve(name, [summary for _, summary in merge_by(parts, width)])


def every_point(engine: Engine, run_id: int, name: str) -> Iterator[Point]:
    """Yield every point of a metric in order of its steps, read in stretches that block nobody for long."""
    first = 0
    while True:
        with reading(engine) as connection:
            query = select(_METRICS.id, _METRICS.last_step)
            metric = connection.execute(
                query.where(_METRICS.run_id == run_id, _METRICS.name == name)
            ).one_or_none()
            if metric is None:
                return
            parts = buckets.read_points(connection, metric.id, first, metric.last_step, _STRETCH)
        yield from (Point(name, part.last_step, part.last_value, part.last_time) for part in parts)
        if len(parts) < _STRETCH:
            return
        first = parts[-1].last_step + 1


def metric_names(connection: Connection, run_id: int) -> tuple[str, ...]:
    """Return the names of the run's metrics, in alphabetical order."""
    query = select(_METRICS.name).where(_METRICS.run_id == run_id).order_by(_METRICS.name)
    return tuple(connection.execute(query).scalars())


def _directory(
    connection: Connection, run_id: int, names: Iterable[str], now: float
) -> Mapping[str, tuple[int, int]]:
    """Return name -> (id, last step) of the run's metrics, new lines made where these names had none."""
    query = select(_METRICS.name, _METRICS.id, _METRICS.last_step).where(_METRICS.run_id == run_id)
    lines = {name: (metric_id, last) for name, metric_id, last in connection.execute(query)}
    for name in sorted(names):
        if name not in lines:
            row = {"run_id": run_id, "name": name, "last_step": -1, "last_time": now, "count": 0}
            made = connection.execute(insert(Metric).values(row).returning(_METRICS.id))
            lines[name] = made.scalar_one(), -1
    return lines


def _curve(name: str, parts: Sequence[Summary]) -> Curve:
    return Curve(
        name=name,
        steps=tuple(part.last_step for part in parts),
        mean=tuple(part.mean for part in parts),
        low=tuple(part.low for part in parts),
        high=tuple(part.high for part in parts),
        last=tuple(part.last_value for part in parts),
        times=tuple(part.last_time for part in parts),
    )
