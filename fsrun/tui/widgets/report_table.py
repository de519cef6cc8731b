"""A report's table with a cursor: sorted by any column, as many columns as have room.

Not here: what is in the table (fsrun.report), and a list of runs (run_table.py).
"""

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import var
from textual.widgets import DataTable

from fsrun.report.render import Table, fitted
from fsrun.report.table2_columns import NOT_RUN
from fsrun.words import plain


def order(table: Table, heading: str, *, descending: bool) -> list[int]:
    """Return the places of the rows in the order of a column, the report's own where there is none so called.

    Rows with nothing in the column come last either way.
    """
    places = list(range(len(table.rows)))
    if heading not in [column.heading for column in table.columns]:
        return places
    keys = table.sort_keys(heading)
    empty = [place for place in places if keys[place][0]]
    there = [place for place in places if not keys[place][0]]
    return sorted(there, key=lambda place: keys[place][1:], reverse=descending) + empty


class ReportTable(DataTable[Text]):
    """Rows of a report; tells which row the cursor is on, and which cell was opened."""

    BINDING_GROUP_TITLE = "Rows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "select_cursor",
            "Open run",
            tooltip="open the run behind the cell; or choose of several",
        ),
        Binding("j", "cursor_down", "Down", tooltip="next row"),
        Binding("k", "cursor_up", "Up", tooltip="row before"),
        Binding("g,home", "scroll_top", "First", tooltip="first row"),
        Binding("G,end", "scroll_bottom", "Last", tooltip="last row"),
        Binding("S", "reverse", "Reverse", tooltip="sort the other way round"),
    ]

    class Highlighted(Message):
        """The cursor is on this row of the table."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    class Opened(Message):
        """The user wants to see the run behind the cell of this row below this heading."""

        def __init__(self, place: int, heading: str) -> None:
            super().__init__()
            self.place, self.heading = place, heading

    table: var[Table | None] = var(None)
    sorting: var[tuple[str, bool]] = var(("", False))  # heading, whether the largest comes first

    def __init__(self) -> None:
        super().__init__(cursor_type="cell", cell_padding=0, cursor_foreground_priority="renderable")

    def watch_table(self) -> None:
        """Draw the new table, the cursor staying on its row."""
        self._draw()

    def watch_sorting(self) -> None:
        """Draw the table in its new order."""
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Show as many columns as fit."""
        self._draw()

    def sort_by(self, heading: str) -> None:
        """Sort by a column, numbers with the largest first; by the present one, the other way round."""
        if heading == self.sorting[0]:
            self.action_reverse()
        elif self.table is not None:
            columns = self.table.columns
            self.sorting = heading, any(each.heading == heading and each.numeric for each in columns)

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.sorting = self.sorting[0], not self.sorting[1]

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the column whose heading was clicked on."""
        event.stop()
        self.sort_by(event.column_key.value or "")

    def on_data_table_cell_highlighted(self, event: DataTable.CellHighlighted) -> None:
        """Tell which row the cursor is on."""
        event.stop()
        if event.cell_key.row_key.value is not None:
            self.post_message(self.Highlighted(int(event.cell_key.row_key.value)))

    def on_data_table_cell_selected(self, event: DataTable.CellSelected) -> None:
        """Tell which cell was opened."""
        event.stop()
        row, column = event.cell_key.row_key.value, event.cell_key.column_key.value
        if row is not None and column is not None:
            self.post_message(self.Opened(int(row), column))

    def _draw(self) -> None:
        if self.table is None or not self.size.width:
            return
        shown, (there, heading) = fitted(self.table, self.size.width - 2), self._cell_of_cursor()
        places = order(self.table, *self.sorting[:1], descending=self.sorting[1])
        self.clear(columns=True)
        for index, column in enumerate(shown.columns):
            cells = [row[index] for row in shown.rows]
            arrow = ("↓" if self.sorting[1] else "↑") if column.heading == self.sorting[0] else ""
            title = Text(column.heading + arrow, "dim")
            width = max(Text(cell).cell_len for cell in (*cells, column.heading + arrow))
            if column.numeric:
                title.pad_left(width - title.cell_len)
            self.add_column(title, width=width + 1, key=column.heading)
        for place in places:
            style = "" if _is_measured(self.table, place) else "dim"
            cells = [plain(cell) for cell in shown.rows[place]]
            widths = [column.width - 1 for column in self.ordered_columns]
            self.add_row(
                *(
                    _cell(cell, style, width if column.numeric else 0)
                    for cell, width, column in zip(cells, widths, shown.columns, strict=True)
                ),
                key=str(place),
            )
        if there in places:
            headings = [column.heading for column in shown.columns]
            across = headings.index(heading) if heading in headings else 0
            self.move_cursor(row=places.index(there), column=across, animate=False)

    def _cell_of_cursor(self) -> tuple[int, str]:
        """Return the place of the row in the report, and the heading of the column."""
        if not self.is_valid_coordinate(self.cursor_coordinate):
            return 0, ""
        key = self.coordinate_to_cell_key(self.cursor_coordinate)
        return int(key.row_key.value or 0), key.column_key.value or ""


def _is_measured(table: Table, place: int) -> bool:
    return NOT_RUN not in table.rows[place] or bool(table.records[place].get("run_ids"))


def _cell(words: str, style: str, width: int) -> Text:
    cell = Text(words, style)
    cell.pad_left(max(width - cell.cell_len, 0))
    return cell
