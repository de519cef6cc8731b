"""Where the model behind a measurement was trained: by which runs, at what cost, how many numbers it learned.

Not here: what was measured with it (measured.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from json import loads

from experiments.budgets import images_embedded
from experiments.config import config_from_json
from experiments.errors import ConfigError
from fsrun.provenance import PARAMETERS, PROCESSES, PROCESSOR_SECONDS, THREADS
from store.results import FinishedResult, Lineage


@dataclass(frozen=True)
class Training:
    """The training of the models of a group of runs, which differ in their seed alone.

    `run_ids` are the runs that trained, one for each seed; `stages` what those started from. `seconds` is the
    mean time for one model, stages and the training runs' own measurements included; `core_seconds` is the
    time that cores had for it, None where it was not the processor alone. `images` is how many images
    the training of a model embeds, each pass counted, `images_before` those of its stages alone. `parameters`
    is None where the runs are of a version that did not count them.
    """

    run_ids: tuple[int, ...]
    stages: tuple[int, ...]
    seconds: float
    parameters: int | None
    images: int | None = None
    images_before: int | None = None
    core_seconds: float | None = None


def training_of(runs: Sequence[FinishedResult], known: Lineage) -> Training | None:
    """Return how the models of some runs were trained; None for a method that trains nothing, or unknown.

    Runs that were imported without what they start from are left aside.
    """
    runs = [run for run in runs if known.ancestors(run.run_id) or not _starts_from_something(run)]
    if not runs or not loads(runs[0].config)["method"]["steps"]:
        return None
    trained_by, stages, seconds = [], [], 0.0
    core_seconds: float | None = 0.0
    for run in runs:
        elsewhere = loads(run.config).get("trained_by") is not None
        trainer, *before = [run.run_id] * (not elsewhere) + list(known.ancestors(run.run_id))
        trained_by.append(trainer)
        stages += before
        for each in (trainer, *before):
            seconds += known.seconds.get(each, 0.0)
            for attempt in known.attempts.get(each, ()):
                worked = core_seconds_of(*attempt)
                core_seconds = None if core_seconds is None or worked is None else core_seconds + worked
    counted = {run.provenance[PARAMETERS] for run in runs if PARAMETERS in run.provenance}
    return Training(
        run_ids=tuple(dict.fromkeys(trained_by)),
        stages=tuple(dict.fromkeys(stages)),
        seconds=seconds / len(runs),
        parameters=int(counted.pop()) if len(counted) == 1 else None,
        images=_images(runs[0]),
        images_before=_images(runs[0], steps=0),
        core_seconds=None if core_seconds is None else core_seconds / len(runs),
    )


def core_seconds_of(seconds: float, device: str, made_with: str) -> float | None:
    """Return how long an attempt had a core, whatever else the machine did; None on a GPU or where unknown.

    Attempts that kept no time of the processor count in full on each of their threads, those that kept no
    number of threads on all cores of their machine: on a busy machine that is too much.
    """
    if device != "cpu":
        return None
    facts = loads(made_with)
    processes = int(facts.get(PROCESSES, "1").partition(" ")[0])
    if PROCESSOR_SECONDS in facts:
        return float(facts[PROCESSOR_SECONDS]) * processes
    of_machine = re.search(r", (\d+) cores$", facts.get("processor", ""))
    threads = facts.get(THREADS) or (of_machine and of_machine[1])
    return seconds * int(threads) * processes if threads else None


def _images(run: FinishedResult, steps: int | None = None) -> int | None:
    try:
        return images_embedded(config_from_json(run.config), steps)
    except ConfigError:  # stored by another version of the program
        return None


def _starts_from_something(run: FinishedResult) -> bool:
    config = loads(run.config)
    method = config["method"]
    pretrained = method.get("pretrain") is not None and method.get("start") != "scratch"
    return pretrained or config.get("trained_by") is not None
