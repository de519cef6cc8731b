"""The linear case study beside theory: curves with their floors and expected ways, and the claims' verdicts.

Not here: what is in it (fsrun.report.figure4, fsrun.report.verdicts).
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from fsrun.tui.exporting import Export
from fsrun.tui.messages import Picture
from fsrun.tui.report_keys import REPORT_KEYS
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.page import PageView
from fsrun.tui.widgets.status_line import StatusLine


class TheoryScreen(Screen[None]):
    """The synthetic run under the cursor, or the newest one."""

    BINDING_GROUP_TITLE = "Theory"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back", tooltip="back to the runs"),
        *REPORT_KEYS,
    ]

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield PageView("Theory")
        yield StatusLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self.watch(self.app, "picture", self._show)
        self.query_one(PageView).focus()

    def exports(self) -> tuple[Export, ...]:
        """Return what can be written into a file."""
        return self.query_one(PageView).page.exports

    def _show(self, picture: Picture | None) -> None:
        if picture is not None and picture.theory:
            self.query_one(PageView).pages = picture.theory
