"""A sweep as a table, one line a run: what `fsrun queue` prints and what the queue form shows.

Not here: planning it (fsrun.planning), and tables of runs that are stored (fsrun.cli.tables).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from rich.table import Table

from experiments.config import ImageRun, RunConfig, SyntheticRun, config_hash, prerequisites, training_steps
from experiments.sweeps import PlannedRun
from fsrun.words import method_title


def empty_table(*columns: str, right: Sequence[str] = (), fixed: Mapping[str, int] | None = None) -> Table:
    """Return an empty table; a fixed column keeps its width where there are too few columns for all."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=True, min_width=(fixed or {}).get(column))
    return table


def sweep_table(planned: Sequence[PlannedRun]) -> Table:
    """Return a sweep, one line per run, with the pre-training each starts from, and what it is for."""
    purposes = ("for",) if any(each.purpose for each in planned) else ()
    columns = ("method", "n-way", "k-shot", "seed", "steps", "starts from", *purposes)
    table = empty_table(*columns, right=("n-way", "k-shot", "steps"))
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
            *([each.purpose] if purposes else []),
        )
    return table


def _seeds(config: RunConfig) -> str:
    """Say which seeds a run carries: "0", or "0 to 31"."""
    if isinstance(config, SyntheticRun) and config.seeds > 1:
        return f"{config.seed} to {config.seed + config.seeds - 1}"
    return str(config.seed)
