"""What is taken out of Fast/Slow, one thing at a time: questions, their options, the runs they ask for.

Not here: how the answers are found and shown (fsrun/report/ablations.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.config import config_hash
from experiments.config.features import FeatureSet
from experiments.errors import ConfigError, unknown_name
from experiments.presets import DEFAULT_PRESET
from experiments.registry import EXPERIMENTS, METHODS
from experiments.sweeps import PlannedRun, Sweep, changed, parse_settings, plan

METHOD = "fastslow"


@dataclass(frozen=True)
class Option:
    """One answer to a question: its name in the table, and what it sets, by dotted names."""

    title: str
    sets: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A part of the method, and what may stand in its place while the rest is as in the base run."""

    title: str
    options: tuple[Option, ...]


def _numbers(name: str, values: Sequence[float]) -> tuple[Option, ...]:
    return tuple(Option(f"{value:g}", {name: value}) for value in values)


QUESTIONS = (
    Question(
        "Fast learner g",
        (
            Option("SGD, 1 step", {"method.fast_learner": "sgd", "method.inner_steps": 1}),
            Option("SGD, 10 steps", {"method.fast_learner": "sgd", "method.inner_steps": 10}),
            Option("LSTM", {"method.fast_learner": "lstm"}),
        ),
    ),
    Question(
        "Slow learner",
        (
            Option("none: theta' frozen", {"method.slow_lr": 0.0}),
            Option("SGD", {"method.slow_learner": "sgd", "method.slow_gradient": "first"}),
            Option("SGD, second order", {"method.slow_learner": "sgd", "method.slow_gradient": "second"}),
            Option("g, as for theta", {"method.slow_learner": "shared"}),
        ),
    ),
    Question("Pre-training of theta'", (Option("none", {"method.pretrain": None}),)),
    Question("Inner steps m", _numbers("method.inner_steps", (1, 2, 5, 10, 20))),
    Question("Slow rate delta", _numbers("method.slow_lr", (2e-5, 2e-4, 2e-3, 2e-2, 2e-1))),
    Question(
        "Batch of an inner step",
        (
            Option("the support", {"method.inner_batch": "support"}),
            Option("a fresh one", {"method.inner_batch": "fresh"}),
        ),
    ),
)
BASE = "Base"
SHORT: Mapping[str, Any] = {
    "data.holdout": True,
    "method.steps": 150,
    "method.views": 1,
    "method.quarter_turns": 1,
    "method.pretrain.seed": 0,
    "method.pretrain.classes": "base",
    "method.pretrain.steps": 3000,
    "method.pretrain.precision": "float32",
}
"""What the preset fair sets otherwise here: validation classes stay out of training, and a run is short."""

DATA = tuple(
    name
    for name in METHODS[METHOD].experiments
    if not issubclass(EXPERIMENTS[name].data, FeatureSet)  # on features there is no pre-training to leave out
)


def plan_ablations(
    experiment: str, *, preset: str = DEFAULT_PRESET, seeds: int = 1, settings: Sequence[str] = ()
) -> list[PlannedRun]:
    """Return the base run and one run for each option that differs from it, seed by seed.

    `settings`, such as "split=test", change the base and with it every run. They are measured on validation
    classes unless these say otherwise, because ablations inform choices. Raises ConfigError.
    """
    if experiment not in DATA:
        raise unknown_name("data of ablations", experiment, DATA)
    recipe = SHORT if preset == "fair" else {}
    chosen = {name: [value] for name, value in {"split": "val", **recipe}.items()} | parse_settings(settings)
    for name, values in chosen.items():
        if len(values) != 1:
            raise ConfigError(f"{name} has {len(values)} values: ablations change one base, give one value")
    bases = plan(Sweep(experiment, (METHOD,), preset, seeds=seeds, settings=chosen))
    runs = {config_hash(base.config): PlannedRun(base.config, preset, BASE) for base in bases}
    for question in QUESTIONS:
        for option in question.options:
            for base in bases:
                config = changed(base.config, option.sets)
                runs.setdefault(
                    config_hash(config), PlannedRun(config, preset, f"{question.title}: {option.title}")
                )
    return list(runs.values())
