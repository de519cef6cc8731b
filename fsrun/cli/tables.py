"""The tables the commands print.

Not here: reports (fsrun.report) and screens (fsrun.tui).
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.config import ImageRun, RunConfig, SyntheticRun, config_hash, prerequisites, training_steps
from experiments.sweeps import PlannedRun
from fsrun.words import (
    duration,
    method_title,
    newest_value,
    plain,
    progress_text,
    short_task,
    status_text,
    status_word,
    task_text,
)
from store.snapshot import RunRow

PIPE_WIDTH = 160  # columns, where nobody's terminal sets them


def console() -> Console:
    """Return where tables are printed: as wide as the terminal, wide enough for anything in a pipe."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _table(*columns: str, right: Sequence[str] = (), fixed: Mapping[str, int] | None = None) -> Table:
    """Return an empty table; a fixed column keeps its width where there are too few columns for all."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=True, min_width=(fixed or {}).get(column))
    return table


def _joined(*words: str) -> str:
    """Return the words that are not empty, a space between."""
    return " ".join(word for word in words if word)


def sweep_table(planned: Sequence[PlannedRun]) -> Table:
    """Return a sweep, one line per run, with the pre-training each starts from."""
    table = _table(
        "method", "n-way", "k-shot", "seed", "steps", "starts from", right=("n-way", "k-shot", "steps")
    )
    for each in planned:
        config = each.config
        task = config.evaluation if isinstance(config, ImageRun) else None
        needs = ", ".join(f"{need.method.name} {config_hash(need)[:6]}" for need in prerequisites(config))
        table.add_row(
            method_title(config.method.name),
            str(task.n_way) if task else "",
            str(task.k_shot) if task else "",
            _seeds(config),
            f"{training_steps(config):,}",
            needs,
        )
    return table


def _seeds(config: RunConfig) -> str:
    """Say which seeds a run carries: "0", or "0 to 31"."""
    if isinstance(config, SyntheticRun) and config.seeds > 1:
        return f"{config.seed} to {config.seed + config.seeds - 1}"
    return str(config.seed)


def runs_table(rows: Sequence[RunRow], now: float) -> Table:
    """Return runs as a list that fits 80 columns: what, how far, how good."""
    table = _table(
        "run",
        "status",
        "what",
        "progress",
        "left",
        "newest",
        "age",
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
        )
    return table


def results_table(rows: Sequence[RunRow]) -> Table:
    """Return what the runs of one command came to."""
    table = _table("run", "status", "what", "result", right=("run",))
    for row in rows:
        table.add_row(
            str(row.id),
            status_text(status_word(row)),
            _joined(method_title(row.method), task_text(row), f"seed {row.seed}"),
            Text(plain(row.error)) if row.error else newest_value(row),
        )
    return table
