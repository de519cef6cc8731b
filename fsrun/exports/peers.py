"""Runs as other dashboards keep them on disk: TensorBoard, trackio, Weights & Biases without a network.

Not here: tables of points (tables.py).
"""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fsrun.exports.curves import ExportedRun, Row, in_parts

PROJECT = "fsrun"
_AT_ONCE = 10_000


def write_tensorboard(runs: Sequence[ExportedRun], folder: Path) -> int:
    """Write a folder of event files for each run; return the number of points."""
    from torch.utils.tensorboard import SummaryWriter

    count = 0
    for run in runs:
        with SummaryWriter(str(folder / run.name)) as writer:
            writer.add_text("config", f"```\n{json.dumps(run.config, indent=1)}\n```", 0)
            writer.add_text("run", f"```\n{json.dumps(run.facts, indent=1)}\n```", 0)
            for point in run.points():
                writer.add_scalar(point.name, point.value, point.step, walltime=point.time)
                count += 1
            for name, value in run.results.items():
                writer.add_scalar(f"results/{name}", value, run.record.step, walltime=run.record.finished)
    return count


def write_trackio(runs: Sequence[ExportedRun], folder: Path) -> int:
    """Write trackio's own database into the folder; return the number of points."""
    os.environ["TRACKIO_DIR"] = str(folder)  # read when it is imported
    from trackio.sqlite_storage import SQLiteStorage

    count = 0
    for run in runs:
        config = {**run.config, "fsrun": run.facts}
        for rows in in_parts((*run.rows(), *_last(run)), _AT_ONCE):
            SQLiteStorage.bulk_log(
                project=PROJECT,
                run=run.name,
                metrics_list=[dict(row.values) for row in rows],
                steps=[row.step for row in rows],
                timestamps=[datetime.fromtimestamp(row.time, UTC).isoformat() for row in rows],
                config=config,
            )
            count += sum(len(row.values) for row in rows)
    return count


def write_wandb(runs: Sequence[ExportedRun], folder: Path) -> int:
    """Write one offline run each, for `wandb sync` or `wandb leet`; return the number of points."""
    import wandb

    count = 0
    for run in runs:
        settings = wandb.Settings(console="off", silent=True, disable_git=True, x_disable_stats=True)
        with wandb.init(
            project=PROJECT,
            id=run.name,
            name=run.name,
            notes=run.record.note or None,
            tags=run.record.tags or None,
            group=run.record.spec.group_hash,
            config={**run.config, "fsrun": run.facts},
            dir=folder,
            mode="offline",
            settings=settings,
        ) as their:
            for row in run.rows():
                their.log({**row.values, "_timestamp": row.time}, step=row.step)
                count += len(row.values)
            their.summary.update(run.results)
    return count


def _last(run: ExportedRun) -> tuple[Row, ...]:
    """Return what was measured at the end as a last row, where a program knows nothing but rows."""
    results = {f"results/{name}": value for name, value in run.results.items()}
    return (Row(run.record.step, run.record.finished or run.record.created, results),) if results else ()
