"""Curves drawn with characters, for the screen and for reports alike."""

from fsrun.plot.chart import Drawing, Field, Plot, draw, draw_chart
from fsrun.plot.inks import COLOURS
from fsrun.plot.series import Level, Series, Style
from fsrun.plot.smoothing import smoothed

__all__ = [
    "COLOURS",
    "Drawing",
    "Field",
    "Level",
    "Plot",
    "Series",
    "Style",
    "draw",
    "draw_chart",
    "smoothed",
]
