"""The first screen: all runs, and the curves of the one under the cursor.

Not here: everything else about that run (run.py), and reading the database (fsrun.tui.app).
"""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import Footer

from fsrun.tui.curves import charts_of
from fsrun.tui.messages import Picture
from fsrun.tui.widgets.charts import Charts
from fsrun.tui.widgets.facts import Facts
from fsrun.tui.widgets.hint import Hint
from fsrun.tui.widgets.run_table import RunTable
from fsrun.tui.widgets.status_line import StatusLine
from fsrun.tui.widgets.summary import Summary
from fsrun.words import living
from store.jobs import JobStatus
from store.snapshot import RunDetail

WIDE = 140
"""Columns from which the curves stand beside the list, not below it."""

WIDER = 190
"""Columns from which the list, too, gets more of them."""


class Overview(Screen[None]):
    """Runs, and the curves of the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "turn(1)", "Next chart", show=False),
        Binding("shift+tab", "turn(-1)", "Previous chart", show=False),
    ]

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Summary(self._place)
        yield Hint()
        with Container(id="body"):
            yield RunTable()
            with Vertical(id="selected"):
                yield Facts()
                yield Charts()
        yield StatusLine()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self.query_one(Hint).display = False
        self.watch(self.app, "picture", self._show)
        self.watch(self.app, "trouble", self._show_trouble)
        self.watch(self.app, "notice", self._show_notice)
        self.query_one(RunTable).focus()

    def on_resize(self, event: events.Resize) -> None:
        """Put the curves where there is room."""
        self.set_class(event.size.width >= WIDE, "wide")
        self.set_class(event.size.width >= WIDER, "wider")

    def action_turn(self, by: int) -> None:
        """Show the next charts, where not all fit."""
        self.query_one(Charts).turn(by)

    def _show(self, picture: Picture | None) -> None:
        if picture is None:
            return
        taken = picture.snapshot
        self.query_one(Summary).show(taken)
        self.query_one(Hint).display = not taken.runs
        self.query_one("#body").display = bool(taken.runs)
        self.query_one(RunTable).rows_shown = taken.runs
        self.query_one(Facts).show(taken.selected, has_workers=living(taken.workers) > 0)
        charts = self.query_one(Charts)
        charts.charts = charts_of(taken.selected.curves) if taken.selected else ()
        # A run that has not begun, or has nothing to train, needs no empty frame.
        charts.display = bool(charts.charts) or _is_running(taken.selected)

    def _show_trouble(self, trouble: str) -> None:
        self.query_one(StatusLine).trouble = trouble

    def _show_notice(self, notice: str) -> None:
        self.query_one(StatusLine).notice = notice


def _is_running(detail: RunDetail | None) -> bool:
    return detail is not None and detail.row.status is JobStatus.RUNNING
