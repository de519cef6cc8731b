"""Reports that scroll, a screen each: accuracy by number of classes, and the linear case study beside theory.

Not here: what is in them (fsrun.tui.reports).
"""

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fsrun.tui.exporting import Export
from fsrun.tui.messages import Picture
from fsrun.tui.pages import Page
from fsrun.tui.report_keys import REPORT_KEYS, REPORTS
from fsrun.tui.screens.chart_keys import NEED_CHARTS, ChartKeys
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.page import PageView
from fsrun.tui.widgets.plots import Plots
from fsrun.tui.widgets.status_line import StatusLine


class ReportScreen(ChartKeys):
    """A report of one or more pages, kept up to date; a subclass says which of a picture's it `holds`."""

    holds: ClassVar[Literal["classes", "theory"]]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "Back", tooltip="back: to all charts, to the runs"),
        *REPORT_KEYS,
    ]

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield PageView(self.BINDING_GROUP_TITLE or "")
        yield StatusLine()
        yield KeyLine("Back", *REPORTS, "Next", "Zoom", "Values", "Export", "Large")

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self.take_up()
        self.watch(self.app, "picture", self._show)
        self.query_one(PageView).focus()

    @property
    def charts(self) -> Plots:
        """The charts of the page."""
        return self.query_one(Plots)

    def ask(self) -> None:
        """Ask for nothing: a report is made from all that was measured, however closely it is looked at."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what the charts of this report can do."""
        if not self.is_mounted:
            return False
        plots, pages = self.charts, self.query_one(PageView).pages
        if action == "next":
            return plots.count > 1 or len(pages) > 1
        if action in NEED_CHARTS and not plots.count:
            return False
        return action != "axis" and not (action == "smooth" and plots.is_log)

    def action_next(self, by: int) -> None:
        """Go to the next chart, and from the last one to the next report."""
        self.query_one(PageView).next(by)

    def action_back(self) -> None:
        """Go back one step: show all charts, leave."""
        if self.charts.large and self.charts.count > 1:
            self.charts.large = False
        else:
            self.app.pop_screen()

    def exports(self) -> tuple[Export, ...]:
        """Return what can be written into a file."""
        return self.query_one(PageView).page.exports

    def _show(self, picture: Picture | None) -> None:
        pages: tuple[Page, ...] = getattr(picture, self.holds, ())
        if pages:
            self.query_one(PageView).pages = pages


class ClassesScreen(ReportScreen):
    """A page for each experiment and number of shots that was measured, with what an episode costs."""

    BINDING_GROUP_TITLE = "Classes"
    holds = "classes"


class TheoryScreen(ReportScreen):
    """The synthetic run under the cursor, or the newest one: curves, floors, expected ways and verdicts."""

    BINDING_GROUP_TITLE = "Theory"
    holds = "theory"
