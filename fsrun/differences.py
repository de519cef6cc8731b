"""Which options of a run are not as in its preset.

Not here: presets and options themselves (experiments).
"""

from collections.abc import Iterator
from functools import cache
from json import dumps, loads
from typing import Any

from experiments.config import config_from_json, config_to_json
from experiments.config.own import is_own
from experiments.datasets import BUILT_IN, enter_stored
from experiments.errors import ConfigError
from experiments.registry import METHODS
from experiments.sweeps import Sweep, plan
from store.results import FinishedResult
from store.runs import RunSpec


def differences(run: RunSpec | FinishedResult) -> tuple[str, ...]:
    """Return "name=value" for each option, the seed aside, that the preset of today sets otherwise.

    Ways, shots and who trained the model count as asked for, not as differences. A preset that is no longer
    known is the only entry.
    """
    if is_own(loads(run.config)["method"]) and run.method not in METHODS:
        return ()  # its presets are in code that reports do not import
    try:
        return tuple(_from_preset(run, complete(run.config)))
    except ConfigError as error:  # stored by another version of the program
        return (str(error),)


def variant(run: RunSpec, purpose: str = "") -> str:
    """Return what tells a new run from others of its preset: "test=linear, precision=bf16".

    First comes what it is for in its sweep, where that is known. Options are named as one may type them.
    """
    try:
        different = [each.partition(".")[2] for each in _from_preset(run, run.config)]
    except ConfigError:  # of a preset that cannot be so by itself
        different = []
    said = {_last_name(part) for part in purpose.split(", ")}
    others = [each for each in different if _last_name(each) not in said and not each.startswith("seed=")]
    return ", ".join(filter(None, (purpose, *others)))


def _last_name(setting: str) -> str:
    """Return "lr=0.01" of "pretrain.lr=0.01"."""
    name, equals, value = setting.partition("=")
    return name.rpartition(".")[2] + equals + value


def _from_preset(run: RunSpec | FinishedResult, config: str) -> Iterator[str]:
    own = "" if run.experiment in BUILT_IN else dumps(loads(config)["data"])
    usual = loads(_usual(run.experiment, run.method, run.preset, run.n_way, run.k_shot, own))
    asked_for = {name: usual.get(name) for name in ("seed", "trained_by")}
    yield from _unequal(loads(config) | asked_for, usual, "")


@cache
def complete(config: str) -> str:
    """Return a stored config with the options that came later; raises ConfigError."""
    return config_to_json(config_from_json(config))


@cache
def _usual(experiment: str, method: str, preset: str, n_way: int | None, k_shot: int | None, own: str) -> str:
    """Return the config of a preset as JSON, on the own data that a run stores; raises ConfigError."""
    if own:
        enter_stored(loads(own))
    ways, shots = (() if value is None else (value,) for value in (n_way, k_shot))
    return config_to_json(plan(Sweep(experiment, (method,), preset, ways, shots))[0].config)


def _unequal(stored: Any, usual: Any, path: str) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(usual, dict):
        for name in sorted(stored.keys() | usual.keys()):
            yield from _unequal(stored.get(name), usual.get(name), f"{path}.{name}" if path else name)
    elif stored != usual:
        yield f"{path}={stored if isinstance(stored, str) else dumps(stored)}"
