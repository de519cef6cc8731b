"""A report that scrolls: its charts, and below them its tables.

Not here: making it (fsrun.tui.reports).
"""

from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.reactive import var
from textual.widgets import Static

from fsrun.tui.pages import Page
from fsrun.tui.widgets.grid import laid_out
from fsrun.tui.widgets.plots import Plots
from fsrun.words import plain


class PageView(VerticalScroll):
    """Shows one of several pages; tab turns to the next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, tooltip="scroll down"),
        Binding("k", "scroll_up", "Up", show=False, tooltip="scroll up"),
        Binding("g", "scroll_home", "Top", show=False, tooltip="to the beginning"),
        Binding("G", "scroll_end", "End", show=False, tooltip="to the end"),
        Binding("tab", "turn(1)", "Next", tooltip="the next report, where there are several"),
        Binding("shift+tab", "turn(-1)", "Previous", show=False, tooltip="the report before"),
    ]

    pages: var[tuple[Page, ...]] = var(())
    number: var[int] = var(0)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name_of_all = name

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self.pages[self.number % len(self.pages)] if self.pages else Page()

    def compose(self) -> ComposeResult:
        """Lay out the report."""
        yield Static(classes="heading")
        yield Plots()
        yield Static(classes="tables")

    def watch_pages(self) -> None:
        """Show the new pages."""
        self._draw()

    def watch_number(self) -> None:
        """Show another page, from its beginning."""
        self._draw()
        self.scroll_home(animate=False)

    def action_turn(self, by: int) -> None:
        """Show the next page, or the one before, round and round."""
        if self.pages:
            self.number = (self.number + by) % len(self.pages)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to turn only where there is something to turn to."""
        return action != "turn" or len(self.pages) > 1

    def _draw(self) -> None:
        if not self.is_mounted or not self.pages:
            return
        page = self.page
        heading = Text(self._name_of_all, "bold").append(f"  {plain(page.title)}", "not bold")
        if len(self.pages) > 1:
            heading.append(f"  {self.number % len(self.pages) + 1}/{len(self.pages)}", "not bold dim")
        self.query_one(".heading", Static).update(heading)
        plots = self.query_one(Plots)
        plots.display = bool(page.plots)
        plots.plots = page.plots
        tables = [laid_out(table) for table in page.tables]
        hint = [Text(plain(page.hint))] if page.hint else []
        self.query_one(".tables", Static).update(Group(*hint, *tables))
        self.refresh_bindings()
