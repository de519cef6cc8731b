"""Table 2: the paper's accuracies beside ours, and below the story of the row under the cursor.

Not here: what stands in the table (fsrun.report.table2) and in a story (fsrun.report.stories).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from experiments.registry import methods_of
from experiments.table2 import ROWS
from fsrun.report.render import Column, Table
from fsrun.report.rows import MINI
from fsrun.report.table2_columns import short
from fsrun.tui.exporting import Export, of_table
from fsrun.tui.messages import OrderRefused, Picture, RunOpened
from fsrun.tui.report_keys import REPORT_KEYS, REPORTS
from fsrun.tui.screens.menu import Menu
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.report_table import ReportTable
from fsrun.tui.widgets.status_line import StatusLine
from fsrun.words import plain

WIDE = 140
"""Columns from which the story stands beside the table, not below it."""


class Table2Screen(Screen[None]):
    """The report's table, kept up to date."""

    BINDING_GROUP_TITLE = "Table 2"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back", tooltip="back to the runs"),
        *REPORT_KEYS,
        Binding("s", "sort", "Sort", tooltip="choose the column to sort by; or click on its name"),
        Binding("tab", "turn(1)", "Next", tooltip="the next table, where there are several"),
        Binding("J", "scroll_story(1)", "Read on", tooltip="scroll the row's story down"),
        Binding("K", "scroll_story(-1)", "Read back", tooltip="scroll the row's story up"),
    ]

    def __init__(self, name: str = "table2") -> None:
        super().__init__(name)
        self._tables: tuple[Table, ...] = ()
        self._stories: Mapping[str, tuple[str, ...]] = {}
        self._number = 0
        self._place = 0  # of the row whose story is told

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static(classes="heading")
        with Container(id="table2"):
            yield ReportTable()
            with VerticalScroll(can_focus=False):
                yield Static(classes="story")
        yield StatusLine()
        yield KeyLine("Back", *REPORTS, "Open run", "Sort", "Next", "Export")

    def on_mount(self) -> None:
        """Follow the app's picture of the database."""
        self.watch(self.app, "picture", self._show)
        self.query_one(ReportTable).focus()

    def on_resize(self, event: events.Resize) -> None:
        """Put the story where there is room."""
        self.set_class(event.size.width >= WIDE, "wide")

    def exports(self) -> tuple[Export, ...]:
        """Return what can be written into a file."""
        return of_table(self._tables[self._number]) if self._tables else ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to turn only where there is something to turn to."""
        return action != "turn" or len(self._tables) > 1

    def action_turn(self, by: int) -> None:
        """Show the next table, round and round."""
        self._number = (self._number + by) % max(len(self._tables), 1)
        self._draw()

    def action_sort(self) -> None:
        """Ask which column to sort by."""
        if not self._tables:
            return
        table = self.query_one(ReportTable)
        names = [column.heading for column in self._tables[self._number].columns]
        self.app.push_screen(Menu("Sort by", names, table.sorting[0]), self._sort_by)

    def action_scroll_story(self, by: int) -> None:
        """Scroll the story by a line."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    @on(ReportTable.Highlighted)
    def _tell(self, message: ReportTable.Highlighted) -> None:
        if self._tables:
            table = self._tables[self._number]
            story = self._stories.get(str(table.records[message.place]["row"]), ())
            self.query_one(".story", Static).update(told(table, message.place, story))
            if message.place != self._place:  # else the cursor went along its row
                self._place = message.place
                self.query_one(VerticalScroll).scroll_home(animate=False)

    @on(ReportTable.Opened)
    def _open(self, message: ReportTable.Opened) -> None:
        table = self._tables[self._number]
        record = table.records[message.place]
        column = next(each for each in table.columns if each.heading == message.heading)
        names = {run_label(record, run_id): run_id for run_id in record[column.runs]}

        def open_run(name: str | None) -> None:
            if name is not None:
                self.post_message(RunOpened(names[name]))

        if not names:
            self.post_message(OrderRefused(not_run(record, column)))
        elif len(names) == 1:
            open_run(*names)
        else:
            title = f"{plain(record['title'])}, {column.heading}: which run?"
            self.app.push_screen(Menu(title, list(names)), open_run)

    def _sort_by(self, heading: str | None) -> None:
        if heading is not None:
            self.query_one(ReportTable).sort_by(heading)

    def _show(self, picture: Picture | None) -> None:
        if picture is not None and picture.tables and picture.tables is not self._tables:
            self._tables, self._stories = picture.tables, picture.stories
            self._number = min(self._number, len(self._tables) - 1)
            self._draw()

    def _draw(self) -> None:
        if not self._tables:
            return
        table = self._tables[self._number]
        heading = Text(plain(table.title), "bold")
        if len(self._tables) > 1:
            heading.append(f"  {self._number + 1}/{len(self._tables)}", "not bold dim")
        self.query_one(".heading", Static).update(heading)
        self.query_one(ReportTable).table = table
        self.refresh_bindings()


def run_label(record: Mapping[str, Any], run_id: int) -> str:
    """Name one of the runs behind a cell: run 5, seed 0, 96.91 %."""
    run = record["runs"].get(str(run_id))
    if run is None:  # it trained what others measured
        return f"run {run_id}"
    return f"run {run_id}, seed {run['seed']}, {100 * run['value']:.2f} %"


def not_run(record: Mapping[str, Any], column: Column) -> str:
    """Say of a cell without runs what to type so that it gets some."""
    row = next(row for row in ROWS if row.name == record["row"])
    shapes = {f"{short((n_way, k_shot))}_run_ids": (n_way, k_shot) for n_way, k_shot in record["shapes"]}
    if record["run_ids"] and column.runs not in (*shapes, "mini_run_ids"):
        return f"no run is behind {column.heading} of {record['title']}"
    experiment, shape = "omniglot", shapes.get(column.runs, row.shapes[0])
    if column.runs == "mini_run_ids":
        experiment, shape = "miniimagenet", MINI
        if row.method not in methods_of(experiment):
            return f"{record['title']} cannot be run on mini-ImageNet"
    on = "on mini-ImageNet, " if experiment == "miniimagenet" else ""
    what = f"{record['title']} {on}{short(shape)}"
    return f"{what} was not run yet: type `{row.command(experiment, shape)}`"


def told(table: Table, place: int, story: Sequence[str]) -> Text:
    """Return all there is to say about a row: every cell, its story, and how to read the table."""
    record = table.records[place]
    text = Text(f"{plain(record['title'])}\n", "bold")
    cells = [
        f"{column.heading} {plain(cell)}"
        for column, cell in zip(table.columns[1:], table.rows[place][1:], strict=True)
        if cell
    ]
    text.append(" · ".join(cells) + "\n", "not bold")
    for paragraph in story:
        text.append(f"\n{paragraph}\n", "not bold")
    text.append("\nThe table\n")
    for note in table.every_note:
        text.append(f"{plain(note)}\n", "not bold dim")
    return text
