"""Trained models: the one a finished run left, or one in a folder that `fsrun export` wrote.

Not here: using them (experiments.classify).
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from experiments.config import RunConfig, config_from_json
from experiments.datasets import split_names
from experiments.errors import CheckpointError
from fsrun.archive import export_runs
from fsrun.checkpoint_files import checkpoint_files
from fsrun.errors import FsrunError
from fsrun.paths import find_home
from fsrun.writing import new_folder, put_text
from store.jobs import JobStatus
from store.results import IMPORTED_FROM
from store.runs import RunRecord, get_run

WEIGHTS, CONFIG, SPLITS, PROVENANCE = "model.safetensors", "config.json", "splits.json", "provenance.json"
RUNS = "runs.json"


@dataclass(frozen=True)
class Model:
    """A trained model: what it is, where its weights lie, and what to call it in a sentence."""

    config: RunConfig
    weights: Path
    name: str


def model_of_run(engine: Engine, run_id: int) -> Model:
    """Return what a finished run left. Raises RunNotFound, and FsrunError where it left no intact weights."""
    run = get_run(engine, run_id)
    if run.status is not JobStatus.DONE:
        raise FsrunError(f"run {run_id} is {run.status}: only a finished run leaves a model, see fsrun ls")
    return Model(config_from_json(run.spec.config), _final_checkpoint(run), f"run {run_id}")


def model_in_folder(folder: Path) -> Model:
    """Return what `fsrun export` wrote; FsrunError where the folder holds nothing of that kind."""
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FsrunError(
            f"{folder} is not an exported model: name a folder that fsrun export wrote"
        ) from error
    try:
        return Model(config_from_json(text), folder / WEIGHTS, str(folder))
    except json.JSONDecodeError as error:
        raise FsrunError(f"{folder / CONFIG} is damaged: export the run again") from error


def export_model(engine: Engine, run_id: int, folder: Path) -> None:
    """Write weights, config, class splits, provenance and results of a finished run into a new folder.

    All of it or nothing.

    Raises what model_of_run raises, and FsrunError where the folder is taken or cannot be written.
    """
    model = model_of_run(engine, run_id)
    texts: dict[str, Any] = {
        CONFIG: model.config.model_dump(mode="json"),
        SPLITS: split_names(model.config),
        PROVENANCE: _provenance(get_run(engine, run_id)),
    }
    with new_folder(folder) as fresh:
        shutil.copyfile(model.weights, fresh / WEIGHTS)
        for name, value in texts.items():
            put_text(fresh / name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        export_runs(engine, [run_id], fresh / RUNS)


def _final_checkpoint(run: RunRecord) -> Path:
    if IMPORTED_FROM in run.attempts[-1].provenance and not run.checkpoints:
        raise FsrunError(
            f"run {run.id} was imported without its weights: fsrun rerun {run.id} trains it here"
        )
    if not run.checkpoints:
        raise FsrunError(f"run {run.id} has left no checkpoint: queue it again")
    row = run.checkpoints[0]
    try:
        return checkpoint_files(find_home()).fetched(row)
    except CheckpointError as error:
        raise FsrunError(f"{error}, the last of run {run.id}: queue the run again") from error


def _provenance(run: RunRecord) -> dict[str, Any]:
    results = [
        {name: value for name, value in asdict(row).items() if name != "episode_values"}
        for row in run.results
    ]
    return {
        "run": run.id,
        "method": run.spec.method,
        "preset": run.spec.preset,
        "seed": run.spec.seed,
        "config_hash": run.spec.config_hash,
        "starts_from": list(run.parents),
        "step": run.step,
        "finished": run.finished,
        "results": results,
        "sha256": run.checkpoints[0].sha256,
        "asked_with": dict(run.provenance),
        "made_with": dict(run.attempts[-1].provenance),
    }
