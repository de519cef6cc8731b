"""The colours of the dashboard: four themes, and how each mixes the inks of words and charts.

Not here: what stands on the screen. Colour is never the only sign: everything reads without it.
"""

from collections.abc import Mapping
from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

RGB = tuple[int, int, int]

BLUE: RGB = (70, 160, 220)
ORANGE: RGB = (225, 145, 30)
GREEN: RGB = (20, 160, 115)
RED: RGB = (220, 80, 70)
PINK: RGB = (205, 120, 165)
VERMILLION: RGB = (213, 94, 0)
VIOLET: RGB = (140, 130, 215)
GREY: RGB = (128, 128, 128)
"""The inks as fsrun.words and fsrun.plot name them; a theme may mix each anew."""

# Okabe and Ito's palette: sky blue, orange, bluish green, vermillion and reddish purple; darker where the
# ground is light.
_OKABE_ITO = {
    BLUE: (86, 180, 233),
    ORANGE: (230, 159, 0),
    GREEN: (0, 158, 115),
    RED: (213, 94, 0),
    PINK: (204, 121, 167),
}
_OKABE_ITO_ON_LIGHT = {
    BLUE: (0, 114, 178),
    ORANGE: (154, 104, 0),
    GREEN: (0, 122, 89),
    RED: (184, 80, 0),
    PINK: (158, 84, 124),
    VERMILLION: (176, 60, 0),
    VIOLET: (100, 88, 180),
    GREY: (105, 105, 105),
}
_ON_LIGHT = {
    BLUE: (20, 105, 165),
    ORANGE: (160, 95, 5),
    GREEN: (10, 118, 84),
    RED: (190, 45, 40),
    PINK: (165, 70, 120),
    VERMILLION: (176, 60, 0),
    VIOLET: (100, 88, 180),
    GREY: (105, 105, 105),
}


def _hex(ink: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*ink)


def _theme(name: str, inks: Mapping[RGB, RGB], *, dark: bool) -> Theme:
    shown = {ink: _hex(inks.get(ink, ink)) for ink in (BLUE, ORANGE, GREEN, RED)}
    return Theme(
        name=name,
        primary=shown[BLUE],
        secondary=shown[GREEN],
        accent=shown[ORANGE],
        warning=shown[ORANGE],
        error=shown[RED],
        success=shown[GREEN],
        foreground="#c9ced6" if dark else "#23272e",
        background="#14171c" if dark else "#fbfaf7",
        surface="#1c2027" if dark else "#efede8",
        panel="#232830" if dark else "#e4e1da",
        dark=dark,
    )


_INKS: Mapping[str, Mapping[RGB, RGB]] = {
    "fsrun-dark": {},
    "fsrun-light": _ON_LIGHT,
    "okabe-ito-dark": _OKABE_ITO,
    "okabe-ito-light": _OKABE_ITO_ON_LIGHT,
}
THEMES = tuple(_theme(name, inks, dark=name.endswith("dark")) for name, inks in _INKS.items())
"""The dashboard's own themes, the one a first start shows first."""


def mixed(theme: str, ink: RGB) -> RGB:
    """Return how a theme mixes an ink."""
    return _INKS.get(theme, {}).get(ink, ink)


def following(name: str) -> str:
    """Return the theme that comes after this one, the first after the last or after one not known here."""
    names = [theme.name for theme in THEMES]
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


class Inks(LineFilter):
    """Draws the inks of words and charts as the theme mixes them, over whatever widget they are in."""

    def __init__(self, theme: str) -> None:
        inks = _INKS.get(theme, {})
        super().__init__(enabled=bool(inks))
        styles = {ink: Style.from_color(RichColor.from_rgb(*inks[ink])) for ink in inks}

        @lru_cache(1024)
        def remixed(style: Style) -> Style:
            ink = None if style.color is None or style.color.triplet is None else tuple(style.color.triplet)
            return style if ink is None or ink not in styles else style + styles[ink]

        self._remixed = remixed

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments in the theme's colours."""
        return [
            segment if segment.style is None else Segment(segment.text, self._remixed(segment.style))
            for segment in segments
        ]
