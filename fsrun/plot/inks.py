"""How the lines of a chart look, so that they can be told apart with colour and without.

Not here: which line is which (legend.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fsrun.plot.series import Series, Style

RGB = tuple[int, int, int]

COLOURS: tuple[RGB, ...] = (
    (70, 160, 220),
    (225, 145, 30),
    (20, 160, 115),
    (205, 120, 165),
    (213, 94, 0),
    (140, 130, 215),
)
"""Told apart by colour-blind readers, and readable on light and on dark (after Okabe and Ito)."""

GREY = "rgb(128,128,128)"
MARKS = ("", "•", "×", "◆", "▲", "○", "■")  # with the colours 42 pairs
LETTERS = "*+ox#%&"
_DASHES = {Style.SOLID: (1, 0), Style.FAINT: (1, 1), Style.DASHED: (5, 4), Style.REFERENCE: (2, 2)}
_SAMPLES = {Style.SOLID: "─", Style.FAINT: "─", Style.DASHED: "╌╌", Style.REFERENCE: "┄┄"}


@dataclass(frozen=True)
class Ink:
    """How one series looks: the character of its line without braille, marks along it, band, dashes."""

    line: str
    mark: str
    sample: str
    band: str
    style: str
    band_style: str
    dash: tuple[int, int]


def inks_of(series: Sequence[Series], colour: bool) -> list[Ink]:
    """Return how each series looks."""
    return [_ink(one, index if one.look is None else one.look, colour) for index, one in enumerate(series)]


def _ink(series: Series, look: int, colour: bool) -> Ink:
    on, off = _DASHES[series.style]
    if not colour:
        letter = {Style.REFERENCE: "~", Style.FAINT: "."}.get(series.style, LETTERS[look % len(LETTERS)])
        mark = "" if series.style in (Style.REFERENCE, Style.FAINT) else letter
        return Ink(letter, mark, letter, ":", "", "", (max(on // 2, 1), (off + 1) // 2))
    rgb = COLOURS[look % len(COLOURS)]
    mark = MARKS[look % len(MARKS)] if series.style in (Style.SOLID, Style.DASHED) else ""
    styles = {Style.REFERENCE: GREY, Style.FAINT: _style(_faint(rgb))}
    sample = _SAMPLES[series.style] if series.style is not Style.SOLID else mark or "─"
    return Ink("", mark, sample, "░", styles.get(series.style, _style(rgb)), _style(_faint(rgb)), (on, off))


def _style(rgb: RGB) -> str:
    return "rgb({},{},{})".format(*rgb)


def _faint(colour: RGB) -> RGB:
    red, green, blue = ((channel + 2 * 128) // 3 for channel in colour)
    return red, green, blue
