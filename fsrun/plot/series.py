"""What is drawn: curves in their styles, and named horizontal lines.

Not here: how (chart.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Style(Enum):
    """How the line of a series looks; only what is faint is not in the legend."""

    SOLID = "solid"
    DASHED = "dashed"  # in the colour of its place among the series
    REFERENCE = "reference"  # dotted and grey: what theory expects, what others measured
    FAINT = "faint"  # behind all others: the raw curve of a smoothed one


@dataclass(frozen=True)
class Series:
    """One curve; all sequences are equally long. NaN is a gap, `low` and `high` are drawn as a faint band.

    Series of equal `look` have one colour and one mark; without one it is the place among the series.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    style: Style = Style.SOLID
    look: int | None = None


@dataclass(frozen=True)
class Level:
    """A named horizontal line."""

    name: str
    value: float
