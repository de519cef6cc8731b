"""95 % intervals of means over runs.

Not here: which runs belong together (fsrun.report.measured, fsrun.tui.groups).
"""

import math
from collections.abc import Sequence
from functools import cache


def interval_of(values: Sequence[float], own: Sequence[float | None]) -> float | None:
    """Return half of the 95 % interval of the mean of runs, given their own; None where one is unknown."""
    known = [interval for interval in own if interval is not None]
    if len(known) < len(own):
        return None
    if len(own) == 1:
        return known[0]
    over_episodes = math.sqrt(sum(interval**2 for interval in known) / len(known))
    return math.hypot(over_runs(values), over_episodes)


def over_runs(values: Sequence[float]) -> float:
    """Return half of the 95 % interval of the mean over runs by Student's t, 0 for a single run."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return student_t(len(values) - 1) * math.sqrt(variance / len(values))


@cache
def student_t(degrees: int) -> float:
    """Return t so that Student's distribution has 95 % of its mass within -t..t; degrees of freedom >= 1."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _mass_within(middle, degrees) < 0.95 else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def _mass_within(angle: float, degrees: int) -> float:
    """Return P(|T| <= sqrt(degrees) tan(angle)), a finite sum where the degrees are whole.

    Abramowitz and Stegun, formulas 26.7.3 and 26.7.4.
    """
    odd = degrees % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for place in range(1, degrees // 2 + 1):
        total += term
        term *= math.cos(angle) ** 2 * (2 * place - 1 + odd) / (2 * place + odd)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
