"""A chart as text: what is drawn where, and in which order.

Not here: which curves (fsrun.tui, fsrun.report), and fractions of a character for pictures in files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from rich.text import Span, Text

from fsrun.axes import format_number, log_ticks, ticks
from fsrun.plot.canvas import Canvas
from fsrun.plot.frame import Tick, field, frame
from fsrun.plot.inks import GREY, Ink, inks_of
from fsrun.plot.legend import head
from fsrun.plot.placing import extent, place, placed
from fsrun.plot.series import Level, Series, Style

_PLAIN = str.maketrans("┌┐└┘─│├┤┬┴┼", "++++-|+++++")
_SMALLEST = (24, 6)  # columns and rows below which there is no room for axes


@dataclass(frozen=True)
class Plot:
    """What a chart shows, whatever its size.

    `x_ticks` are for an axis of another scale, on which the caller has placed the steps already. Beyond
    `x_limits` nothing is drawn. `cursor` is where values are read, `title` may have styles.
    """

    series: tuple[Series, ...]
    title: str | Text = ""
    lines: tuple[Level, ...] = ()
    log_y: bool = False
    log_x: bool = False
    x_label: str = ""
    x_ticks: tuple[Tick, ...] = ()
    x_limits: tuple[float, float] | None = None
    cursor: float | None = None


@dataclass(frozen=True)
class Field:
    """Where between the axes a drawing shows what: columns and rows of characters, and the ends of x."""

    left: int
    top: int
    width: int
    height: int
    x: tuple[float, float]
    log_x: bool

    def x_at(self, column: int) -> float:
        """Return the x of a column of the drawing, that of the nearest end outside the field."""
        part = min(max((column - self.left) / max(self.width - 1, 1), 0.0), 1.0)
        value = self.x[0] + part * (self.x[1] - self.x[0])
        return float(10**value) if self.log_x else value


@dataclass(frozen=True)
class Drawing:
    """A chart as lines of text; `field` is None where there is nothing to point at."""

    rows: tuple[Text, ...]
    field: Field | None = None


def draw_chart(
    series: Sequence[Series],
    *,
    width: int,
    height: int,
    title: str = "",
    log_y: bool = False,
    log_x: bool = False,
    lines: Sequence[Level] = (),
    colour: bool = True,
    x_label: str = "",
    x_ticks: Sequence[Tick] = (),
) -> Text:
    """Draw the series as text of exactly `height` lines, at most `width` columns wide.

    Values that are infinite, or not positive on a log axis, are left out. With `colour` lines are braille;
    without, everything is ASCII and each series has its own character. `x_ticks` are for an axis of another
    scale, on which the caller has placed the steps already. Call it from one thread only.
    """
    plot = Plot(
        tuple(series),
        title=title,
        lines=tuple(lines),
        log_y=log_y,
        log_x=log_x,
        x_label=x_label,
        x_ticks=tuple(x_ticks),
    )
    return Text("\n").join(draw(plot, width=width, height=height, colour=colour).rows)


def draw(plot: Plot, *, width: int, height: int, colour: bool = True) -> Drawing:
    """Draw the plot as draw_chart does, and tell where what is."""
    inks = inks_of(plot.series, colour)
    levels = [level for level in plot.lines if isfinite(place(level.value, plot.log_y))]
    title = plot.title.copy() if isinstance(plot.title, Text) else Text(plot.title, "bold" if colour else "")
    most = max(height // 5, 1)
    at = plot.x_limits[1] if plot.cursor is None and plot.x_limits else plot.cursor
    rows = head(title, plot.series, inks, levels, at, width=width, most=most, colour=colour)
    rows = rows[: max(height - 1, 1)]
    left = height - len(rows)
    shown = [placed(one, plot.x_limits, log_x=plot.log_x, log_y=plot.log_y) for one in plot.series]
    where = None
    if width < _SMALLEST[0] or left < _SMALLEST[1]:
        body = [Text()] * left
    elif not any(isfinite(value) for one in shown for value in one.values):
        body = _empty(width, left, _why_empty(plot))
    else:
        body, where = _body(plot, shown, inks, width, left, colour)
        where = replace(where, top=len(rows))
    rows += body
    return Drawing(tuple(rows if colour else [Text(row.plain.translate(_PLAIN)) for row in rows]), where)


def _why_empty(plot: Plot) -> str:
    if not any(one.values for one in plot.series):
        return "no points yet"
    elsewhere = any(isfinite(place(value, plot.log_y)) for one in plot.series for value in one.values)
    return "no point in this window" if elsewhere else "no point can be drawn"


def _empty(width: int, height: int, words: str) -> list[Text]:
    """Return axes with nothing on them but some words."""
    rows = [Text(" │", "dim") for _ in range(height - 2)]
    rows[len(rows) // 2].append(words.center(width - 2).rstrip())
    return [*rows, Text(" └" + "─" * (width - 2), "dim"), Text()]


def _body(
    plot: Plot, shown: Sequence[Series], inks: Sequence[Ink], width: int, height: int, colour: bool
) -> tuple[list[Text], Field]:
    """Return the axes with everything between them."""
    heights = [place(level.value, plot.log_y) for level in plot.lines]
    heights = [height for height in heights if isfinite(height)]
    x, y = extent(shown, heights, plot.x_limits, log_x=plot.log_x)
    x_label = plot.x_label if height >= 2 * _SMALLEST[1] else ""
    up = tuple(_y_ticks(y, max(round(height * 0.4), 2), plot.log_y))
    left, inner_width, inner_height = field(width, height, up, x_label)
    across = tuple(tick for tick in plot.x_ticks if x[0] <= tick[0] <= x[1])
    across = across or tuple(_x_ticks(x, max(width // 11, 2), plot.log_x))
    canvas = Canvas(inner_width, inner_height, x, y, braille=colour)
    _fill(canvas, plot, shown, inks, heights, colour)
    axes = frame(width, height, x, y, across, up, x_label)
    inner = canvas.rows()
    bar = Span(left - 1, left, "dim")  # labels are as bright as text, the axes themselves are not
    rows = [Text(axis[:left], spans=[bar]).append_text(row) for axis, row in zip(axes, inner, strict=False)]
    rows += [Text(axes[inner_height], "dim"), *(Text(axis) for axis in axes[inner_height + 1 :])]
    for row in rows:
        row.rstrip()
        row.truncate(width)
    return rows, Field(left, 0, inner_width, inner_height, x, plot.log_x)


def _y_ticks(y: tuple[float, float], most: int, log: bool) -> Iterator[Tick]:
    for tick in log_ticks(*y, most) if log else ticks(*y, most):
        yield tick, format_number(10**tick if log else tick).rjust(6)


def _x_ticks(x: tuple[float, float], most: int, log: bool) -> Iterator[Tick]:
    for tick in log_ticks(*x, most) if log else ticks(*x, most):
        yield tick, format_number(10**tick if log else tick)


def _fill(
    canvas: Canvas,
    plot: Plot,
    shown: Sequence[Series],
    inks: Sequence[Ink],
    heights: Sequence[float],
    colour: bool,
) -> None:
    """Draw everything, what matters most last."""
    for one, ink in zip(shown, inks, strict=True):
        for column, low, high in strokes(canvas, one):
            canvas.upright(column, low, high, ink.band, ink.band_style)
    for height in heights:
        canvas.level(height, "┈" if colour else ".", GREY if colour else "")
    if plot.cursor is not None:
        column = canvas.column_of(place(plot.cursor, plot.log_x))
        canvas.column(column, "│" if colour else "|", GREY if colour else "")
    order = sorted(zip(shown, inks, strict=True), key=lambda pair: pair[0].style is not Style.FAINT)
    for one, ink in order:
        if one.style is not Style.FAINT:
            canvas.new_layer()
        _draw_line(canvas, one, ink)


def _draw_line(canvas: Canvas, series: Series, ink: Ink) -> None:
    stretches = list(_stretches(series))
    canvas.line(stretches, ink.line, ink.style, ink.dash)
    if ink.mark:
        points = [point for stretch in stretches for point in stretch]
        marked = points[:: max(len(points) // 12, 1)]
    else:
        marked = [stretch[0] for stretch in stretches if len(stretch) == 1]
    for point in marked:
        canvas.mark(*point, ink.mark or "•", ink.style)


def _stretches(series: Series) -> Iterator[list[tuple[float, float]]]:
    """Give the points between gaps."""
    stretch: list[tuple[float, float]] = []
    for point in zip(series.steps, series.values, strict=True):
        if isfinite(point[1]):
            stretch.append(point)
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def strokes(canvas: Canvas, series: Series) -> list[tuple[int, float, float]]:
    """Return column, lowest and highest value for each column of characters that has entries of the band."""
    band = zip(series.steps, series.low or (), series.high or (), strict=False)
    drawn = [(step, low, high) for step, low, high in band if low < high and isfinite(step)]
    ends: dict[int, tuple[float, float]] = {}
    columns = canvas.columns_of([step for step, _, _ in drawn])
    for column, (_, low, high) in zip(columns, drawn, strict=True):
        if column in ends:
            lowest, highest = ends[column]
            ends[column] = (lowest if lowest < low else low, highest if highest > high else high)
        else:
            ends[column] = (low, high)
    return [(column, *both) for column, both in ends.items() if 0 <= column < canvas.width]
