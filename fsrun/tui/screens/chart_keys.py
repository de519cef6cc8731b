"""The keys with which charts are looked at, and asking for the points that are then needed.

Not here: the views they lead to (fsrun.tui.chart_view), and the mouse (fsrun.tui.widgets.chart_grid).
"""

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen

from fsrun.tui import chart_view
from fsrun.tui.chart_view import SMOOTHINGS, View, XAxis
from fsrun.tui.state import State
from fsrun.tui.widgets.chart_grid import ChartGrid

_PAN = 0.1  # of what is shown
_CURSOR = 0.01

NEED_CHARTS = ("zoom", "whole", "move", "cursor", "smooth", "scale", "isolate", "large")
"""What can only be done to charts that are on the screen."""


class ChartKeys(Screen[None]):
    """A screen with charts; how smooth they are and what they are over is kept for the next one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "large", "Large", tooltip="one chart large, or all of them"),
        Binding(
            "tab", "next(1)", "Next", tooltip="next chart; of several runs, next metric; then the next report"
        ),
        Binding("shift+tab", "next(-1)", "Before", tooltip="the chart before"),
        Binding(
            "z", "zoom(2)", "Zoom", tooltip="zoom in on cursor or middle; or the wheel, with ctrl in reports"
        ),
        Binding("Z", "zoom(0.5)", "Zoom out", tooltip="zoom out"),
        Binding("0", "whole", "Whole", tooltip="whole curves"),
        Binding("left", "move(-1)", "Earlier", tooltip="move the cursor, else the view; or drag"),
        Binding("right", "move(1)", "Later", tooltip="move the cursor, else the view; or drag"),
        Binding("shift+left", "move(-10)", "Far earlier", tooltip="ten times as far"),
        Binding("shift+right", "move(10)", "Far later", tooltip="ten times as far"),
        Binding("v", "cursor", "Values", tooltip="cursor on or off: reads values; or click"),
        Binding("left_square_bracket", "smooth(-1)", "Less smooth", tooltip="smooth less"),
        Binding("right_square_bracket", "smooth(1)", "Smooth", tooltip="smooth more"),
        Binding("L", "scale", "Log scale", tooltip="logarithmic or linear y axis of this chart"),
        Binding("X", "axis", "X axis", tooltip="x axis: steps, time, epochs where known"),
        Binding("i", "isolate", "Isolate", tooltip="one curve alone, each in turn, then all"),
    ]

    def __init__(self, state: State, name: str | None = None) -> None:
        super().__init__(name)
        self._state = state

    @property
    @abstractmethod
    def charts(self) -> ChartGrid:
        """The charts of the screen."""

    @abstractmethod
    def ask(self) -> None:
        """Have the next pictures hold what this screen needs now."""

    def take_up(self) -> None:
        """Look at the charts as the last time."""
        self.charts.view = kept_view(self._state)

    def action_large(self) -> None:
        """Show one chart large, or all of them."""
        self.charts.large = not self.charts.large

    def action_next(self, by: int) -> None:
        """Go to the next chart."""
        self.charts.next_chart(by)

    def action_zoom(self, factor: float) -> None:
        """Zoom in on the cursor or the middle."""
        self.charts.look(chart_view.zoom, factor)

    def action_whole(self) -> None:
        """Show whole curves."""
        self.charts.see(replace(self.charts.view, window=None))

    def action_move(self, by: int) -> None:
        """Move the cursor where there is one, else the view."""
        if self.charts.view.cursor is None:
            self.charts.look(chart_view.pan, _PAN * by)
        else:
            self.charts.look(chart_view.move_cursor, _CURSOR * by)

    def action_cursor(self) -> None:
        """Show or hide the cursor."""
        self.charts.look(chart_view.toggle_cursor)

    def action_smooth(self, by: int) -> None:
        """Smooth the curves more or less."""
        self.charts.see(chart_view.smoother(self.charts.view, by))

    def action_scale(self) -> None:
        """Change the y axis of the current chart."""
        quantity = self.charts.quantity()
        if quantity is not None:
            self.charts.see(chart_view.flip_scale(self.charts.view, quantity))

    def action_axis(self) -> None:
        """Change what curves are drawn over."""
        self.charts.see(chart_view.next_axis(self.charts.view, self.charts.offered_axes()))

    def action_isolate(self) -> None:
        """Show the next curve alone."""
        self.charts.see(chart_view.isolate_next(self.charts.view, self.charts.names()))

    @on(ChartGrid.Changed)
    def _look_closer(self) -> None:
        self._state.set("smoothing", self.charts.view.smoothing)
        self._state.set("x_axis", self.charts.view.x_axis.value)
        self.ask()


def kept_view(state: State) -> View:
    """Return how smooth curves were drawn the last time, and over what; windows are not kept."""
    kept = state.get("smoothing", 0)
    axes = {axis.value: axis for axis in XAxis}
    return View(
        smoothing=min(max(kept, 0), len(SMOOTHINGS) - 1),
        x_axis=axes.get(state.get("x_axis", ""), XAxis.STEP),
    )
