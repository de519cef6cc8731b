"""Taking in a trained model that was exported elsewhere: a run with its weights, from which others can start.

Not here: exporting it (fsrun.models), and runs without weights (fsrun.archive).
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from fsrun.archive import read_runs
from fsrun.checkpoint_files import checkpoint_files, sha256_of
from fsrun.errors import FsrunError
from fsrun.models import PROVENANCE, RUNS, WEIGHTS
from fsrun.paths import Home
from fsrun.writing import put
from store.archive import add_finished
from store.checkpoints import attach
from store.runs import get_run
from store.upkeep import identity


@dataclass(frozen=True)
class ImportedModel:
    """The run that the model is here, and whether its weights were here before."""

    run_id: int
    present: bool


def import_model(engine: Engine, home: Home, folder: Path) -> ImportedModel:
    """Take in the run of an exported model, what it starts from, and its weights, unless they are here.

    Weights that cannot be copied leave the run without them, and the next try adds them. Raises FsrunError
    for a folder that is no such model or is damaged, StorageUnavailable.
    """
    facts = _facts(folder)
    if sha256_of(folder / WEIGHTS) != facts["sha256"]:
        raise FsrunError(f"{folder / WEIGHTS} is damaged (its sha256 differs): export the model again")
    runs = read_runs(folder / RUNS)
    if facts["run"] not in {run.number for run in runs}:
        raise FsrunError(f"{folder / RUNS} belongs to another model: export the model again")
    run_id = add_finished(engine, runs, folder.name).numbers[facts["run"]]
    if get_run(engine, run_id).checkpoints:
        return ImportedModel(run_id, present=True)
    now = time.time()
    path = home.checkpoint(identity(engine, now), run_id, 1, facts["step"])
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, lambda unfinished: shutil.copyfile(folder / WEIGHTS, unfinished))
    place = checkpoint_files(home).keep(path)
    attach(engine, run_id, step=facts["step"], place=place, sha256=facts["sha256"], now=now)
    return ImportedModel(run_id, present=False)


def _facts(folder: Path) -> dict[str, Any]:
    """Return what is known of the model, with its number, step and digest."""
    absent = [name for name in (WEIGHTS, PROVENANCE, RUNS) if not (folder / name).is_file()]
    if absent:
        why = f"it lacks {absent[0]}: name a folder that this version of fsrun export wrote"
        raise FsrunError(f"{folder} is not a model that can be imported: {why}")
    try:
        facts = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        return {"run": int(facts["run"]), "step": int(facts["step"]), "sha256": str(facts["sha256"])}
    except (ValueError, KeyError, TypeError) as error:
        raise FsrunError(f"{folder / PROVENANCE} is damaged: export the model again") from error
