"""Folding points into summaries: what a stretch of a curve looks like without its points.

Not here: where summaries are kept (store.metrics). No database.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from math import isnan, nan
from typing import NamedTuple

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
