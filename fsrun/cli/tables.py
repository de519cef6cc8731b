"""The tables the commands print.

Not here: reports (fsrun.report) and screens (fsrun.tui).
"""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fsrun.sweep_table import empty_table
from fsrun.words import (
    duration,
    method_title,
    newest_value,
    plain,
    progress_text,
    remarks_text,
    short_task,
    status_text,
    status_word,
    task_text,
)
from store.rows import RunRow

PIPE_WIDTH = 160  # columns, where nobody's terminal sets them


def console() -> Console:
    """Return where tables are printed: as wide as the terminal, wide enough for anything in a pipe."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _joined(*words: str) -> str:
    """Return the words that are not empty, a space between."""
    return " ".join(word for word in words if word)


def runs_table(rows: Sequence[RunRow], now: float, *, with_remarks: bool = False) -> Table:
    """Return runs as a list that fits 80 columns: what, how far, how good; on request tags and notes too."""
    remarks = ("remarks",) if with_remarks and any(row.tags or row.note for row in rows) else ()
    table = empty_table(
        "run",
        "status",
        "what",
        "progress",
        "left",
        "newest",
        "age",
        *remarks,
        right=("run", "left", "age"),
        fixed={"run": 3, "status": 11, "progress": 11, "left": 6, "newest": 11, "age": 6},
    )
    for row in rows:
        waits = f" for {', '.join(map(str, row.waits_for))}" if row.waits_for else ""
        table.add_row(
            str(row.id),
            status_text(status_word(row)).append(waits),
            _joined(plain(row.experiment), plain(row.method), short_task(row), f"s{row.seed}"),
            progress_text(row, 11),
            duration(row.eta_seconds) if row.eta_seconds else "",
            newest_value(row),
            duration(now - row.created),
            *([remarks_text(row.tags, row.note)] if remarks else []),
        )
    return table


def results_table(rows: Sequence[RunRow]) -> Table:
    """Return what the runs of one command came to."""
    table = empty_table("run", "status", "what", "result", right=("run",))
    for row in rows:
        table.add_row(
            str(row.id),
            status_text(status_word(row)),
            _joined(method_title(row.method), task_text(row), f"seed {row.seed}"),
            Text(plain(row.error)) if row.error else newest_value(row),
        )
    return table
