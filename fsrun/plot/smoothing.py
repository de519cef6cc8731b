"""Smoothing a curve over a stretch of steps, however densely it was sampled.

Not here: which stretch (fsrun.tui).
"""

from collections.abc import Sequence
from math import exp, isfinite


def smoothed(steps: Sequence[float], values: Sequence[float], scale: float) -> list[float]:
    """Return the exponential moving average that forgets by a factor of e every `scale` steps.

    Each value counts for the stretch of steps since the one before, so that twice as many points change
    nothing; divided by the sum of all weights, so that it does not start out from zero. What is no number
    stays a gap and adds nothing. A scale of 0 or less changes nothing.
    """
    if scale <= 0 or len(steps) < 2:
        return list(values)
    average = weight = 0.0
    found = []
    before = steps[0] - (steps[1] - steps[0])  # as long a stretch as the next
    for step, value in zip(steps, values, strict=True):
        if not isfinite(value):
            found.append(value)
            continue
        kept = exp(-max(step - before, 0) / scale)
        before = step
        average = kept * average + (1 - kept) * value
        weight = kept * weight + (1 - kept)
        found.append(average / weight if weight else value)
    return found
