"""Writing a table in any format; here as text, Markdown, CSV or JSON.

Not here: what a table is (table.py), the other formats (latex.py, web.py), and whole reports (report.py).
"""

import csv
import json
import math
from collections.abc import Mapping
from io import StringIO
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from fsrun.report.formats import Format
from fsrun.report.latex import to_latex
from fsrun.report.table import Column, Table, column_widths, fitted, room_of
from fsrun.report.web import Section, page

__all__ = ["Column", "Format", "Table", "fitted", "render"]


def render(table: Table, form: Format, *, width: int = 80, colour: bool = False) -> str:
    """Return the table in a format, without a newline at its end; width and colour are for text alone."""
    match form:
        case Format.TEXT:
            return to_text(table, width=width, colour=colour)
        case Format.MARKDOWN:
            return to_markdown(table)
        case Format.CSV:
            return to_csv(table)
        case Format.JSON:
            return to_json(document_of(table))
        case Format.LATEX:
            return to_latex(table, "fsrun")
        case Format.HTML:
            return page(table.title, [Section("table", table.title, (table,))])


def document_of(table: Table) -> dict[str, Any]:
    """Return what JSON holds of a table."""
    return {"title": table.title, "notes": table.every_note, "rows": table.records}


def to_text(table: Table, *, width: int, colour: bool) -> str:
    """Return the table for a terminal: where `width` is too little columns are left out, and said to be.

    Cells wrap where even that does not do.
    """
    table = fitted(table, width)
    table = table.with_needed_notes()
    more = [f"{len(table.details)} more notes: add --notes."] if table.details else []
    notes = [Text(note, style="dim") for note in (*table.notes, *more)]
    grouped = any(column.group for column in table.columns) and room_of(table) <= width
    grid = _in_groups(table) if grouped else _in_columns(table, width)
    return printed(Group(grid, Text(""), *notes), width=width, colour=colour)


def _in_columns(table: Table, width: int) -> RenderableType:
    """Return the grid, two blanks between columns where there is room; else cells wrap."""
    gap = 1 if _natural_width(table) <= width else 0  # beyond the one that the box draws
    grid = RichTable(
        title=Text(table.title), box=box.SIMPLE_HEAD, title_justify="left", padding=(0, gap, 0, 0)
    )
    grid.show_edge = grid.pad_edge = False
    for column in table.columns:
        grid.add_column(
            Text(column.heading), justify="right" if column.numeric else "left", no_wrap=column.numeric
        )
    for row in table.sparse_rows():
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _in_groups(table: Table) -> RenderableType:
    """Return the grid with the names of groups above their columns, and a line before the extra rows."""
    widths = column_widths(table)
    names, headings = Text(), Text()
    for place, column in enumerate(table.columns):
        gap = " " * table.gap_before(place)
        if column.group and (place == 0 or table.columns[place - 1].group != column.group):
            names.append(" " * (headings.cell_len + len(gap) - names.cell_len) + column.group, "bold")
        headings.append(gap + _set(column.shown, widths[place], numeric=column.numeric), "bold")
    rule = "─" * max(names.cell_len, headings.cell_len)
    lines = [Text(table.title, "bold"), names, headings, Text(rule, "dim")]
    for number, row in enumerate(table.rows):
        if number == table.extra:
            lines.append(_rule(table.extra_title, len(rule)))
        line = Text(style="cyan" if number in table.ours else "")
        for place, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
            style = "bold" if (number, column.heading) in table.best else ""
            line.append(" " * table.gap_before(place))
            line.append(_set(cell, widths[place], numeric=column.numeric), style)
        lines.append(line)
    if table.extra == len(table.rows):
        lines.append(_rule(table.extra_title, len(rule)))
    return Group(*lines)


def _set(cell: str, width: int, *, numeric: bool) -> str:
    """Return the cell as wide as its column, numbers flush right."""
    blanks = " " * (width - cell_len(cell))
    return blanks + cell if numeric else cell + blanks


def _rule(title: str, width: int) -> Text:
    return Text(f"── {title} ".ljust(width, "─"), "dim")


def _natural_width(table: Table) -> int:
    """Return how wide the text is if no cell wraps and columns are two apart."""
    return sum(width + 2 for width in column_widths(table)) - 2


def printed(renderable: RenderableType, *, width: int, colour: bool) -> str:
    """Return what rich would print, without spaces at the ends of lines where there is no colour."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(renderable)
    lines = capture.get().splitlines()
    return "\n".join(line if colour else line.rstrip() for line in lines).rstrip("\n")


def to_markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, its notes as a list below."""
    headings = [column.heading for column in table.columns]
    rulers = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [f"**{escaped_markdown(table.title)}**", "", _markdown_line(headings), _markdown_line(rulers)]
    for number, row in enumerate(table.sparse_rows()):
        cells = zip(row, headings, strict=True)
        bold = [(escaped_markdown(cell), (number, heading) in table.best) for cell, heading in cells]
        lines.append(_markdown_line([f"**{cell}**" if best else cell for cell, best in bold]))
    notes = [f"- {escaped_markdown(note)}" for note in table.every_note]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def to_csv(table: Table) -> str:
    """Return one line per record under the names of the fields that are not nested."""
    fields = [name for name, value in table.records[0].items() if not _nested(value)] if table.records else []
    fields = [name for name in fields if not any(_nested(record[name]) for record in table.records)]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([[_csv_cell(record[name]) for name in fields] for record in table.records])
    return out.getvalue().rstrip("\n")


def to_json(value: Any) -> str:
    """Return strict JSON: numbers that JSON has not (NaN, infinity) become null."""
    return json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False)


def _markdown_line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped_markdown(text: str) -> str:
    """Return plain text as Markdown shows it, on one line."""
    escaped = "".join(f"\\{mark}" if mark in "\\|*_`<[]" else mark for mark in text)
    return " ".join(escaped.split())


def _nested(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value)


def _csv_cell(value: Any) -> Any:
    value = _strict(value)
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _strict(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
