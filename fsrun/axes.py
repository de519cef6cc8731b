"""The arithmetic of an axis: its ends, and round numbers along it; and numbers as text.

Not here: drawing (fsrun.plot).
"""

from collections.abc import Sequence
from math import ceil, floor, inf, log10


def format_number(value: float) -> str:
    """Return the value in four significant digits: 0.0123, 12.3, 20k, 1.5M, 3.2e-07."""
    value = float(f"{value:.4g}")  # rounded first: 9999.9 is 10k
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size <= abs(value) < 1e12:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:.4g}"


def with_interval(mean: float, interval: float | None) -> str:
    """Return "mean ± interval" with the interval in two significant digits and the mean in as many places.

    An interval that is rounding, or unknown, is left out.
    """
    if interval is None or not 1e-9 * abs(mean) < interval < inf:
        return f"{mean:.4g}"
    places = max(0, 1 - floor(log10(interval)))
    return f"{mean:.{places}f} ± {interval:.{places}f}"


def limits(values: Sequence[float], margin: float) -> tuple[float, float]:
    """Return the ends of an axis, always apart from each other by more than rounding."""
    low, high = min(values), max(values)
    least = max(abs(low), abs(high), 1e-12) * 1e-9
    if high - low <= least:
        pad = abs(low) * 0.1 or 1.0  # a constant, at whatever size
        return low - pad, high + pad
    return low - margin * (high - low), high + margin * (high - low)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers between the ends, at most about `most`."""
    size = 10.0 ** floor(log10((high - low) / most))
    step = next(size * by for by in (1, 2, 2.5, 5, 10, inf) if (high - low) / (size * by) <= most)
    first = ceil(low / step)
    count = min(floor(high / step) - first + 1, 2 * most)
    return [float(f"{(first + index) * step:.12g}") for index in range(count)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return exponents of round numbers between the ends: decades, or finer where there are too few."""
    for digits in ((1,), (1, 3), (1, 2, 5)):
        every = max(ceil((high - low) / most), 1)
        decades = range(floor(low), ceil(high) + 1, every)
        exponents = [decade + log10(digit) for decade in decades for digit in digits]
        inside = [exponent for exponent in exponents if low <= exponent <= high]
        if len(inside) >= min(3, most):
            return inside
    return [log10(tick) for tick in ticks(10**low, 10**high, most) if tick > 0]
