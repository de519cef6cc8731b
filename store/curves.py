"""Curves: points as they are reported, summaries of 64 of them, and as few points as a screen can show."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan, nan
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Engine,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    union_all,
    update,
)
from sqlmodel import col

from store.engine import reading, upsert_many, writing
from store.jobs import fence
from store.tables import Attempt, Metric, MetricPoint, MetricSummary, table_of

RADIX = 16
"""How many buckets of one level make one of the next: bucket = step // RADIX**level, level 0 the points."""

LEVELS = 6
"""The number of levels above the points: the widest bucket spans 16**6, about 17 million steps."""


class Summary(NamedTuple):
    """Some neighbouring points of a curve; a single point is a summary of one.

    `low`, `high` and `total` leave NaN out, and are NaN where there is nothing else.
    """

    points: int
    nans: int
    low: float
    high: float
    total: float
    last_step: int
    last_value: float
    last_time: float

    @property
    def mean(self) -> float:
        """The mean of the values that are numbers."""
        numbers = self.points - self.nans
        return self.total / numbers if numbers else nan


def of_point(step: int, value: float, time: float) -> Summary:
    """Return the summary of one point."""
    return Summary(1, int(isnan(value)), value, value, value, step, value, time)


def merge(parts: Sequence[Summary]) -> Summary:
    """Return the summary of several, in order of their steps and at least one."""
    last = parts[-1]
    points, nans, low, high, total, *_ = zip(*parts, strict=True)
    if any(nans):  # of a part that holds no number, low, high and total are none either
        numbers = [part for part in parts if part.nans < part.points]
        low, high, total = (tuple(part[place] for part in numbers) for place in (2, 3, 4))
    return Summary(
        points=sum(points),
        nans=sum(nans),
        low=min(low, default=nan),
        high=max(high, default=nan),
        total=sum(total, start=0.0) if total else nan,
        last_step=last.last_step,
        last_value=last.last_value,
        last_time=last.last_time,
    )


