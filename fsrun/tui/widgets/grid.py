"""A report's table as rich lays it out: what is not measured stands back, cells wrap where there is no room.

Not here: a table with a cursor (report_table.py).
"""

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from fsrun.report.render import Table
from fsrun.words import plain


def laid_out(table: Table) -> RenderableType:
    """Return the table under its title, with its notes."""
    grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), border_style="dim")
    for column in table.columns:
        justify = "right" if column.numeric else "left"
        grid.add_column(Text(column.heading, "dim"), justify=justify, no_wrap=column.numeric)  # type: ignore[arg-type]
    for row in table.rows:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    notes: list[RenderableType] = [
        Padding(Text(plain(note), "dim"), (0, 0, 0, 1)) for note in table.every_note
    ]
    return Group(Text(plain(table.title), "bold"), grid, *notes, Text())
