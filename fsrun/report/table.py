"""A table as people see it and as programs read it, and which of its columns fit a width.

Not here: what is in a table (table2.py, figure4.py), and writing it (render.py, latex.py, web.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Self

from rich.cells import cell_len

from fsrun.axes import with_interval

_NAMED = 3  # columns that are named where there was no room for them, unless all notes are asked for


Show = Callable[[Any], str]
"""A line of a report -> what a cell of it says."""

SortKey = tuple[bool, float, str]  # whether nothing is there, number, words


@dataclass(frozen=True)
class Column:
    """A column: its heading, what it says of a line, and the field of a record with the value behind a cell.

    Rows sort by that value; where there is no such field, by the words. Numbers are set flush right. `runs`
    names the field with the runs behind a cell. Where there is no room for all, columns of the highest
    `spare` are left out first; 0 is never left out. A column that `repeats` says only once what consecutive
    lines share. Where columns of a `group` stand below its name, each is called by its `inner` name there.
    """

    heading: str
    show: Show
    value: str = ""
    numeric: bool = False
    spare: int = 0
    repeats: bool = False
    runs: str = "run_ids"
    group: str = ""
    inner: str = ""

    def __post_init__(self) -> None:
        if self.numeric and not self.value:
            raise TypeError(f"column {self.heading!r} holds numbers: name the field of its value")

    @property
    def shown(self) -> str:
        """What it is called below the name of its group."""
        return self.inner or self.heading


def field(name: str, text: Show = str, nothing: str = "") -> Show:
    """Return what says one field of a line, an attribute or the item of a record; `nothing` for None."""

    def show(line: Any) -> str:
        value = _of(line, name)
        return nothing if value is None else text(value)

    return show


def measured_in(name: str, interval: str, nothing: str = "–") -> Show:
    """Return what says a number and its interval, two fields of a line."""

    def show(line: Any) -> str:
        value, half = _of(line, name), _of(line, interval)
        return nothing if value is None else with_interval(value, half)

    return show


def four_digits(value: float) -> str:
    """Return a number in four significant digits."""
    return f"{value:.4g}"


def _of(line: Any, name: str) -> Any:
    return line.get(name) if isinstance(line, Mapping) else getattr(line, name)


def listed(run_ids: Iterable[int]) -> str:
    """Return run numbers as a cell holds them."""
    return ", ".join(map(str, run_ids))


def sort_key(value: Any) -> SortKey:
    """Return what a value sorts by: numbers before words, nothing at all last."""
    if value is None or value == "":
        return True, 0.0, ""
    return (
        (False, value, "") if isinstance(value, int | float) else (False, float("inf"), str(value).casefold())
    )


@dataclass(frozen=True)
class Table:
    """A table for people (columns, rows of cells, notes) and for programs (records of JSON's types).

    `values` are what stands behind the cells: the field of a record that the column names, else the words.
    `details` are further notes, which a terminal shows only when asked for them. `best` are the cells with
    the best value of their column, by row and heading; `ours` the rows of the method that all is about. Rows
    from `extra` on stand below a line of their own, `extra_title`; folded, `folded_title` stands for them.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    records: tuple[Mapping[str, Any], ...] = ()
    details: tuple[str, ...] = ()
    best: frozenset[tuple[int, str]] = frozenset()
    ours: frozenset[int] = frozenset()
    extra: int | None = None
    extra_title: str = ""
    folded_title: str = ""
    values: tuple[tuple[Any, ...], ...] = ()

    @classmethod
    def of(
        cls,
        title: str,
        columns: Sequence[Column],
        lines: Iterable[Any],
        record: Callable[[Any], Mapping[str, Any]],
        *,
        total: Any = None,
        **more: Any,
    ) -> Self:
        """Return the table of some lines, each with its record; a line for all, `total`, has none.

        `more` are the other fields of a table. Raises KeyError for a column of a field that no record has.
        """
        lines = list(lines)
        records = tuple(map(record, lines))
        shown = lines if total is None else [*lines, total]
        rows = tuple(tuple(column.show(line) for column in columns) for line in shown)
        values = [
            tuple(
                each[column.value] if column.value else cell
                for column, cell in zip(columns, row, strict=True)
            )
            for row, each in zip(rows, records, strict=False)
        ]
        values += [(None,) * len(columns)] * (len(shown) - len(lines))
        return cls(title, tuple(columns), rows, records=records, values=tuple(values), **more)

    def sort_keys(self, heading: str) -> list[SortKey]:
        """Return what each row sorts by in a column: the value behind its cell. A line for all stays last."""
        place = [column.heading for column in self.columns].index(heading)
        return [sort_key(row[place]) for row in self.values]

    def sparse_rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the rows without the cells that repeat what stands above them."""
        above: tuple[str, ...] = ()
        for row in self.rows:
            yield tuple(
                "" if column.repeats and row[: place + 1] == above[: place + 1] else row[place]
                for place, column in enumerate(self.columns)
            )
            above = row

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
        rows, values = self.rows[: self.extra], self.values[: self.extra]
        return replace(self, rows=rows, values=values, extra_title=self.folded_title)

    def with_needed_notes(self) -> "Table":
        """Return the table without notes on marks that no cell has: such a note begins with its mark."""
        cells = "".join(cell for row in self.rows for cell in row)
        marks = [note.split(" ", 1)[0] for note in self.notes]
        needed = (
            note
            for note, mark in zip(self.notes, marks, strict=True)
            if len(mark) > 1 or mark.isalnum() or mark in cells
        )
        return replace(self, notes=tuple(needed))

    def groups(self) -> list[tuple[str, int]]:
        """Return the names of the groups of columns, each with its size; no name for columns of none."""
        return [(name, len(list(own))) for name, own in groupby(column.group for column in self.columns)]

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
        values=tuple(tuple(row[place] for place in kept) for row in table.values),
    )


def column_widths(table: Table) -> list[int]:
    """Return how many columns of a terminal each column takes where nothing wraps."""
    headings = tuple(column.shown for column in table.columns)
    widths = [max(map(cell_len, column)) for column in zip(headings, *table.rows, strict=True)]
    for group in dict.fromkeys(column.group for column in table.columns if column.group):
        own = [place for place, column in enumerate(table.columns) if column.group == group]
        widths[own[-1]] += max(cell_len(group) - sum(widths[place] + 1 for place in own) + 1, 0)
    return widths
