"""Curves drawn with characters: the only file that knows plotext, for the screen and for reports alike.

Not here: which curves to draw (fsrun.tui, fsrun.report), and fractions of a character for pictures in files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor, isfinite, log10

import plotext
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from fsrun.axes import Points, format_number, limits, log_ticks, thinned, ticks

RGB = tuple[int, int, int]
Tick = tuple[float, str]  # where on an axis, and what it says there

COLOURS: tuple[RGB, ...] = ((70, 160, 220), (225, 145, 30), (20, 160, 115), (205, 120, 165))
"""Told apart by colour-blind readers, and readable on light and on dark (after Okabe and Ito)."""

GREY: RGB = (128, 128, 128)
_PLAIN = str.maketrans("┌┐└┘─│├┤┬┴┼", "++++-|+++++")
_LARGEST = 1e280  # beyond it differences and margins overflow
_SMALLEST = (24, 6)  # columns and rows below which there is no room for axes


@dataclass(frozen=True)
class Series:
    """One curve; all sequences are equally long. NaN is a gap, `low` and `high` are drawn as a faint band."""

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Level:
    """A named horizontal line."""

    name: str
    value: float


@dataclass(frozen=True)
class _Ink:
    """How one series looks: the line, the marks that tell it from the others without colour, the band."""

    line: str
    mark: str
    band: str
    colour: RGB | None


@dataclass(frozen=True)
class _Area:
    """Where a plot goes, in characters, and how: `height` without title and legend."""

    width: int
    height: int
    log_y: bool
    colour: bool
    x_ticks: tuple[Tick, ...]


def draw_chart(
    series: Sequence[Series],
    *,
    width: int,
    height: int,
    title: str = "",
    log_y: bool = False,
    lines: Sequence[Level] = (),
    colour: bool = True,
    x_label: str = "",
    x_ticks: Sequence[Tick] = (),
) -> Text:
    """Draw the series as text of exactly `height` lines, at most `width` columns wide.

    Values that are infinite, or not positive on a log axis, are left out. With `colour` lines are braille;
    without, everything is ASCII and each series has its own character. `x_ticks` are for an axis of another
    scale, on which the caller has placed the steps already. Call it from one thread only: plotext has one
    figure for the whole process.
    """
    shown = [_scaled(one, log_y) for one in series]
    levels = [level for level in lines if _place(level.value, log_y) is not None]
    heads = _head(series, levels, title, width, colour)[: max(height - 1, 1)]
    area = _Area(width, height - len(heads), log_y, colour, tuple(x_ticks))
    if width < _SMALLEST[0] or area.height < _SMALLEST[1]:
        body = [Text()] * area.height
    elif not any(True for one in shown for _ in _stretches(one)):
        body = _empty(area, "no point can be drawn" if any(one.values for one in series) else "no points yet")
    else:
        places = (_place(level.value, log_y) for level in levels)
        body = _plot(area, shown, [place for place in places if place is not None], x_label)
    text = Text("\n").join([*heads, *body])
    return text if colour else Text(text.plain.translate(_PLAIN))


def _place(value: float | None, log_y: bool) -> float | None:
    """Return where on the axis a value lies, None if nowhere."""
    if value is None or not abs(value) <= _LARGEST or (log_y and value <= 0):
        return None
    return log10(value) if log_y else float(value)


def _scaled(series: Series, log_y: bool) -> Series:
    """Return the series in axis units, NaN where nothing is drawn; on a log axis these are exponents."""

    def placed(values: Sequence[float] | None) -> list[float] | None:
        if values is None:
            return None
        places = (_place(value, log_y) for value in values)
        return [float("nan") if place is None else place for place in places]

    return replace(
        series, values=placed(series.values) or [], low=placed(series.low), high=placed(series.high)
    )


def _stretches(series: Series) -> Iterator[Points]:
    """Give the points between gaps. plotext 6.1 ends the whole process on NaN, so it must never see one."""
    stretch: Points = []
    for step, value in zip(series.steps, series.values, strict=True):
        if isfinite(value):
            stretch.append((float(step), value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _ink(index: int, colour: bool) -> _Ink:
    if colour:
        marks = ("", "•", "×", "◆")
        return _Ink("braille", marks[index % 4], "░", COLOURS[index % len(COLOURS)])
    return _Ink("*+ox"[index % 4], "*+ox"[index % 4], ":", None)


def _head(
    series: Sequence[Series], levels: Sequence[Level], title: str, width: int, colour: bool
) -> list[Text]:
    """Return the title with the legend behind it, or below it where the line is too short."""
    entries = [
        _legend_entry(_ink(index, colour), one, alone=len(series) == 1) for index, one in enumerate(series)
    ]
    grey = "dim" if colour else ""
    dashes = "┈┈" if colour else ".."
    entries += [Text(f"{dashes} {level.name} {format_number(level.value)}", grey) for level in levels]
    legend = Text("   ").join(entries)
    name = Text(title, "bold" if colour else "")
    joined = Text("   ").join([name, legend]) if title and legend.plain else name + legend
    parts = [joined] if joined.cell_len <= width else [name, legend]
    for part in parts:
        part.truncate(width, overflow="ellipsis" if colour else "crop")
    return [part for part in parts if part.plain] or [Text()]


def _legend_entry(ink: _Ink, series: Series, *, alone: bool) -> Text:
    sample = "" if alone else f"{ink.mark or '─'} " if ink.colour else f"{ink.line} "
    number = f" {format_number(series.values[-1])}" if series.values else ""
    style = "" if ink.colour is None else "rgb({},{},{})".format(*ink.colour)
    return Text(sample, style) + Text(series.name + number, style)


def _empty(area: _Area, words: str) -> list[Text]:
    """Return axes with nothing on them but some words."""
    rows = [Text(" │", "dim") for _ in range(area.height - 2)]
    rows[len(rows) // 2].append(words.center(area.width - 2).rstrip())
    return [*rows, Text(" └" + "─" * (area.width - 2), "dim"), Text()]


def _plot(area: _Area, shown: Sequence[Series], levels: Sequence[float], x_label: str) -> list[Text]:
    """Hand everything to plotext and return what it drew, line by line."""
    figure = plotext.figure
    plotext.terminal.limit(False, False)  # else plots are cut to a terminal of 80 x 22
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(area.width, area.height)
    figure.axes(active=False, axis="y", side="right")
    figure.axes(active=False, axis="x", side="upper")
    x = limits([float(step) for one in shown for step in one.steps], 0.0)
    columns = _set_axes(area, x, limits([*_extent(shown), *levels], 0.03))
    for level in levels:
        across = [x[0] + (x[1] - x[0]) * column / area.width for column in range(area.width + 1)]
        points = [(step, level) for step in across]
        _scatter(points, "┈" if area.colour else ".", GREY if area.colour else None)
    inks = [_ink(index, area.colour) for index in range(len(shown))]
    for one, ink in zip(shown, inks, strict=True):
        _draw_band(_strokes(one, x, columns), ink)
    for one, ink in zip(shown, inks, strict=True):
        _draw_series(one, ink, 4 * area.width)
    if x_label and area.height >= 2 * _SMALLEST[1]:
        figure.label(x_label)
    drawn = Text.from_ansi(str(figure.build()).rstrip("\n")).split("\n")
    lines = [_fit(line, area.width) for line in [*drawn, *[Text()] * area.height][: area.height]]
    for line in lines if area.colour else ():
        line.highlight_regex("[│┤└┬─]+", "dim")  # only axes are made of these
    return lines


def _fit(line: Text, width: int) -> Text:
    line.rstrip()
    if cell_len(line.plain) > width:
        line.plain = set_cell_size(line.plain, width)
    return line


def _extent(shown: Sequence[Series]) -> Iterator[float]:
    for one in shown:
        for values in (one.values, one.low or (), one.high or ()):
            yield from (value for value in values if isfinite(value))


def _set_axes(area: _Area, x: tuple[float, float], y: tuple[float, float]) -> int:
    """Set both axes and return how many columns are left between them for curves."""
    most = max(round(area.height * 0.4), 2)
    upward = log_ticks(*y, most) if area.log_y else ticks(*y, most)
    labels = [format_number(10**tick if area.log_y else tick).rjust(6) for tick in upward]
    plotext.figure.ruler("y").lim(*y).ticks(upward, labels)
    across = area.x_ticks or [(tick, format_number(tick)) for tick in ticks(*x, max(area.width // 14, 2))]
    plotext.figure.ruler("x").lim(*x).ticks([place for place, _ in across], [words for _, words in across])
    return max(area.width - 1 - max(map(len, labels), default=0), 1)


def _signal(points: Points, symbol: str, colour: RGB | None) -> "plotext.signal":
    marker = plotext.marker(symbol) if colour is None else plotext.marker(symbol, plotext.pixel(colour))
    return plotext.figure.signal([step for step, _ in points], [value for _, value in points], marker=marker)


def _scatter(points: Points, symbol: str, colour: RGB | None) -> None:
    plotext.figure.draw(_signal(points, symbol, colour))


def _draw_series(series: Series, ink: _Ink, most: int) -> None:
    stretches = [thinned(stretch, most) for stretch in _stretches(series)]
    for stretch in stretches:
        plotext.figure.draw(_signal(stretch, ink.line, ink.colour).lines())
    points = [point for stretch in stretches for point in stretch]
    lonely = [stretch[0] for stretch in stretches if len(stretch) == 1]
    marked = points[:: max(len(points) // 12, 1)] if ink.mark else lonely
    if marked:
        _scatter(marked, ink.mark or "•", ink.colour)


def _strokes(series: Series, x: tuple[float, float], columns: int) -> list[tuple[float, float, float]]:
    """Return middle, lowest and highest value for each column of characters that has entries of the band."""
    # a band is made of whole characters, so one stroke per column looks like all its entries
    width = (x[1] - x[0]) / max(columns - 1, 1)
    ends: dict[int, tuple[float, float]] = {}
    for step, low, high in zip(series.steps, series.low or (), series.high or (), strict=False):
        if low < high:
            column = floor((step - x[0]) / width + 0.5)  # where plotext puts it
            lowest, highest = ends.get(column, (low, high))
            ends[column] = (min(lowest, low), max(highest, high))
    return [(min(x[0] + column * width, x[1]), low, high) for column, (low, high) in ends.items()]


def _draw_band(strokes: Sequence[tuple[float, float, float]], ink: _Ink) -> None:
    """Draw each stroke faintly, upright from its lowest to its highest value."""
    if not strokes:
        return
    points = [(step, value) for step, low, high in strokes for value in (low, high)]
    signal = _signal(points, ink.band, None if ink.colour is None else _faint(ink.colour))
    for index in range(1, len(points), 2):
        signal.line(index)
    plotext.figure.draw(signal)


def _faint(colour: RGB) -> RGB:
    red, green, blue = ((channel + 2 * 128) // 3 for channel in colour)
    return red, green, blue
