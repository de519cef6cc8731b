"""Curves of runs that differ in their seed alone, drawn as one: their mean, and the band between them.

Not here: which runs those are (comparing.py).
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import inf, isfinite, nan

from fsrun.plot import Series


def merged(name: str, curves: Sequence[Series]) -> Series:
    """Return the mean over the curves, and as its band their lowest and highest, at the steps of the longest.

    A curve counts from its first to its last point, between two of them by a straight line; not where it has
    a gap. At least one curve must be given.
    """
    longest = max(curves, key=lambda curve: (curve.steps[-1] if curve.steps else -inf, len(curve.steps)))
    rows = [[value for curve in curves if isfinite(value := _at(curve, step))] for step in longest.steps]
    return Series(
        name=name,
        steps=longest.steps,
        values=[sum(row) / len(row) if row else nan for row in rows],
        low=[min(row, default=nan) for row in rows],
        high=[max(row, default=nan) for row in rows],
    )


def _at(curve: Series, step: float) -> float:
    """Return the curve's value at a step, NaN where it has none."""
    steps, values = curve.steps, curve.values
    after = bisect_left(steps, step)
    if after == len(steps):
        return nan
    if steps[after] == step:
        return values[after]
    if after == 0:
        return nan
    part = (step - steps[after - 1]) / (steps[after] - steps[after - 1])
    return values[after - 1] + part * (values[after] - values[after - 1])
