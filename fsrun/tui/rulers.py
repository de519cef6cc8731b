"""From steps to what is on the x axis, and back: steps, time since the start, or epochs.

Not here: which of them is shown (chart_view.py), and drawing (fsrun.plot).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from experiments.errors import ConfigError
from fsrun.tui.chart_view import XAxis
from fsrun.words import duration
from store.curves import Curve

Tick = tuple[float, str]

_ROUND_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True)
class Ruler:
    """Turns the steps of one run into places on the x axis; `started` is when the run first began.

    Between two points time runs evenly, before the first and after the last one as fast as beside them.
    """

    axis: XAxis = XAxis.STEP
    epoch: float = 1.0  # steps
    steps: tuple[float, ...] = ()
    times: tuple[float, ...] = ()

    def place(self, step: float) -> float:
        """Return where on the axis a step lies."""
        if self.axis is XAxis.EPOCH:
            return step / self.epoch
        return _between(step, self.steps, self.times) if self.axis is XAxis.TIME else step

    def step(self, place: float) -> float:
        """Return the step that lies at a place."""
        if self.axis is XAxis.EPOCH:
            return place * self.epoch
        return _between(place, self.times, self.steps) if self.axis is XAxis.TIME else place


def ruler_of(axis: XAxis, curve: Curve, started: float | None, epoch: float | None) -> Ruler:
    """Return the ruler for a curve; steps where its run knows no epochs."""
    if axis is XAxis.EPOCH:
        return Ruler(axis, epoch) if epoch else Ruler()
    if axis is XAxis.STEP or not curve.steps:
        return Ruler()
    origin = curve.times[0] if started is None else started
    latest, rising = float("-inf"), []
    for moment in curve.times:  # clocks may be put back, and machines may differ
        latest = max(latest, moment - origin)
        rising.append(latest)
    return Ruler(axis, steps=tuple(map(float, curve.steps)), times=tuple(rising))


def time_ticks(low: float, high: float, most: int) -> tuple[Tick, ...]:
    """Return round times between two numbers of seconds, at most about `most`, none below a second."""
    every = next((size for size in _ROUND_SECONDS if (high - low) / size <= most), None)
    if every is None:
        every = 86400 * ceil((high - low) / 86400 / most)
    if high - low < every:
        return ()
    first = ceil(low / every)
    return tuple((float(n * every), _short(n * every)) for n in range(first, int(high // every) + 1))


@lru_cache(maxsize=64)
def steps_per_epoch(config: str) -> float | None:
    """Return how many steps see as many images as there are to train on, None where that is not known.

    It is known of trainings by minibatches; numbered episodes make no epochs.
    """
    from experiments.config import (
        CnnConfig,
        ImageRun,
        PretrainConfig,
        ShrinkingConfig,
        config_from_json,
    )  # takes long to load

    try:
        parsed = config_from_json(config)
    except ConfigError:  # stored by another version of the program
        return None
    if not isinstance(parsed, ImageRun):
        return None
    method, splits = parsed.method, parsed.method.splits
    if isinstance(method, PretrainConfig) and method.objective == "softmax":
        splits = tuple(method.classes.split("+"))
    elif not isinstance(method, CnnConfig | ShrinkingConfig):
        return None
    images = parsed.data.images_per_class * sum(parsed.data.class_count(split) for split in splits)
    return images / method.batch_size if images else None


def _short(seconds: int) -> str:
    """Return a time without the parts of it that are zero."""
    words = "0" if seconds == 0 else duration(seconds)
    return words.removesuffix("00s").removesuffix("00m").removesuffix("00h") if len(words) > 3 else words


def _between(value: float, known: Sequence[float], wanted: Sequence[float]) -> float:
    """Return what belongs to a value, on the straight lines through the points that are known."""
    if len(known) < 2:
        return wanted[0] + value - known[0] if known else value
    after = min(max(bisect_left(known, value), 1), len(known) - 1)
    width = known[after] - known[after - 1]
    if width <= 0:
        return wanted[after]
    part = (value - known[after - 1]) / width
    return wanted[after - 1] + part * (wanted[after] - wanted[after - 1])
