"""Where the model behind a measurement was trained: by which runs, for how long, how many numbers it learned.

Not here: what was measured with it (measured.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from json import loads

from fsrun.provenance import PARAMETERS
from store.results import FinishedResult, Lineage


@dataclass(frozen=True)
class Training:
    """The training of the models of a group of runs, which differ in their seed alone.

    `run_ids` are the runs that trained, one for each seed; `stages` what those started from. `seconds` is the
    mean time for one model, stages and the training runs' own measurements included. `parameters` is None
    where the runs are of a version that did not count them.
    """

    run_ids: tuple[int, ...]
    stages: tuple[int, ...]
    seconds: float
    parameters: int | None


def training_of(runs: Sequence[FinishedResult], known: Lineage) -> Training | None:
    """Return how the models of some runs were trained; None for a method that trains nothing, or unknown.

    Runs that were imported without what they start from are left aside.
    """
    runs = [run for run in runs if known.ancestors(run.run_id) or not _starts_from_something(run)]
    if not runs or not loads(runs[0].config)["method"]["steps"]:
        return None
    trained_by, stages, seconds = [], [], 0.0
    for run in runs:
        elsewhere = loads(run.config).get("trained_by") is not None
        trainer, *before = [run.run_id] * (not elsewhere) + list(known.ancestors(run.run_id))
        trained_by.append(trainer)
        stages += before
        seconds += sum(known.seconds.get(each, 0.0) for each in (trainer, *before))
    counted = {run.provenance[PARAMETERS] for run in runs if PARAMETERS in run.provenance}
    return Training(
        run_ids=tuple(dict.fromkeys(trained_by)),
        stages=tuple(dict.fromkeys(stages)),
        seconds=seconds / len(runs),
        parameters=int(counted.pop()) if len(counted) == 1 else None,
    )


def _starts_from_something(run: FinishedResult) -> bool:
    config = loads(run.config)
    return config.get("trained_by") is not None or config["method"].get("pretrain") is not None
