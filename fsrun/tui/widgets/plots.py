"""The charts of a report, as many beside each other as have room, in a page that scrolls.

Not here: the curves of a run (charts.py), the grid and the mouse (chart_grid.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isfinite

from textual import events
from textual.geometry import Size
from textual.reactive import var

from fsrun.plot import Plot, Series, Style, smoothed
from fsrun.plot.placing import place as place_on_axis
from fsrun.tui import chart_view
from fsrun.tui.chart_view import SMOOTHINGS, Extent
from fsrun.tui.widgets.chart_grid import GAP, ChartGrid, hidden_words, told

LEAST_WIDTH = 50  # columns a chart needs beside others
HEIGHT = (10, 20)  # lines of a chart, least and most


def beside(count: int, width: int) -> int:
    """Return how many of the charts go beside each other."""
    return max(min((width + GAP) // (LEAST_WIDTH + GAP), count), 1)


class Plots(ChartGrid):
    """Charts in rows; as tall as they are.

    Windows and cursor are in places on the x axis, which are exponents on a logarithmic one. The wheel
    scrolls the page; with ctrl or shift it zooms.
    """

    plots: var[tuple[Plot, ...]] = var(())

    def __init__(self) -> None:
        super().__init__(interactive=True)

    @property
    def count(self) -> int:
        """How many charts there are."""
        return len(self.plots)

    @property
    def is_log(self) -> bool:
        """Whether the x axis is logarithmic, as it is of all charts of a report or of none."""
        return any(plot.log_x for plot in self.plots)

    def watch_plots(self, before: tuple[Plot, ...], after: tuple[Plot, ...]) -> None:
        """Draw what has changed; a window that reached to the end still does."""
        grown = _extent(after)
        self.view = chart_view.follow(self.view, grown, self.extent)
        self.extent = grown
        if len(before) != len(after):
            self.refresh(layout=True)
        self.renew()

    def watch_large(self) -> None:
        """Make room for it."""
        self.refresh(layout=True)

    def whole(self) -> None:
        """Show all of every chart, as is right for another report."""
        self.current = 0
        self.see(replace(self.view, window=None, cursor=None, hidden=frozenset()))

    def plot(self, place: int, width: int) -> Plot:
        """Return what is drawn of a chart in the present view."""
        plot, view = self.plots[place], self.view
        left = tuple(one for one in plot.series if one.name not in view.hidden) or plot.series
        scale = 0.0 if self.is_log else SMOOTHINGS[view.smoothing] * self.extent[1]
        looks = {id(one): look for look, one in enumerate(plot.series)}
        drawn = (replace(one, look=looks[id(one)] if one.look is None else one.look) for one in left)
        ends = view.window
        return replace(
            plot,
            series=tuple(part for one in drawn for part in _smooth(one, scale)),
            log_y=self._log_y(plot),
            title=f"{plot.title}, log" if self._log_y(plot) and not plot.log_y else plot.title,
            x_limits=None if ends is None else (self._value(ends[0]), self._value(ends[1])),
            cursor=None if view.cursor is None else self._value(view.cursor),
        )

    def step_at(self, place: int, x: float) -> float | None:
        """Return the place on the x axis."""
        found = place_on_axis(x, self.is_log)
        return found if isfinite(found) else None

    def quantity(self) -> str | None:
        """Return what the current chart shows, None where there is none."""
        return str(self.plots[self.current % self.count].title) if self.plots else None

    def names(self) -> Sequence[str]:
        """Return what the curves of the current chart are called."""
        return [one.name for one in self.plots[self.current % self.count].series] if self.plots else []

    def words(self) -> str:
        """Return in words what is not plain from the charts."""
        view = self.view
        unit = next((plot.x_label for plot in self.plots if plot.x_label), "steps")
        first, last = (self._value(end) for end in view.window or self.extent)
        window = f"{unit} {first:,.0f}–{last:,.0f} of {self._value(self.extent[1]):,.0f}"
        scale = SMOOTHINGS[view.smoothing] * self.extent[1]
        said = told(
            (
                window if view.window else "",
                f"smoothed over {scale:,.0f}" if view.smoothing and not self.is_log else "",
                hidden_words(view),
                "" if view.cursor is None else f"at {self._value(view.cursor):,.0f} {unit}",
            )
        )
        return f" {said}" if said else ""

    def zooms_by(self, event: events.MouseEvent) -> bool:
        """Zoom with a key held down: the wheel alone scrolls the page."""
        return event.ctrl or event.shift

    def grid(self) -> tuple[int, int]:
        """Return how many charts are beside and below each other: all of them, or the large one."""
        columns = beside(self.count, self.size.width)
        return (1, 1) if self.large else (columns, -(-self.count // columns))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the height of all rows."""
        if self.large:
            return max(container.height - 2, HEIGHT[0])
        rows = -(-self.count // beside(self.count, width))
        return rows * min(max(2 * container.height // 5, HEIGHT[0]), HEIGHT[1])

    def _log_y(self, plot: Plot) -> bool:
        return plot.log_y != (str(plot.title) in self.view.flipped)

    def _value(self, place: float) -> float:
        return float(10**place) if self.is_log else place


def _smooth(one: Series, scale: float) -> Iterable[Series]:
    """Return a series smoothed, with the raw line faint behind; what theory expects is smooth already."""
    if scale <= 0 or one.style is not Style.SOLID:
        return (one,)
    even = replace(one, values=smoothed(one.steps, one.values, scale), low=None, high=None)
    return replace(one, style=Style.FAINT), even


def _extent(plots: Sequence[Plot]) -> Extent:
    """Return the ends of the x axes of all charts."""
    steps = [
        place_on_axis(step, plot.log_x)
        for plot in plots
        for one in plot.series
        for step in (*one.steps[:1], *one.steps[-1:])
    ]
    found = [step for step in steps if isfinite(step)]
    return (min(found), max(found)) if found and min(found) < max(found) else (0.0, 1.0)
