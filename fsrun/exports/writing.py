"""Runs with their curves into a folder, in the format that is asked for.

Not here: what each format looks like (tables.py, peers.py).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from fsrun.errors import FsrunError
from fsrun.exports import peers, tables
from fsrun.exports.curves import ExportedRun
from fsrun.writing import new_folder
from store.results import IMPORTED_FROM, measured_runs
from store.runs import get_run


@dataclass(frozen=True)
class Format:
    """How runs are written, the package that it takes, and what to do with the folder (as FOLDER)."""

    write: Callable[[Sequence[ExportedRun], Path], int]
    package: str | None
    next_step: str


FORMATS: Mapping[str, Format] = {
    "csv": Format(tables.write_csv, None, "points.csv has a line for each point, runs.csv one for each run"),
    "parquet": Format(tables.write_parquet, "pyarrow", "polars.read_parquet('FOLDER/points.parquet')"),
    "tensorboard": Format(peers.write_tensorboard, "tensorboard", "tensorboard --logdir FOLDER"),
    "trackio": Format(peers.write_trackio, "trackio", "TRACKIO_DIR=FOLDER trackio show --project fsrun"),
    "wandb-offline": Format(peers.write_wandb, "wandb", "wandb sync FOLDER/wandb/offline-run-*"),
}


@dataclass(frozen=True)
class Exported:
    """What was written: how many runs, how many of them had been imported, without curves, and points."""

    runs: int
    imported: int
    points: int


def export_curves(engine: Engine, run_ids: Collection[int], form: str, folder: Path) -> Exported:
    """Write the runs, all finished ones where none is named, into a new folder.

    Raises RunNotFound, and FsrunError where nothing has finished, a package is missing or the folder cannot
    be made.
    """
    chosen = sorted(set(run_ids) or set(measured_runs(engine)))
    if not chosen:
        raise FsrunError("no run has finished: name the runs to export, see fsrun ls")
    runs = [ExportedRun(engine, get_run(engine, run_id)) for run_id in chosen]
    with new_folder(folder) as fresh:
        try:
            points = FORMATS[form].write(runs, fresh)
        except ImportError as error:
            package = FORMATS[form].package
            extra = form.removesuffix("-offline")
            raise FsrunError(f"{package} is not installed: pip install 'fsrun[{extra}]'") from error
    imported = sum(IMPORTED_FROM in run.record.attempts[-1].provenance for run in runs)
    return Exported(len(runs), imported, points)
