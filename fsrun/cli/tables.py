"""The tables the commands print.

Not here: reports (fsrun.report) and screens (fsrun.tui).
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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
    seeds_text,
    short_seeds,
    short_task,
    status_text,
    status_word,
    task_text,
)
from store.views import RunRow

if TYPE_CHECKING:
    from fsrun.tui.groups import Group

PIPE_WIDTH = 160  # columns, where nobody's terminal sets them
_BAR = 11
_GAP = 2  # columns between two
_LEAST = {"run": 3, "status": 11, "what": 12, "progress": _BAR, "left": 6, "newest": 11, "age": 6}
_LEAST_OF_FAILED = {"run": 3, "status": 11, "what": 12, "age": 6}
_LEAST_OF_GROUPS = {"runs": 4, "status": 6, "what": 12, "mean": 4}
_TELLING = 12  # the least columns in which a variant or remark says anything


def console() -> Console:
    """Return where tables are printed: as wide as the terminal, wide enough for anything in a pipe."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _joined(*words: str) -> str:
    """Return the words that are not empty, a space between."""
    return " ".join(word for word in words if word)


def runs_table(rows: Sequence[RunRow], now: float, width: int = 80) -> Table:
    """Return runs as a list that fits so many columns, 80 at least: what, how far, how good.

    Where there is room and something to say, it says also why runs failed, what tells a run from others of
    its preset, and its tags and notes. A list of failed runs only has no progress.
    """
    cells = {
        "run": [Text(str(row.id)) for row in rows],
        "status": [_state(row) for row in rows],
        "what": [Text(_joined(*map(plain, _what(row)))) for row in rows],
        "variant": [Text(plain(row.variant)) for row in rows],
        "progress": [progress_text(row, _BAR) for row in rows],
        "left": [Text(duration(row.eta_seconds) if row.eta_seconds else "") for row in rows],
        "newest": [newest_value(row) for row in rows],
        "reason": [Text(plain(row.error or ""), "red") for row in rows],
        "age": [Text(duration(now - row.created)) for row in rows],
        "remarks": [remarks_text(row.tags, row.note) for row in rows],
    }
    least = _LEAST if any(row.error is None for row in rows) else _LEAST_OF_FAILED
    return _listed(cells, _widths(cells, least, width))


def _what(row: RunRow) -> tuple[str, ...]:
    return row.experiment, row.method, short_task(row), f"s{short_seeds(row)}"


def _state(row: RunRow) -> Text:
    waits = f" for {', '.join(map(str, row.waits_for))}" if row.waits_for else ""
    return status_text(status_word(row)).append(waits)


def _widths(cells: Mapping[str, Sequence[Text]], least: Mapping[str, int], width: int) -> dict[str, int]:
    """Return the columns of a list and how wide each is.

    Where they are too many, first the age gives way and then what was asked for.
    """
    widest = {name: max((cell.cell_len for cell in column), default=0) for name, column in cells.items()}
    widths = {name: max(few, widest[name]) for name, few in least.items() if widest[name] or name != "left"}
    room = width - sum(widths.values()) - _GAP * (len(widths) - 1)
    if room < 0 and "age" in widths:
        room += widths.pop("age") + _GAP
    widths["what"] = max(widths["what"] + min(room, 0), least["what"])
    for name in ("reason", "variant", "remarks"):
        if widest.get(name) and room >= _GAP + _TELLING:
            widths[name] = min(max(widest[name], len(name)), room - _GAP)
            room -= _GAP + widths[name]
    return {name: widths[name] for name in cells if name in widths}


def _listed(cells: Mapping[str, Sequence[Text]], widths: Mapping[str, int]) -> Table:
    table = empty_table(*widths, right=("run", "left", "age", "mean"), fixed=widths)
    for name, room in widths.items():
        for cell in cells[name]:
            cell.truncate(room, overflow="ellipsis")
    for line in zip(*(cells[name] for name in widths), strict=True):
        table.add_row(*line)
    return table


def groups_table(groups: Sequence["Group"], width: int = 80) -> Table:
    """Return groups of seeds as a list: which runs, how they stand, and the mean of what they measured."""
    from fsrun.report.table2_columns import ranges
    from fsrun.tui.columns import column, counts

    cells = {
        "runs": [Text(ranges([entry.row.id for entry in group.entries])) for group in groups],
        "status": [counts(group, 20) for group in groups],
        "what": [Text(_joined(*map(plain, _what(group.first)[:3]))) for group in groups],
        "variant": [Text(plain(group.first.variant)) for group in groups],
        "mean": [column("newest").group_cell(group, 30) for group in groups],
    }
    return _listed(cells, _widths(cells, _LEAST_OF_GROUPS, width))


def results_table(rows: Sequence[RunRow]) -> Table:
    """Return what the runs of one command came to."""
    table = empty_table("run", "status", "what", "result", right=("run",))
    for row in rows:
        table.add_row(
            str(row.id),
            status_text(status_word(row)),
            _joined(method_title(row.method), task_text(row), seeds_text(row)),
            Text(plain(row.error)) if row.error else newest_value(row),
        )
    return table
