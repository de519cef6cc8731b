"""Charts in a grid, as many at once as have room, or one of them large; looked at by mouse as by key.

Not here: what is drawn (charts.py: curves of runs; plots.py: a report's), views (fsrun.tui.chart_view).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rich.text import Text
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.reactive import var

from fsrun.plot import Drawing, Plot, draw
from fsrun.tui import chart_view
from fsrun.tui.chart_view import Extent, View, XAxis
from fsrun.tui.widgets.rows import Rows

LEAST = (50, 9)
"""Columns and rows a chart needs beside others."""

SMALL = (36, 8)
"""The same where many are looked over at once."""

GAP = 2  # columns between two charts
_ZOOM = 1.25  # by one notch of the wheel


def arrange(count: int, width: int, height: int, least: tuple[int, int] = LEAST) -> tuple[int, int]:
    """Return how many charts go beside and below each other, (1, 1) where only one has room."""
    columns = max(min((width + GAP) // (least[0] + GAP), count), 1)
    rows = max(min(height // least[1], -(-count // columns)), 1)
    return -(-count // rows) if columns * rows >= count > 0 else columns, rows


@dataclass(frozen=True)
class Cell:
    """A chart on the screen: which one, where, and what was drawn."""

    place: int
    left: int
    top: int
    width: int
    height: int
    plot: Plot
    drawing: Drawing

    def holds(self, x: int, y: int) -> bool:
        """Return whether a place of the widget is in the chart."""
        return self.left <= x < self.left + self.width and self.top <= y < self.top + self.height


class ChartGrid(Rows):
    """Charts of one view; where not all fit, one page at a time.

    With `interactive` one chart is the current one, and the mouse looks closer: the wheel zooms, dragging
    pans, a click sets the cursor, two make a chart large.
    """

    class Changed(Message):
        """The user looks at the charts in another way."""

    view: var[View] = var(View())
    current: var[int] = var(0)
    large: var[bool] = var(False)
    extent: var[Extent] = var((0.0, 1.0))

    def __init__(self, *, interactive: bool = False, least: tuple[int, int] = LEAST) -> None:
        super().__init__()
        self._interactive = interactive
        self._least = least
        self._cells: dict[int, Cell] = {}
        self._grip: tuple[int, View, Cell] | None = None  # where the mouse went down, and on what

    @property
    @abstractmethod
    def count(self) -> int:
        """How many charts there are."""

    @abstractmethod
    def plot(self, place: int, width: int) -> Plot:
        """Return what is drawn of a chart in the present view."""

    @abstractmethod
    def step_at(self, place: int, x: float) -> float | None:
        """Return what view and extent are in, for a place on a chart's x axis."""

    @abstractmethod
    def quantity(self) -> str | None:
        """Return what the current chart shows, None where there is none."""

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Return what the curves of the current chart are called."""

    @abstractmethod
    def words(self) -> str:
        """Return in words what is not plain from the charts: the window, smoothing, where the cursor is."""

    def watch_view(self) -> None:
        """Draw what has changed."""
        self.renew()

    def watch_current(self) -> None:
        """Draw what has changed."""
        self.renew()

    def watch_large(self) -> None:
        """Draw what has changed."""
        self.renew()

    def offered_axes(self) -> list[XAxis]:
        """Return what the charts can be drawn over."""
        return [XAxis.STEP]

    def zooms_by(self, _event: events.MouseEvent) -> bool:
        """Return whether the wheel zooms now."""
        return True

    def pages(self) -> int:
        """Return how many pages the charts take at the present size."""
        return max(-(-self.count // self._per_page()), 1)

    def turn(self, by: int) -> None:
        """Show the next page, or the one before, round and round."""
        per_page = self._per_page()
        self.current = (self.current // per_page + by) % self.pages() * per_page

    def next_chart(self, by: int) -> None:
        """Make the next chart the current one, or the one before, round and round."""
        self.current = (self.current + by) % max(self.count, 1)

    def look(self, change: Callable[..., View], *more: float) -> None:
        """Change the view by one of the functions of chart_view that need the extent."""
        self.see(change(self.view, self.extent, *more))

    def see(self, view: View) -> None:
        """Look at the charts in this view."""
        if view != self.view:
            self.view = view
            self.post_message(self.Changed())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in on what is under the mouse."""
        self._zoom_at(event, _ZOOM)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out from what is under the mouse."""
        self._zoom_at(event, 1 / _ZOOM)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the chart under the mouse."""
        found = self._under(event)
        if found is not None:
            self.capture_mouse()
            self._grip = event.x, self.view, found[0]
            self.current = found[0].place

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the curve along."""
        if self._grip is None or self._grip[2].drawing.field is None:
            return
        start, view, cell = self._grip
        assert cell.drawing.field is not None
        self.see(chart_view.pan(view, self.extent, (start - event.x) / cell.drawing.field.width))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go; where nothing was dragged, set the cursor."""
        if self._grip is None:
            return
        self.release_mouse()
        start, _, cell = self._grip
        self._grip = None
        if event.x == start and (step := self._step_under(cell, event)) is not None:
            self.see(chart_view.set_cursor(self.view, self.extent, step))

    def on_click(self, event: events.Click) -> None:
        """Make a chart large, or small again, by two clicks."""
        if self._interactive and event.chain == 2:
            self.large = not self.large

    def rows(self) -> Sequence[Text]:
        """Draw the page."""
        width, height = self.size
        if not self.count or width < 1 or height < 1:
            self._cells = {}
            return draw(Plot(()), width=width, height=height).rows if width > 0 < height else ()
        words = self.words() if height > 10 else ""
        lines = self._drawn(width, height - bool(words))
        if words:
            lines.append(Text(words, "dim"))
            lines[-1].truncate(width, overflow="ellipsis")
        if self.pages() > 1 or (self.large and self.count > 1):
            shown, among = (self.current // self._per_page(), self.pages())
            _put_right(lines[0], f"{shown + 1}/{among} tab", width)
        return lines

    def region_of(self, place: int) -> Region | None:
        """Return where in the widget a chart was drawn."""
        cell = self._cells.get(place)
        return None if cell is None else Region(cell.left, cell.top, cell.width, cell.height)

    def grid(self) -> tuple[int, int]:
        """Return how many charts are beside and below each other."""
        width, height = self.size
        return (1, 1) if self.large else arrange(self.count, width, height, self._least)

    def _per_page(self) -> int:
        columns, rows = self.grid()
        return columns * rows

    def _drawn(self, width: int, height: int) -> list[Text]:
        """Return the lines of all charts of the page, each drawn anew only where something changed."""
        columns, rows = self.grid()
        start = self.current % self.count // (columns * rows) * columns * rows
        wide, high = (width - GAP * (columns - 1)) // columns, height // rows
        cells = {}
        for place in range(start, min(start + columns * rows, self.count)):
            row, column = divmod(place - start, columns)
            cells[place] = self._cell(place, column * (wide + GAP), row * high, wide, high)
        self._cells = cells
        lines: list[Text] = []
        for first in range(start, start + len(cells), columns):
            lines += _beside(
                [cells[place] for place in range(first, min(first + columns, start + len(cells)))]
            )
        return lines + [Text()] * (height - len(lines))

    def _cell(self, place: int, left: int, top: int, width: int, height: int) -> Cell:
        plot = self.plot(place, width)
        if self._interactive and self.count > 1 and place == self.current % self.count:
            plot = replace(plot, title=Text(f"▸ {plot.title}", "bold underline"))
        last = self._cells.get(place)
        if last and (last.plot, last.width, last.height) == (plot, width, height):
            return replace(last, left=left, top=top)
        return Cell(place, left, top, width, height, plot, draw(plot, width=width, height=height))

    def _zoom_at(self, event: events.MouseEvent, factor: float) -> None:
        found = self._under(event) if self.zooms_by(event) else None
        if found is not None:
            event.stop()
            self.look(chart_view.zoom, factor, found[1])

    def _under(self, event: events.MouseEvent) -> tuple[Cell, float] | None:
        """Return the chart under the mouse and the step there."""
        spot = event.get_content_offset(self)
        if not self._interactive or spot is None:
            return None
        under = (cell for cell in self._cells.values() if cell.holds(spot.x, spot.y))
        found = ((cell, self._step_under(cell, event)) for cell in under)
        return next(((cell, step) for cell, step in found if step is not None), None)

    def _step_under(self, cell: Cell, event: events.MouseEvent) -> float | None:
        spot, field = event.get_content_offset(self), cell.drawing.field
        if spot is None or field is None or cell.place >= self.count:
            return None
        return self.step_at(cell.place, field.x_at(spot.x - cell.left))


def told(parts: Iterable[str]) -> str:
    """Return what is said below the charts, empty where there is nothing to say."""
    return " · ".join(part for part in parts if part)


def hidden_words(view: View) -> str:
    """Return in words which curves are not drawn."""
    return f"hidden: {', '.join(sorted(view.hidden))}" if view.hidden else ""


def _beside(cells: list[Cell]) -> list[Text]:
    """Return the lines of charts set side by side."""
    lines = []
    for parts in zip(*(cell.drawing.rows for cell in cells), strict=True):
        line = Text()
        for cell, part in zip(cells, parts, strict=True):
            line.pad_right(cell.left - line.cell_len)
            line.append_text(part)
        lines.append(line)
    return lines


def _put_right(line: Text, words: str, width: int) -> None:
    """Write the words at the right end of the line, over what is there."""
    line.truncate(width - len(words) - 1, overflow="ellipsis")
    line.pad_right(width - len(words) - line.cell_len)
    line.append(words, "dim")
