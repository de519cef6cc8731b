"""Runs as files: the list that is shown, and the points of their curves.

Not here: writing files (exporting.py), and a trained model (fsrun.models).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fsrun.report.render import Column, Table, to_csv
from fsrun.report.table import field
from fsrun.tui.exporting import Export, of_table, of_text
from fsrun.words import (
    is_at_chance,
    method_title,
    newest_name,
    newest_value,
    short_seeds,
    short_task,
    status_word,
)
from store.views import RunDetail, RunRow


def of_runs(rows: Sequence[RunRow]) -> tuple[Export, ...]:
    """Return the formats of a list of runs."""
    measured = sorted({name for row in rows for name in row.results})
    return of_table(Table.of("Runs", _COLUMNS, rows, lambda row: _record(row, measured)))


def of_curves(runs: Iterable[RunDetail]) -> tuple[Export, ...]:
    """Return the curves of some runs, point by point as they are shown: stretches have extremes."""
    records = tuple(record for run in runs for record in _points(run))
    table = Table("Curves", (), (), records=records)
    return (of_text("table of points", ".csv", lambda: to_csv(table)),) if records else ()


_COLUMNS = (
    Column("run", field("id"), "run_id", numeric=True),
    Column("experiment", field("experiment")),
    Column("method", lambda row: method_title(row.method)),
    Column("task", short_task),
    Column("preset", field("preset")),
    Column("variant", field("variant")),
    Column("seed", short_seeds, "seed", numeric=True),
    Column("status", status_word),
    Column("steps", lambda row: f"{row.step:,}", "step", numeric=True),
    Column("newest", lambda row: newest_value(row).plain),
    Column("tags", lambda row: " ".join(row.tags)),
)


def _record(row: RunRow, measured: Sequence[str]) -> dict[str, Any]:
    """Return the run for programs: each result is a field NAME of its own, its interval NAME_interval."""
    newest = newest_name(row)
    values: dict[str, Any] = {}
    for name in measured:
        values |= {name: row.results.get(name), f"{name}_interval": row.intervals.get(name)}
    return {
        "run_id": row.id,
        "experiment": row.experiment,
        "method": row.method,
        "n_way": row.n_way,
        "k_shot": row.k_shot,
        "preset": row.preset,
        "variant": row.variant,
        "seed": row.seed,
        "seeds": row.seeds,
        "status": row.status.value,
        "at_chance": is_at_chance(row),
        "step": row.step,
        "total_steps": row.total_steps,
        "group_hash": row.group_hash,
        "tags": list(row.tags),
        "note": row.note,
        "error": row.error,
        "newest": row.results.get(newest, row.latest.get(newest)),
        "newest_name": newest,
        **values,
        "latest": dict(row.latest),
        "results": dict(row.results),
    }


def _points(run: RunDetail) -> Iterator[dict[str, Any]]:
    for curve in run.curves:
        for place, step in enumerate(curve.steps):
            yield {
                "run_id": run.row.id,
                "metric": curve.name,
                "step": step,
                "time": curve.times[place],
                "mean": curve.mean[place],
                "low": curve.low[place],
                "high": curve.high[place],
                "last": curve.last[place],
            }
