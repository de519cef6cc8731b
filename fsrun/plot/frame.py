"""The axes around a chart: the only file that knows plotext.

Not here: what is drawn between them (canvas.py). plotext draws a line in some milliseconds for each hundred
points, too long for a screen of many charts.
"""

from functools import lru_cache

import plotext

Tick = tuple[float, str]  # where on an axis, and what it says there


@lru_cache(maxsize=128)  # axes change seldom: a growing curve outgrows them now and then
def frame(
    width: int,
    height: int,
    x: tuple[float, float],
    y: tuple[float, float],
    x_ticks: tuple[Tick, ...],
    y_ticks: tuple[Tick, ...],
    x_label: str,
) -> tuple[str, ...]:
    """Return the axes as `height` lines; the field between them is the right upper part.

    Call it from one thread only: plotext has one figure for the whole process.
    """
    figure = plotext.figure
    plotext.terminal.limit(False, False)  # else plots are cut to a terminal of 80 x 22
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    figure.axes(active=False, axis="y", side="right")
    figure.axes(active=False, axis="x", side="upper")
    figure.ruler("y").lim(*y).ticks([place for place, _ in y_ticks], [words for _, words in y_ticks])
    figure.ruler("x").lim(*x).ticks([place for place, _ in x_ticks], [words for _, words in x_ticks])
    if x_label:
        figure.label(x_label)
    drawn = figure.build().string(colorless=True).rstrip("\n").split("\n")
    return tuple([*drawn, *[""] * height][:height])


def field(width: int, height: int, y_ticks: tuple[Tick, ...], x_label: str) -> tuple[int, int, int]:
    """Return where the field between the axes is: its left column, its width and its height."""
    left = max((len(words) for _, words in y_ticks), default=0) + 1
    return left, max(width - left, 1), max(height - 2 - bool(x_label), 1)
