"""The curves of runs in a grid of charts, over steps, time or epochs.

Not here: which curves share a chart (fsrun.tui.curves), the grid and the mouse (chart_grid.py).
"""

from collections.abc import Sequence

from textual.reactive import var

from fsrun.plot import Plot
from fsrun.tui import chart_view
from fsrun.tui.chart_view import SMOOTHINGS, Extent, View, XAxis
from fsrun.tui.curves import Chart
from fsrun.tui.widgets.chart_grid import ChartGrid, hidden_words, told
from fsrun.words import duration


class Charts(ChartGrid):
    """Charts of curves; windows and cursor are in steps, whatever is on the x axis."""

    charts: var[tuple[Chart, ...]] = var(())

    @property
    def count(self) -> int:
        """How many charts there are."""
        return len(self.charts)

    def plot(self, place: int, width: int) -> Plot:
        """Return what is drawn of a chart in the present view."""
        return self.charts[place].plot(self.view, self.extent, width)

    def step_at(self, place: int, x: float) -> float | None:
        """Return the step at a place on a chart's x axis."""
        line = self.charts[place].ruler
        return None if line is None else line.ruler(self.view.x_axis).step(x)

    def quantity(self) -> str | None:
        """Return what the current chart shows, None where there is none."""
        chart = self.chart()
        return None if chart is None else chart.quantity

    def names(self) -> Sequence[str]:
        """Return what the curves of the current chart are called."""
        chart = self.chart()
        return [] if chart is None else [line.name for line in chart.lines]

    def words(self) -> str:
        """Return in words what is not plain from the charts."""
        return view_words(self.view, self.extent, self.chart())

    def show(self, charts: tuple[Chart, ...], newest: float) -> None:
        """Show these charts, of curves in the view's window; the run is at the step `newest`."""
        if self.view.window is not None:
            grown = self.extent[0], max(self.extent[1], newest)
            self.view = chart_view.follow(self.view, grown, self.extent)
            self.extent = grown
        self.charts = charts

    def validate_charts(self, charts: tuple[Chart, ...]) -> tuple[Chart, ...]:
        """Take from whole curves how far they go; those of a window do not tell."""
        ends = [curve.steps[-1] for chart in charts for curve in chart.curves if curve.steps]
        if self.view.window is None and ends:
            self.extent = 0.0, float(max(ends))
        return charts

    def watch_charts(self) -> None:
        """Draw what has changed."""
        self.renew()

    def offered_axes(self) -> list[XAxis]:
        """Return what the charts can be drawn over."""
        knows_epochs = any(line.epoch for chart in self.charts for line in chart.lines)
        return [axis for axis in XAxis if axis is not XAxis.EPOCH or knows_epochs]

    def chart(self) -> Chart | None:
        """Return the current chart."""
        return self.charts[self.current % len(self.charts)] if self.charts else None


def view_words(view: View, extent: Extent, chart: Chart | None) -> str:
    """Return in words what is not plain from the charts: the window, smoothing, where the cursor is."""
    parts = []
    if view.window is not None:
        first, last = view.window
        parts.append(f"steps {first:,.0f}–{last:,.0f} of {extent[1]:,.0f}")
    if view.smoothing:
        scale = SMOOTHINGS[view.smoothing] * ((chart.length if chart else 0) or extent[1])
        parts.append(f"smoothed over {scale:,.0f}")
    if view.x_axis is not XAxis.STEP:
        parts.append(f"x: {view.x_axis.value}")
    parts.append(hidden_words(view))
    if view.cursor is not None:
        line = chart.ruler if chart else None
        at = f", {duration(line.ruler(XAxis.TIME).place(view.cursor))}" if line else ""
        parts.append(f"at step {view.cursor:,.0f}{at}")
    return f" {told(parts)}"  # never empty: charts keep their size when there is something to say
