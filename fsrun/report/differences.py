"""Which options of a run are not as in its preset.

Not here: presets and options themselves (experiments).
"""

from collections.abc import Iterator
from json import dumps, loads
from typing import Any

from experiments.config import config_to_json
from experiments.errors import ConfigError
from experiments.sweeps import Sweep, plan
from store.results import FinishedResult
from store.runs import RunSpec


def differences(run: RunSpec | FinishedResult) -> tuple[str, ...]:
    """Return "name=value" for each option, the seed aside, that the preset of today sets otherwise.

    Ways, shots and who trained the model count as asked for, not as differences. A preset that is no longer
    known is the only entry.
    """
    sweep = Sweep(
        experiment=run.experiment,
        methods=(run.method,),
        preset=run.preset,
        n_way=() if run.n_way is None else (run.n_way,),
        k_shot=() if run.k_shot is None else (run.k_shot,),
    )
    try:
        usual = loads(config_to_json(plan(sweep)[0].config))
    except ConfigError as error:  # stored by another version of the program
        return (str(error),)
    return tuple(_unequal(loads(run.config) | {"seed": usual["seed"], "trained_by": None}, usual, ""))


def _unequal(stored: Any, usual: Any, path: str) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(usual, dict):
        for name in sorted(stored.keys() | usual.keys()):
            yield from _unequal(stored.get(name), usual.get(name), f"{path}.{name}" if path else name)
    elif stored != usual:
        yield f"{path}={stored if isinstance(stored, str) else dumps(stored)}"
