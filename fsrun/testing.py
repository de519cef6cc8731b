"""Contract tests of methods: what fsrun relies on, for its own methods and for yours.

    from fsrun.testing import check_method
    check_method("mynet.py:MyNet")

Not here: methods that somebody wrote outside fsrun (experiments/own.py).
"""

import tempfile
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.checkpoint import load_checkpoint, save_checkpoint
from experiments.classify import TrainedModel, load_model, probabilities
from experiments.config import (
    ImageRun,
    RunConfig,
    config_from_json,
    config_hash,
    config_to_json,
    prerequisites,
)
from experiments.datasets import evaluation_sampler, open_table
from experiments.method import Method, Resources, build
from experiments.own import method_named
from experiments.registry import EXPERIMENTS, METHODS
from experiments.sweeps import Sweep, option_names, plan

# Small enough for a step to take milliseconds; each method takes those options that it has.
SMALL: Mapping[str, Any] = {
    "data.alphabets": 10,
    "data.characters": 12,
    "data.dimension": 4,
    "evaluation.n_way": 5,
    "evaluation.n_query": 3,
    "evaluation.episodes": 20,
    "method.filters": 8,
    "method.dense_filters": 8,
    "method.key_size": 16,
    "method.neighbours": 8,
    "method.hidden_size": 16,
    "method.slots": 16,
    "method.episodes_per_step": 2,
    "method.train_n_way": 5,
    "method.train_n_query": 3,
    "method.batch_size": 16,
    "method.inner_steps": 3,
    "method.pretrain.filters": 8,
    "method.pretrain.batch_size": 16,
}

LOSSES = ("train/loss", "train/loss_ratio")
"""The metrics of training of which a method must report one."""


class BrokenPromiseError(AssertionError):
    """A method does not do what fsrun relies on; the message says what it did."""


@dataclass(frozen=True)
class Laboratory:
    """Builds small methods, each from the untrained runs it starts from.

    `experiment` None stands for the first that needs no import; `learns` are options, by dotted names, with
    which thirty steps on one task show that something is learned.
    """

    data_dir: Path
    scratch: Path
    experiment: str | None = None
    learns: Mapping[str, Any] = field(default_factory=dict)

    def config(self, name: str, *, seed: int = 0, options: Mapping[str, Any] | None = None) -> RunConfig:
        """Return the config of a small run."""
        experiment = self.experiment or next(
            each for each in METHODS[name].experiments if not EXPERIMENTS[each].needs_import
        )
        known = option_names(experiment, name)
        chosen = {option: value for option, value in SMALL.items() if option in known} | dict(options or {})
        settings = {option: [value] for option, value in chosen.items()}
        sweep = Sweep(experiment, (name,), "quick", seeds=seed + 1, settings=settings, beside_others=True)
        return plan(sweep)[seed].config

    def method(self, name: str, *, seed: int = 0, options: Mapping[str, Any] | None = None) -> Method:
        """Return a small method, untrained."""
        return self.build(self.config(name, seed=seed, options=options))

    def build(self, config: RunConfig) -> Method:
        """Return the method of a config, untrained."""
        parents = {config_hash(need): self.checkpoint_of(need) for need in prerequisites(config)}
        return build(config, Resources(self.data_dir, torch.device("cpu"), parents))

    def checkpoint_of(self, config: RunConfig) -> Path:
        """Return the checkpoint of an untrained method."""
        path = self.scratch / f"{config_hash(config)}.safetensors"
        if not path.exists():
            save_checkpoint(path, 0, self.build(config).state_dict())
        return path

    def trained(self, name: str, *, seed: int = 0) -> Method:
        """Return a method after four steps, where it trains at all."""
        method = self.method(name, seed=seed)
        if trains(name):
            method.train(0, 4)
        return method

    def classifier(
        self, name: str, options: Mapping[str, Any] | None = None
    ) -> tuple[ImageRun, TrainedModel]:
        """Return an untrained method as `fsrun classify` loads it, and its config."""
        config = self.config(name, options=options)
        if not isinstance(config, ImageRun):
            raise TypeError(f"{name} does not classify images")
        checkpoint = self.checkpoint_of(config)
        return config, load_model(config, checkpoint, torch.device("cpu"), self.data_dir)

    def episode(self, config: ImageRun) -> tuple[Tensor, Tensor]:
        """Return support and query (n_way, images, *image) of the first episode of the test."""
        table = open_table(config.data, self.data_dir)
        drawn = evaluation_sampler(table, config.evaluation).sample("test", range(1))
        support, query = (table.pixels("test", index.flatten()) for index in (drawn.support, drawn.query))
        n_way = config.evaluation.n_way
        return support.unflatten(0, (n_way, -1)), query.unflatten(0, (n_way, -1))


