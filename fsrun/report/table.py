"""A table as people see it and as programs read it, and which of its columns fit a width.

Not here: what is in a table (table2.py, figure4.py), and writing it (render.py, latex.py, web.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len

_NAMED = 3  # columns that are named where there was no room for them, unless all notes are asked for


@dataclass(frozen=True)
class Column:
    """A column as a person sees it; numbers are set flush right.

    Where there is no room for all, columns of the highest `spare` are left out first; 0 is never left out.
    In a column that `repeats`, an empty cell stands for what is above it. `value` and `runs` name the fields
    of a record that hold the value behind a cell, and the runs behind it. Where columns of a `group` stand
    below its name, each is called by its `inner` name there.
    """

    heading: str
    numeric: bool = False
    spare: int = 0
    repeats: bool = False
    value: str = ""
    runs: str = "run_ids"
    group: str = ""
    inner: str = ""

    @property
    def shown(self) -> str:
        """What it is called below the name of its group."""
        return self.inner or self.heading


@dataclass(frozen=True)
class Table:
    """A table for people (columns, rows of cells, notes) and for programs (records of JSON's types).

    `details` are further notes, which a terminal shows only when asked for them. `best` are the cells with
    the best value of their column, by row and heading; `ours` the rows of the method that all is about. Rows
    from `extra` on stand below a line of their own, `extra_title`; folded, `folded_title` stands for them.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]
    details: tuple[str, ...] = ()
    best: frozenset[tuple[int, str]] = frozenset()
    ours: frozenset[int] = frozenset()
    extra: int | None = None
    extra_title: str = ""
    folded_title: str = ""

    @property
    def every_note(self) -> tuple[str, ...]:
        """The notes and the details."""
        return (*self.notes, *self.details)

    def detailed(self) -> "Table":
        """Return the table with its details among the notes."""
        return replace(self, notes=self.every_note, details=())

    def folded(self) -> "Table":
        """Return the table without its extra rows, and the line that tells of them in their place."""
        if self.extra is None:
            return self
        return replace(self, rows=self.rows[: self.extra], extra_title=self.folded_title)

    def gap_before(self, place: int) -> int:
        """Return how many blanks stand before a column at least: one more where a group begins or ends."""
        if place == 0:
            return 0
        return 1 + (self.columns[place].group != self.columns[place - 1].group)


def fitted(table: Table, width: int) -> Table:
    """Return the table with as many columns as `width` has room for, and a note that names the others."""
    widths = column_widths(table)
    kept = columns_within(table, widths, width)
    if len(kept) == len(widths):
        return table
    names = headings_beside(table, kept)
    more = len(names) - _NAMED if table.details else 0
    left_out = ", ".join(names[:_NAMED]) + f" and {more} more" if more > 0 else ", ".join(names)
    note = f"Hidden: {left_out}; widen to {room_of(table)} or use `--format csv`."
    shown = with_columns(table, kept)
    return replace(shown, notes=(note, *table.notes))


def columns_within(table: Table, widths: Sequence[int], room: int) -> list[int]:
    """Return the places of the columns that have room, one apart, if they are so wide."""
    kept = list(range(len(widths)))
    for place in sorted(kept, key=lambda place: (-table.columns[place].spare, -place)):
        if table.columns[place].spare and _room(table, widths, kept) > room:
            kept.remove(place)
    return kept


def room_of(table: Table) -> int:
    """Return how wide the table is where nothing wraps, with the least gaps."""
    widths = column_widths(table)
    return _room(table, widths, range(len(widths)))


def _room(table: Table, widths: Sequence[int], kept: Sequence[int]) -> int:
    """Return how wide these columns of the table are together, with the least gaps between them."""
    shown = with_columns(table, kept)
    return sum(widths[place] + shown.gap_before(number) for number, place in enumerate(kept))


def headings_beside(table: Table, kept: Sequence[int]) -> list[str]:
    """Return the headings of the columns that are not kept."""
    return [column.heading for place, column in enumerate(table.columns) if place not in kept]


def with_columns(table: Table, kept: Sequence[int]) -> Table:
    """Return the table with these columns alone."""
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def column_widths(table: Table) -> list[int]:
    """Return how many columns of a terminal each column takes where nothing wraps."""
    headings = tuple(column.shown for column in table.columns)
    widths = [max(map(cell_len, column)) for column in zip(headings, *table.rows, strict=True)]
    for group in dict.fromkeys(column.group for column in table.columns if column.group):
        own = [place for place, column in enumerate(table.columns) if column.group == group]
        widths[own[-1]] += max(cell_len(group) - sum(widths[place] + 1 for place in own) + 1, 0)
    return widths
