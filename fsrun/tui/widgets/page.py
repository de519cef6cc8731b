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


class PageView(VerticalScroll, inherit_bindings=False):
    """Shows one of several pages; left and right are for its charts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Down", tooltip="scroll down"),
        Binding("k,up", "scroll_up", "Up", tooltip="scroll up"),
        Binding("pagedown,ctrl+d", "page_down", "Page down", tooltip="a page on"),
        Binding("pageup,ctrl+u", "page_up", "Page up", tooltip="a page back"),
        Binding("g,home", "scroll_home", "Top", tooltip="to the beginning"),
        Binding("G,end", "scroll_end", "End", tooltip="to the end"),
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
        """Show another page, from its beginning and whole."""
        self.query_one(Plots).whole()
        self._draw()
        self.scroll_home(animate=False)

    def next(self, by: int) -> None:
        """Go to the next chart, from the last one to the next page, or back; round and round."""
        plots = self.query_one(Plots)
        if 0 <= plots.current + by < plots.count:
            plots.current += by
            self._bring_into_sight()
        elif self.pages:
            self.number = (self.number + by) % len(self.pages)
            plots.current = 0 if by > 0 else max(plots.count - 1, 0)
            self._bring_into_sight()

    def _bring_into_sight(self) -> None:
        """Scroll to the current chart where it is not on the screen."""
        plots = self.query_one(Plots)

        def scroll() -> None:
            place = plots.region_of(plots.current)
            if place is not None:
                self.scroll_to_region(place.translate(plots.virtual_region.offset), animate=False)

        self.call_after_refresh(scroll)

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