def trains(name: str) -> bool:
    """Return whether a method takes training steps by default."""
    return bool(METHODS[name].config().model_dump()["steps"])


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a nested state by path, tensors as copies that later training cannot change."""
    if isinstance(value, Tensor):
        return {prefix: value.clone()}
    if isinstance(value, dict):
        return {name: leaf for key in value for name, leaf in flat(value[key], f"{prefix}/{key}").items()}
    if isinstance(value, list | tuple):
        return flat(dict(enumerate(value)), prefix)
    return {prefix: value}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two flat states or two sets of metrics are equal bit for bit."""
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, Tensor) else value == other[name]
        for name, value in one.items()
    )


def _require(held: bool, broken: str) -> None:
    if not held:
        raise BrokenPromiseError(broken)


# ---------------------------------------------------------------- the promises


def same_config_from_json(laboratory: Laboratory, name: str) -> None:
    """A config comes back from JSON with the same hash, and seeds of a config share a group."""
    config, other = laboratory.config(name, seed=2), laboratory.config(name, seed=1)
    again = config_from_json(config_to_json(config))
    _require(again == config, "a stored config is not the same when it is read")
    _require(config_hash(again) == config_hash(config), "a stored config has another hash when it is read")
    _require(config_hash(other) != config_hash(config), "configs of two seeds have one hash")
    groups = {config_hash(each, with_seed=False) for each in (config, other)}
    _require(len(groups) == 1, "two seeds of a config are of two groups")


def same_seed_same_numbers(laboratory: Laboratory, name: str) -> None:
    """The same seed gives the same numbers and states; another seed gives others."""
    first, second, other = (laboratory.method(name, seed=seed) for seed in (0, 0, 1))
    metrics = [method.train(0, 3) for method in (first, second, other)]
    _require(same(metrics[0], metrics[1]), "two trainings with one seed gave other metrics")
    one, two = flat(first.state_dict()), flat(second.state_dict())
    _require(same(one, two), "two trainings with one seed ended in other states")
    if name == "pretrain":  # runs of all seeds start from one pre-training: its seed is an option
        return
    _require(not same(metrics[0], metrics[2]), "two seeds gave the same metrics")
    other.load_state_dict(deepcopy(first.state_dict()))  # even from the same weights it meets other tasks
    _require(not same(first.train(3, 3), other.train(3, 3)), "two seeds met the same tasks")


def training_changes_the_state(laboratory: Laboratory, name: str) -> None:
    """Training changes the state, and reports finite numbers for each step or for the whole chunk."""
    method = laboratory.method(name)
    before = flat(method.state_dict())
    metrics = method.train(0, 3)
    _require(not same(before, flat(method.state_dict())), "training changed nothing that state_dict returns")
    _require(any(each in metrics for each in LOSSES), f"training reported none of {', '.join(LOSSES)}")
    for metric, values in metrics.items():
        _require(metric.startswith("train/"), f"metric {metric} does not begin with train/")
        _require(values.shape in ((3,), ()), f"{metric} has shape {tuple(values.shape)} after 3 steps")
        _require(bool(values.isfinite().all()), f"{metric} is not finite")


def chunks_equal_one_training(laboratory: Laboratory, name: str) -> None:
    """Two chunks of steps equal one of all."""
    whole, parts = laboratory.method(name), laboratory.method(name)
    at_once, pieces = whole.train(0, 4), [parts.train(0, 2), parts.train(2, 2)]
    equal = same(flat(whole.state_dict()), flat(parts.state_dict()))
    _require(equal, "4 steps in two chunks ended in another state than 4 at once")
    for metric, values in at_once.items():
        together = torch.cat([piece[metric] for piece in pieces]) if values.ndim else values
        _require(torch.equal(values, together), f"{metric} of 4 steps in two chunks is another one")


