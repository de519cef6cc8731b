"""The list of runs: one row each, changed in place.

Not here: the words in its cells (fsrun.words).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import var
from textual.widgets import DataTable

from fsrun.tui.messages import RunHighlighted, RunOpened
from fsrun.words import (
    duration,
    newest_value,
    plain,
    progress_text,
    short_task,
    status_text,
    status_word,
)
from store.jobs import JobStatus
from store.snapshot import RunRow


@dataclass(frozen=True)
class _Column:
    """A column; one with `extra` above zero only comes where the table is that much wider than it must be."""

    name: str
    width: int
    cell: Callable[[RunRow, int], Text]
    extra: int = 0
    right: bool = False


_COLUMNS = (
    _Column("id", 4, lambda row, _: Text(str(row.id), "dim"), right=True),
    _Column("experiment", 10, lambda row, _: Text(plain(row.experiment))),
    _Column("method", 9, lambda row, _: Text(plain(row.method))),
    _Column("task", 6, lambda row, _: Text(short_task(row))),
    _Column("preset", 6, lambda row, _: Text(plain(row.preset)), extra=7),
    _Column("seed", 4, lambda row, _: Text(str(row.seed)), extra=12, right=True),
    _Column("status", 11, lambda row, _: status_text(status_word(row))),
    _Column("progress", 12, progress_text),
    _Column("ETA", 6, lambda row, _: Text(duration(row.eta_seconds) if row.eta_seconds else ""), right=True),
    _Column("newest", 12, lambda row, _: newest_value(row), right=True),
)


class RunTable(DataTable[Text]):
    """Runs, newest first; tells which one the cursor is on, and which one was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open"),
        Binding("j", "cursor_down", "down", show=False),
        Binding("k", "cursor_up", "up", show=False),
        Binding("g,home", "scroll_top", "first run", show=False),
        Binding("G,end", "scroll_bottom", "last run", show=False),
    ]

    rows_shown: var[tuple[RunRow, ...]] = var(())

    def __init__(self) -> None:
        super().__init__(cursor_type="row", cell_padding=0, cursor_foreground_priority="renderable")
        self._drawn: dict[int, tuple[RunRow, tuple[Text, ...]]] = {}
        self._layout: tuple[tuple[_Column, int], ...] = ()
        self._highlighted: int | None = None

    def watch_rows_shown(self) -> None:
        """Bring the table up to date, the cursor staying on its run."""
        if self._layout:
            self._bring_up_to_date()

    def on_resize(self, event: events.Resize) -> None:
        """Choose the columns that fit, and draw the table anew where that changes them."""
        layout = _layout_for(event.size.width)
        if layout != self._layout:
            self._layout = layout
            self._drawn = {}
            self.clear(columns=True)
            for column, width in layout:
                name = column.name.rjust(width - 1) if column.right else column.name
                self.add_column(Text(name, "dim"), width=width, key=column.name)
            self._bring_up_to_date()

    def on_data_table_row_highlighted(self) -> None:
        """Tell which run the cursor is on, once for each change."""
        run_id = self._run_at_cursor()
        if run_id is not None and run_id != self._highlighted:
            self._highlighted = run_id
            self.post_message(RunHighlighted(run_id))

    def on_data_table_row_selected(self) -> None:
        """Tell that the run under the cursor was opened."""
        run_id = self._run_at_cursor()
        if run_id is not None:
            self.post_message(RunOpened(run_id))

    def _run_at_cursor(self) -> int | None:
        if not self.is_valid_row_index(self.cursor_row):
            return None
        key = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        return None if key is None else int(key)

    def _bring_up_to_date(self) -> None:
        """Change only the cells that differ; sort only after runs were added."""
        present = {row.id for row in self.rows_shown}
        for run_id in [run_id for run_id in self._drawn if run_id not in present]:
            self.remove_row(str(run_id))
            del self._drawn[run_id]
        added = [row for row in self.rows_shown if row.id not in self._drawn]
        for row in added:
            self._drawn[row.id] = row, self._cells(row)
            self.add_row(*self._drawn[row.id][1], key=str(row.id))
        for row in self.rows_shown:
            if row != self._drawn[row.id][0]:
                self._change(row)
        if added:
            self.sort("id", key=lambda cell: -int(cell.plain))
        target = self._highlighted if self._highlighted in present else self._first_to_show()
        if target is not None and target != self._run_at_cursor():
            self.move_cursor(row=self.get_row_index(str(target)))

    def _change(self, row: RunRow) -> None:
        cells = self._cells(row)
        for (column, _), cell, old in zip(self._layout, cells, self._drawn[row.id][1], strict=True):
            if cell != old:
                self.update_cell(str(row.id), column.name, cell)
        self._drawn[row.id] = row, cells

    def _first_to_show(self) -> int | None:
        """Return the newest running run, else the newest."""
        running = (row.id for row in self.rows_shown if row.status is JobStatus.RUNNING)
        return next(running, self.rows_shown[0].id if self.rows_shown else None)

    def _cells(self, row: RunRow) -> tuple[Text, ...]:
        return tuple(_fitted(column, row, width - 1) for column, width in self._layout)


def _fitted(column: _Column, row: RunRow, width: int) -> Text:
    """Return the cell cut to its width, so that columns stay straight whatever the text."""
    cell = column.cell(row, width)
    cell.truncate(width, overflow="ellipsis")
    if column.right:
        cell.pad_left(width - cell.cell_len)
    return cell


def _layout_for(width: int) -> tuple[tuple[_Column, int], ...]:
    """Return the columns that fit, each with its width and the gap after it; progress takes what is left."""
    spare = width - 2 - sum(column.width + 1 for column in _COLUMNS if not column.extra)
    shown = [column for column in _COLUMNS if column.extra <= max(spare, 0)]
    spare = width - 2 - sum(column.width + 1 for column in shown)
    grow = min(max(spare, 0), 18)
    return tuple((column, column.width + 1 + grow * (column.name == "progress")) for column in shown)