def merge_by(parts: Iterable[Summary], width: int) -> list[tuple[int, Summary]]:
    """Merge the parts, in order of their steps, into buckets `width` steps wide: (bucket, summary) pairs."""
    groups = groupby(parts, key=lambda part: part.last_step // width)
    return [(bucket, merge(list(group))) for bucket, group in groups]


def width_for(first: int, last: int, max_buckets: int) -> int:
    """Return the smallest power of two that cuts the steps first..last into at most max_buckets buckets.

    A power of two, so that buckets stay where they are while the curve grows.
    """
    width = 1
    while last // width - first // width + 1 > max_buckets and width <= last:
        width *= 2
    return width


def level_for(width: int) -> int:
    """Return the highest level whose buckets fit into buckets of this width."""
    level = 0
    while level < LEVELS and RADIX ** (level + 1) <= width:
        level += 1
    return level


_NO_BOUND = 2**31 - 1
"""A step beyond all; no bucket reaches over it."""
_POINTS = table_of(MetricPoint).c
_BUCKETS = table_of(MetricSummary).c
_SUMMARY_COLUMNS = (
    _BUCKETS.count,
    _BUCKETS.nan_count,
    _BUCKETS.low,
    _BUCKETS.high,
    _BUCKETS.total,
    _BUCKETS.last_step,
    _BUCKETS.last_value,
    _BUCKETS.last_time,
)

# Built once: building it takes longer than executing it, and every flush of every metric does. One SELECT a
# level, because SQLite answers an OR over levels by reading all of them.
_SIBLINGS = union_all(
    *(
        select(_BUCKETS.level, _BUCKETS.bucket, *_SUMMARY_COLUMNS).where(
            _BUCKETS.metric_id == bindparam("metric"),
            _BUCKETS.level == level,
            _BUCKETS.bucket.between(bindparam(f"low_{level}"), bindparam(f"high_{level}")),
        )
        for level in range(1, LEVELS + 1)
    )
)
_STRETCH = (
    select(_POINTS.step, _POINTS.value, _POINTS.time)
    .where(
        _POINTS.metric_id == bindparam("metric"),
        _POINTS.step.between(bindparam("first"), bindparam("last")),
    )
    .order_by(_POINTS.step)
    .limit(bindparam("most"))
)
_DIRECTORY_LINE = update(table_of(Metric)).where(table_of(Metric).c.id == bindparam("metric"))


def _write(
    connection: Connection, points: Mapping[int, Sequence[tuple[int, float, float]]], ends: Mapping[int, int]
) -> None:
    """Store points, (step, value, time) by metric id, at least one each; one at the same step is replaced.

    `ends` has the last step that each metric had before.
    """
    rows = [
        (metric_id, step, stored(value), time)
        for metric_id, curve in points.items()
        for step, value, time in curve
    ]
    upsert_many(connection, table_of(MetricPoint), rows)
    touched = []
    for metric_id, curve in points.items():
        first, last = min(curve)[0], max(curve)[0]
        begin = first // RADIX * RADIX
        if first > ends[metric_id]:  # the usual case: nothing but these lies beyond
            added = {step: of_point(step, float(value), time) for step, value, time in curve}
            parts = _read_points(connection, metric_id, begin, first - 1)
            parts += [added[step] for step in sorted(added)]
        else:
            parts = _read_touched(connection, metric_id, first, last)
        touched.append(_Touched(metric_id, first, last, parts))
    _summarise(connection, touched)


def _forget(connection: Connection, metric_id: int, step: int) -> None:
    """Delete a metric's points after the step, and the metric if none are left."""
    points = delete(MetricPoint).where(col(MetricPoint.metric_id) == metric_id)
    connection.execute(points.where(col(MetricPoint.step) > step))
    touched = [
        and_(_BUCKETS.level == level, _BUCKETS.bucket >= step // RADIX**level)
        for level in range(1, LEVELS + 1)
    ]
    connection.execute(delete(MetricSummary).where(_BUCKETS.metric_id == metric_id, or_(*touched)))
    left = select(func.max(_POINTS.step)).where(_POINTS.metric_id == metric_id)
    if connection.execute(left).scalar_one() is None:
        connection.execute(delete(Metric).where(col(Metric.id) == metric_id))
    else:
        parts = _read_touched(connection, metric_id, step, step)
        _summarise(connection, [_Touched(metric_id, step, step, parts)])


class _Touched(NamedTuple):
    """What has changed of a metric: from which step to which, and the points of all buckets in between."""

    metric_id: int
    first: int
    last: int
    parts: list[Summary]


def _read_touched(connection: Connection, metric_id: int, first: int, last: int) -> list[Summary]:
    return _read_points(connection, metric_id, first // RADIX * RADIX, last // RADIX * RADIX + RADIX - 1)


def _summarise(connection: Connection, touched: Iterable[_Touched]) -> None:
    """Rebuild what the points touch, metric by metric: buckets and lines of the directory.

    Rebuilding from the level below, instead of adding to what is there, needs no special case for replaced
    points, and sums do not depend on how points came in batches; it reads at most 2 * RADIX more rows.
    """
    buckets, directory = [], []
    for metric_id, first, last, parts in touched:
        siblings = _read_siblings(connection, metric_id, first, last)
        for level in range(1, LEVELS + 1):
            rebuilt = merge_by(parts, RADIX**level)
            buckets += [_summary_row(metric_id, level, bucket, part) for bucket, part in rebuilt]
            beside = siblings[level] | dict(rebuilt)
            parts = [beside[bucket] for bucket in sorted(beside)]  # noqa: PLW2901 (level by level)
        directory.append(_directory_row(metric_id, parts))
    upsert_many(connection, table_of(MetricSummary), buckets)
    connection.execute(_DIRECTORY_LINE, directory)


def _read_siblings(
    connection: Connection, metric_id: int, first: int, last: int
) -> Mapping[int, dict[int, Summary]]:
    """Return level -> bucket -> summary of the buckets in the same parents as those that first..last touch.

    Those touched are left out. The top level counts as in one parent.
    """
    bounds = {"metric": metric_id}
    for level in range(1, LEVELS + 1):
        parent = RADIX ** (level + 1) if level < LEVELS else None
        bounds[f"low_{level}"] = first // parent * RADIX if parent else 0
        bounds[f"high_{level}"] = (last // parent + 1) * RADIX - 1 if parent else _NO_BOUND
    found: dict[int, dict[int, Summary]] = {level: {} for level in range(1, LEVELS + 1)}
    for level, bucket, *columns in connection.execute(_SIBLINGS, bounds).all():
        if not first // RADIX**level <= bucket <= last // RADIX**level:
            found[level][bucket] = _summary(columns)
    return found


def _directory_row(metric_id: int, top_level: Sequence[Summary]) -> dict[str, Any]:
    newest = top_level[-1]
    return {
        "metric": metric_id,
        "last_step": newest.last_step,
        "last_value": stored(newest.last_value),
        "last_time": newest.last_time,
        "count": sum(part.points for part in top_level),
    }


def _read_between(connection: Connection, metric_id: int, level: int, first: int, last: int) -> list[Summary]:
    """Return summaries of exactly the points first..last, in order of their steps.

    They are those of a level, but at either end, where a bucket reaches beyond, those of finer levels.
    """
    if level == 0:
        return _read_points(connection, metric_id, first, last)
    width = RADIX**level
    begin, end = -(-first // width), (last + 1) // width  # buckets begin..end-1 lie between
    if begin >= end:
        return _read_between(connection, metric_id, level - 1, first, last)
    query = select(*_SUMMARY_COLUMNS).where(
        _BUCKETS.metric_id == metric_id, _BUCKETS.level == level, _BUCKETS.bucket.between(begin, end - 1)
    )
    rows = connection.execute(query.order_by(_BUCKETS.bucket)).all()
    before, after = (first, begin * width - 1), (end * width, last)
    ends = [
        _read_between(connection, metric_id, level - 1, *steps) if steps[0] <= steps[1] else []
        for steps in (before, after)
    ]
    return [*ends[0], *map(_summary, rows), *ends[1]]


def _summary(columns: Sequence[Any]) -> Summary:
    """Return the summary of _SUMMARY_COLUMNS as the database holds them."""
    points, nans, low, high, total, step, value, time = columns
    return Summary(points, nans, restored(low), restored(high), restored(total), step, restored(value), time)


def _read_points(
    connection: Connection, metric_id: int, first: int, last: int, limit: int | None = None
) -> list[Summary]:
    """Return the points from first to last step, or the earliest `limit` of them."""
    bounds = {"metric": metric_id, "first": first, "last": last, "most": limit or _NO_BOUND}
    rows = connection.execute(_STRETCH, bounds).all()
    return [of_point(step, restored(value), time) for step, value, time in rows]


def _summary_row(metric_id: int, level: int, bucket: int, part: Summary) -> tuple[Any, ...]:
    """Return the row of a bucket, in the order of the table's columns."""
    return (
        metric_id,
        level,
        bucket,
        part.points,
        part.nans,
        stored(part.low),
        stored(part.high),
        stored(part.total),
        part.last_step,
        stored(part.last_value),
        part.last_time,
    )


def stored(value: float) -> float | None:
    """Return the value as the database holds it: SQLite has no NaN, and stores NULL."""
    return None if isnan(value) else float(value)


def restored(value: float | None) -> float:
    """Return the value that the database holds."""
    return nan if value is None else value


_METRICS = table_of(Metric).c
_AT_ONCE = 20_000
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
        _write(connection, {lines[name][0]: curve for name, curve in curves.items()}, ends)


def add_points(
    connection: Connection, run_id: int, name: str, points: Sequence[tuple[int, float]], now: float
) -> None:
    """Store a metric of a run that was made elsewhere, which nobody has a lease on: values by their steps."""
    if points:
        metric_id, last = _directory(connection, run_id, [name], now)[name]
        curve = [(step, value, now) for step, value in points]
        _write(connection, {metric_id: curve}, {metric_id: last})


def rewind(engine: Engine, run_id: int, attempt: int, step: int) -> None:
    """Forget all points after this step, because the attempt goes on from here. Raises LeaseLost."""
    with writing(engine, beside_others=True) as connection:
        fence(connection, run_id, attempt, step=step)
        this = update(Attempt).where(col(Attempt.run_id) == run_id, col(Attempt.number) == attempt)
        connection.execute(this.values(from_step=step))
        beyond = select(_METRICS.id).where(_METRICS.run_id == run_id, _METRICS.last_step > step)
        for metric_id in connection.execute(beyond).scalars().all():
            _forget(connection, metric_id, step)


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
    begin, end = first or 0, _NO_BOUND if last is None or last >= metric.last_step else last
    points = _read_points(connection, metric.id, begin, end, limit=max_points + 1)
    if len(points) <= max_points:
        return _curve(name, points)
    width = width_for(points[0].last_step, min(end, metric.last_step), max_points)
    parts = _read_between(connection, metric.id, level_for(width), begin, end)
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
            parts = _read_points(connection, metric.id, first, metric.last_step, _AT_ONCE)
        yield from (Point(name, part.last_step, part.last_value, part.last_time) for part in parts)
        if len(parts) < _AT_ONCE:
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
