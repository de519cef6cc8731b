"""One run in full: its curves, results, log, config, error, attempts and provenance.

Not here: the list of runs (overview.py), and the text of the sections (fsrun.tui.run_sections).
"""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from fsrun.tui import run_sections
from fsrun.tui.closely import Closely
from fsrun.tui.curves import charts_of
from fsrun.tui.exporting import Export
from fsrun.tui.messages import Picture, SectionChosen
from fsrun.tui.report_keys import REPORTS
from fsrun.tui.rulers import steps_per_epoch
from fsrun.tui.run_exports import of_curves
from fsrun.tui.screens.chart_screen import ChartScreen
from fsrun.tui.state import State
from fsrun.tui.widgets.facts import Facts
from fsrun.tui.widgets.section_line import Section
from fsrun.words import living
from store.jobs import JobStatus

_USUAL = {JobStatus.FAILED: "error", JobStatus.DONE: "results", JobStatus.RUNNING: "log"}
_PLAIN_SECTIONS = {
    "results": run_sections.results,
    "error": run_sections.error,
    "provenance": run_sections.provenance,
}


class RunScreen(ChartScreen):
    """Everything about the run under the cursor."""

    BINDING_GROUP_TITLE = "Run"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "section('results')", "Results", tooltip="what the run measured"),
        Binding("O", "section('log')", "Output", tooltip="the end of its log, followed as it grows"),
        Binding("C", "section('config')", "Config", tooltip="its options"),
        Binding("E", "section('error')", "Error", tooltip="why it failed, with the traceback"),
        Binding("A", "section('attempts')", "Attempts", tooltip="each time a worker had it"),
        Binding("P", "section('provenance')", "Provenance", tooltip="commit, versions, machine"),
        Binding("slash", "search", "Search", tooltip="search in the config"),
    ]
    KEYS = ("Back", "Next", "Zoom", "Values", "Cancel", "Retry", "Large", "Export", "Copy", *REPORTS)
    SECTIONS: ClassVar[tuple[Section, ...]] = (
        Section("results", "R", "Results"),
        Section("log", "O", "Output"),
        Section("config", "C", "Config"),
        Section("error", "E", "Error"),
        Section("attempts", "A", "Attempts"),
        Section("provenance", "P", "Provenance"),
    )

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._picture: Picture | None = None

    def exports(self) -> tuple[Export, ...]:
        """Return the curves of the run, for a file."""
        detail = self._picture.snapshot.selected if self._picture else None
        return of_curves([detail] if detail else [])

    def heading(self) -> Widget:
        """Return the two lines about the run."""
        return Facts()

    def usual_section(self) -> str:
        """Return what one wants to know first of a run like this."""
        detail = self._picture.snapshot.selected if self._picture else None
        return _USUAL.get(detail.row.status, "config") if detail else "config"

    def closely(self) -> Closely:
        """Return the window of the charts, and whether the log is on the screen."""
        return Closely(window=self.window(), with_log=self.shown_section() == "log")

    def show_picture(self, picture: Picture) -> None:
        """Bring the two lines and the charts up to date."""
        detail = picture.snapshot.selected
        if detail is None:
            return
        row = detail.row
        self._picture = picture
        self.query_one(Facts).show(detail, has_workers=living(picture.snapshot.workers) > 0)
        charts = charts_of(
            detail.curves,
            started=row.started,
            epoch=steps_per_epoch(detail.config),
            length=float(row.total_steps),
        )
        self.charts.show(charts, float(row.step))

    def section_text(self, name: str, search: str) -> Text | None:
        """Return what stands in a section."""
        picture = self._picture
        detail = picture.snapshot.selected if picture else None
        if picture is None or detail is None:
            return None
        match name:
            case "log":
                return run_sections.log(detail, picture.log)
            case "config":
                return run_sections.config(detail, search)
            case "attempts":
                return run_sections.attempts(detail, picture.snapshot.taken)
            case _:
                return _PLAIN_SECTIONS[name](detail)

    @on(SectionChosen)
    def _open_section(self, message: SectionChosen) -> None:
        self.action_section(message.name)
