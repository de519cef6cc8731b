"""Several runs side by side: one metric of all of them, what they ended with, and what differs between them.

Not here: names, groups and numbers (fsrun.tui.comparing, fsrun.tui.outcomes).
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from fsrun.tui import compare_sections
from fsrun.tui.closely import Closely
from fsrun.tui.comparing import chart_of, members_of
from fsrun.tui.curves import metrics_of
from fsrun.tui.exporting import Export
from fsrun.tui.messages import Picture, SectionChosen
from fsrun.tui.report_keys import REPORTS
from fsrun.tui.run_exports import of_curves
from fsrun.tui.screens.chart_screen import ChartScreen
from fsrun.tui.state import State
from fsrun.tui.widgets.section_line import Section
from fsrun.words import status_word
from store.views import RunDetail


class CompareScreen(ChartScreen):
    """All marked runs; those that differ in their seed alone may be drawn as one."""

    BINDING_GROUP_TITLE = "Compare"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "merge", "Seeds", tooltip="seeds of one config as one mean with a band, or each alone"),
        Binding("R", "section('results')", "Results", tooltip="what the runs ended with"),
        Binding("C", "section('config')", "Config", tooltip="the options that differ"),
        Binding("slash", "search", "Search", tooltip="search in the options that differ"),
    ]
    KEYS = ("Back", "Next", "Seeds", "Zoom", "Values", "Large", "Export", *REPORTS)
    SECTIONS: ClassVar[tuple[Section, ...]] = (
        Section("results", "R", "Results"),
        Section("config", "C", "Config that differs"),
    )

    def __init__(self, run_ids: Sequence[int], state: State) -> None:
        super().__init__(state)
        self._run_ids = tuple(run_ids)
        self._metric = ""
        self._metrics: list[str] = []
        self._merge = True
        self._runs: tuple[RunDetail, ...] = ()
        self._results_from: object = None
        self._results_text = Text()

    def exports(self) -> tuple[Export, ...]:
        """Return the curves that are compared, for a file."""
        return of_curves(self._runs)

    def heading(self) -> Widget:
        """Return the line that says what is compared."""
        return Static(id="compared")

    def usual_section(self) -> str:
        """Return what one wants to know first."""
        return "results"

    def closely(self) -> Closely:
        """Return the runs, the metric and the window of the chart."""
        return Closely(window=self.window(), compared=self._run_ids, metric=self._metric)

    def show_picture(self, picture: Picture) -> None:
        """Bring the heading and the chart up to date."""
        listed = {row.id: row for row in picture.snapshot.runs}
        rows = [listed[run_id] for run_id in self._run_ids if run_id in listed]
        self._metrics = metrics_of(name for row in rows for name in row.latest)
        if self._metrics and self._metric not in self._metrics:
            shared = [name for name in self._metrics if all(name in row.latest for row in rows)]
            self._metric = (shared or self._metrics)[0]
            self.ask()
        self._runs = picture.snapshot.compared
        self._draw()

    def section_text(self, name: str, search: str) -> Text | None:
        """Return what stands in a section."""
        if not self._runs:
            return None
        if name == "results":
            return self._results()
        return compare_sections.options(members_of(self._runs, merge=True), search)

    def action_next(self, by: int) -> None:
        """Draw the next metric: there is one chart for each."""
        if self._metrics:
            place = self._metrics.index(self._metric) + by
            self._metric = self._metrics[place % len(self._metrics)]
            self.ask()

    def action_merge(self) -> None:
        """Draw seeds of one config as one, or each alone."""
        self._merge = not self._merge
        self._draw()
        self.write()

    def _results(self) -> Text:
        """Return the results; pairing episodes takes long, so only where a run has changed its status."""
        made_from = self._merge, tuple((run.row.id, status_word(run.row), run.results) for run in self._runs)
        if made_from != self._results_from:
            self._results_from = made_from
            self._results_text = compare_sections.results(members_of(self._runs, merge=self._merge))
        return self._results_text

    def _draw(self) -> None:
        members = members_of(self._runs, merge=self._merge)
        self.query_one("#compared", Static).update(
            compare_sections.heading(members, len(self._runs), self._metric, self._metrics)
        )
        chart = chart_of(members, self._metric)
        newest = max((run.row.step for run in self._runs), default=0)
        self.charts.show((chart,) if chart.lines else (), float(newest))

    @on(SectionChosen)
    def _open_section(self, message: SectionChosen) -> None:
        self.action_section(message.name)
