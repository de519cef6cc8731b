"""Points and their summaries as rows: kept in step with each other, and read back.

Not here: who may write them and what a curve is (store.metrics); how they fold (store.summaries).
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, union_all, update
from sqlmodel import col

from store.summaries import LEVELS, RADIX, Summary, merge_by, of_point
from store.tables import Metric, MetricPoint, MetricSummary, table_of
from store.upserts import upsert_many

NO_BOUND = 2**31 - 1
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


def write(
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
            parts = read_points(connection, metric_id, begin, first - 1)
            parts += [added[step] for step in sorted(added)]
        else:
            parts = _read_touched(connection, metric_id, first, last)
        touched.append(_Touched(metric_id, first, last, parts))
    _summarise(connection, touched)


def forget(connection: Connection, metric_id: int, step: int) -> None:
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
    return read_points(connection, metric_id, first // RADIX * RADIX, last // RADIX * RADIX + RADIX - 1)


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
        bounds[f"high_{level}"] = (last // parent + 1) * RADIX - 1 if parent else NO_BOUND
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


def read_between(connection: Connection, metric_id: int, level: int, first: int, last: int) -> list[Summary]:
    """Return summaries of exactly the points first..last, in order of their steps.

    They are those of a level, but at either end, where a bucket reaches beyond, those of finer levels.
    """
    if level == 0:
        return read_points(connection, metric_id, first, last)
    width = RADIX**level
    begin, end = -(-first // width), (last + 1) // width  # buckets begin..end-1 lie between
    if begin >= end:
        return read_between(connection, metric_id, level - 1, first, last)
    query = select(*_SUMMARY_COLUMNS).where(
        _BUCKETS.metric_id == metric_id, _BUCKETS.level == level, _BUCKETS.bucket.between(begin, end - 1)
    )
    rows = connection.execute(query.order_by(_BUCKETS.bucket)).all()
    before, after = (first, begin * width - 1), (end * width, last)
    ends = [
        read_between(connection, metric_id, level - 1, *steps) if steps[0] <= steps[1] else []
        for steps in (before, after)
    ]
    return [*ends[0], *map(_summary, rows), *ends[1]]


def _summary(columns: Sequence[Any]) -> Summary:
    """Return the summary of _SUMMARY_COLUMNS as the database holds them."""
    points, nans, low, high, total, step, value, time = columns
    return Summary(points, nans, restored(low), restored(high), restored(total), step, restored(value), time)


def read_points(
    connection: Connection, metric_id: int, first: int, last: int, limit: int | None = None
) -> list[Summary]:
    """Return the points from first to last step, or the earliest `limit` of them."""
    bounds = {"metric": metric_id, "first": first, "last": last, "most": limit or NO_BOUND}
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