def resuming_equals_never_stopping(laboratory: Laboratory, name: str) -> None:
    """Training that goes on from a checkpoint equals training that never stopped."""
    through = laboratory.trained(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        save_checkpoint(path, 4, through.state_dict())
        _, state = load_checkpoint(path)
    expected = through.train(4, 3)
    resumed = laboratory.method(name)
    resumed.load_state_dict(state)
    _require(same(resumed.train(4, 3), expected), "training from a checkpoint gave other metrics")
    states = flat(resumed.state_dict()), flat(through.state_dict())
    _require(same(*states), "training from a checkpoint ended in another state")
    measured = [method.evaluate("test", range(5)) for method in (resumed, through)]
    _require(same(*measured), "a model from a checkpoint measures something else")


def evaluation_changes_nothing(laboratory: Laboratory, name: str) -> None:
    """Evaluation changes nothing, comes out the same again, and gives a value for each episode."""
    method = laboratory.trained(name)
    before = flat(method.state_dict())
    first = method.evaluate("test", range(6))
    _require(same(before, flat(method.state_dict())), "evaluation changed the state")
    _require(same(first, method.evaluate("test", range(6))), "the same episodes were measured otherwise")
    for quantity, values in first.items():
        _require(values.shape == (6,), f"{quantity} has shape {tuple(values.shape)} for 6 episodes")
        _require(not values.requires_grad, f"{quantity} still has a gradient")
    if trains(name):
        unmeasured = laboratory.trained(name)
        _require(same(method.train(4, 2), unmeasured.train(4, 2)), "evaluation changed the training after it")


def parts_measure_as_the_whole(laboratory: Laboratory, name: str) -> None:
    """A range of episodes is measured as its parts are."""
    method = laboratory.trained(name)
    whole = method.evaluate("test", range(9))
    parts = [method.evaluate("test", part) for part in (range(2), range(2, 7), range(7, 9))]
    for quantity, values in whole.items():
        together = torch.cat([part[quantity] for part in parts])
        close = torch.allclose(together, values, rtol=1e-12, atol=0)
        _require(close, f"{quantity} depends on which episodes are measured together")


def loss_falls_on_one_task(laboratory: Laboratory, name: str) -> None:
    """The loss falls when one task is met thirty times."""
    method = laboratory.method(name, options=laboratory.learns)
    steps = [method.train(0, 1) for _ in range(30)]
    metric = next(each for each in LOSSES if each in steps[0])
    losses = [float(step[metric]) for step in steps]
    early, late = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    _require(
        late < 0.8 * early,
        f"{metric} fell from {early:.3g} to {late:.3g} in 30 steps: below 0.8 times wanted",
    )


def queries_are_answered_alone(laboratory: Laboratory, name: str) -> None:
    """The answer to a query does not depend on the others: their order and number tell nothing."""
    config, model = laboratory.classifier(name)
    support, query = (images.flatten(0, 1) for images in laboratory.episode(config))
    labels = torch.arange(config.evaluation.n_way).repeat_interleave(config.evaluation.k_shot)
    together = probabilities(model, support, labels, query)
    backwards = probabilities(model, support, labels, query.flip(0)).flip(0)
    alone = probabilities(model, support, labels, query[:1])
    _require(
        torch.allclose(together, backwards, atol=1e-4) and torch.allclose(together[:1], alone, atol=1e-4),
        "the answer to a query depends on the other queries",
    )


OF_EVERY_METHOD: tuple[Callable[[Laboratory, str], None], ...] = (
    same_config_from_json,
    evaluation_changes_nothing,
    parts_measure_as_the_whole,
)
OF_TRAINING: tuple[Callable[[Laboratory, str], None], ...] = (
    same_seed_same_numbers,
    training_changes_the_state,
    chunks_equal_one_training,
    resuming_equals_never_stopping,
    loss_falls_on_one_task,
)


def check_method(code: type | str, *, options: Mapping[str, Any] | None = None) -> None:
    """Hold a method to what fsrun relies on, on a small data set that is drawn; takes seconds.

    code: the class, or "FILE.py:CLASS" or "MODULE:CLASS". `options`, such as {"lr": 0.01}, are what lets
    thirty steps on one task show that it learns. Raises BrokenPromiseError, and ConfigError where the code
    cannot be loaded.
    """
    name = method_named(code if isinstance(code, str) else f"{code.__module__}:{code.__qualname__}")
    learns = {f"method.{option}": value for option, value in (options or {}).items()}
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder), Path(folder), "glyphs", learns)
        promises = (*OF_EVERY_METHOD, *(OF_TRAINING if trains(name) else ()), queries_are_answered_alone)
        for promise in promises:
            promise(laboratory, name)
