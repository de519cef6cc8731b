"""From values to places on the axes: logarithms, what is out of the window, and how far the axes reach.

Not here: characters (canvas.py, chart.py).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite, log10, nan

from fsrun.axes import limits
from fsrun.plot.series import Series

Ends = tuple[float, float]

_LARGEST = 1e280  # beyond it differences and margins overflow


def place(value: float, log: bool) -> float:
    """Return where on an axis a value lies, NaN if nowhere; on a log axis this is the exponent."""
    if not abs(value) <= _LARGEST or (log and value <= 0):
        return nan
    return log10(value) if log else float(value)


def placed(series: Series, window: Ends | None, *, log_x: bool, log_y: bool) -> Series:
    """Return what is shown of the series, in axis units, its lines cut off at the ends of the window."""
    steps = _places(series.steps, log_x)
    columns = [
        None if values is None else _places(values, log_y)
        for values in (series.values, series.low, series.high)
    ]
    if log_x:
        pairs = zip(steps, columns[0] or (), strict=True)
        columns[0] = [value if isfinite(step) else nan for step, value in pairs]
    if window is not None:
        low, high = (place(end, log_x) for end in window)
        columns = [None if values is None else _cut(steps, values, low, high) for values in columns]
        steps = _cut(steps, steps, low, high)
    values, lows, highs = columns
    return replace(series, steps=steps, values=values or (), low=lows, high=highs)


def _places(values: Sequence[float], log: bool) -> list[float]:
    """Return what place does for each of many values; curves are linear most of the time."""
    if log:
        return [place(value, log) for value in values]
    return [value if -_LARGEST <= value <= _LARGEST else nan for value in values]


def _cut(steps: Sequence[float], values: Sequence[float], low: float, high: float) -> list[float]:
    """Return the values at the steps in the window, and at its ends where a line goes on beyond them."""
    first, last = bisect_left(steps, low), bisect_right(steps, high)
    inside = list(values[first:last])
    if 0 < first < len(steps) and (first == last or steps[first] > low):
        inside.insert(0, _between(steps, values, first, low))
    if 0 < last < len(steps) and (first == last or steps[last - 1] < high):
        inside.append(_between(steps, values, last, high))
    return inside


def _between(steps: Sequence[float], values: Sequence[float], after: int, step: float) -> float:
    part = (step - steps[after - 1]) / (steps[after] - steps[after - 1])
    return values[after - 1] + part * (values[after] - values[after - 1])


def extent(
    shown: Sequence[Series], heights: Sequence[float], window: Ends | None, *, log_x: bool
) -> tuple[Ends, Ends]:
    """Return the ends of both axes around what is shown, and around other heights, all in axis units."""
    if window is None:
        x = limits([step for one in shown for step in one.steps if isfinite(step)], 0.0)
    else:
        x = limits([place(end, log_x) for end in window], 0.0)
    return x, limits([*_heights(shown), *heights], 0.03)


def _heights(shown: Sequence[Series]) -> Iterator[float]:
    for one in shown:
        for values in (one.values, one.low, one.high):
            yield from filter(isfinite, values or ())
