"""Table 2: the paper's accuracies beside ours.

Not here: what stands in the table (fsrun.report.table2).
"""

from collections.abc import Sequence
from typing import ClassVar

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from fsrun.report.render import Table
from fsrun.report.table2 import NOT_RUN
from fsrun.tui.messages import Picture
from fsrun.tui.widgets.status_line import StatusLine
from fsrun.words import plain

_ROOMY = 100  # columns from which every column of the report is shown
_LONG = "Source measured"  # the column that goes first where there is no room


class Table2Screen(Screen[None]):
    """The report's table, kept up to date."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,t,1", "app.pop_screen", "Back"),
        Binding("j", "scroll_text(1)", "down", show=False),
        Binding("k", "scroll_text(-1)", "up", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        with VerticalScroll():
            yield Static(id="tables")
        yield StatusLine()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self._tables: tuple[Table, ...] = ()
        self.watch(self.app, "picture", self._show)
        self.watch(self.app, "trouble", self._show_trouble)
        self.query_one(VerticalScroll).focus()

    def on_resize(self, event: events.Resize) -> None:
        """Show as many columns as fit."""
        self._draw(event.size.width)

    def action_scroll_text(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def _show(self, picture: Picture | None) -> None:
        if picture is not None and picture.tables and picture.tables != self._tables:
            self._tables = picture.tables
            self._draw(self.size.width)

    def _show_trouble(self, trouble: str) -> None:
        self.query_one(StatusLine).trouble = trouble

    def _draw(self, width: int) -> None:
        self.query_one("#tables", Static).update(drawn(self._tables, width))


def drawn(tables: Sequence[Table], width: int) -> RenderableType:
    """Return the tables one below the other; what was measured stands out from what was not."""
    parts: list[RenderableType] = []
    for table in tables:
        parts += [Text(table.title, "bold"), _grid(table, width), Text()]
        notes = [note for note in table.notes if width >= _ROOMY or not note.startswith("*")]
        parts += [Padding(Text(plain(note), "dim"), (0, 0, 0, 1)) for note in notes]
        parts.append(Text())
    return Group(*parts)


def _grid(table: Table, width: int) -> RichTable:
    shown = [i for i, column in enumerate(table.columns) if width >= _ROOMY or column.heading != _LONG]
    grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), border_style="dim")
    for index in shown:
        column = table.columns[index]
        grid.add_column(
            Text(column.heading, "dim"), justify="right" if column.numeric else "left", no_wrap=column.numeric
        )
    for row in table.rows:
        style = "dim" if NOT_RUN in row else ""
        grid.add_row(*(Text(plain(row[index]), style) for index in shown))
    return grid
