"""The tables the commands print.

Not here: reports (fsrun.report) and screens (fsrun.tui).
"""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from experiments.config import ImageRun, config_hash, prerequisites
from experiments.sweeps import PlannedRun
from fsrun.tui.words import (
    duration,
    method_title,
    newest_value,
    plain,
    progress_text,
    status_text,
    status_word,
)
from store.snapshot import RunRow


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


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
            str(config.seed),
            f"{config.method.steps:,}",
            needs,
        )
    return table


def runs_table(rows: Sequence[RunRow], now: float) -> Table:
    """Return runs as a list: what, how far, how good."""
    table = _table(
        "run", "status", "experiment", "method", "task", "seed", "progress", "left", "newest", "age"
    )
    for row in rows:
        task = f"{row.n_way}w{row.k_shot}s" if row.n_way else ""
        waits = f" for {', '.join(map(str, row.waits_for))}" if row.waits_for else ""
        table.add_row(
            str(row.id),
            status_text(status_word(row)).append(waits),
            plain(row.experiment),
            plain(row.method),
            task,
            str(row.seed),
            progress_text(row, 12),
            duration(row.eta_seconds) if row.eta_seconds else "",
            newest_value(row),
            duration(now - row.created),
        )
    return table


def results_table(rows: Sequence[RunRow]) -> Table:
    """Return what the runs of one command came to."""
    table = _table("run", "status", "method", "task", "seed", "result", "time")
    for row in rows:
        spent = duration(row.finished - row.started) if row.finished and row.started else ""
        table.add_row(
            str(row.id),
            status_text(status_word(row)),
            method_title(row.method),
            f"{row.n_way}-way {row.k_shot}-shot" if row.n_way else "",
            str(row.seed),
            newest_value(row) if not row.error else Text(plain(row.error)),
            spent,
        )
    return table
