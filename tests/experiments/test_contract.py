"""What every method of the registry promises; a new one is held to it by being listed there."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
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
from experiments.errors import DataError
from experiments.method import Method, Resources, build
from experiments.registry import EXPERIMENTS, METHODS, methods_of
from experiments.sweeps import Sweep, option_names, plan

# Small enough for a step to take milliseconds; each method takes those options that it has.
SMALL: dict[str, Any] = {
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

# What lets thirty steps on one task show that something is learned.
QUICK_TO_LEARN: dict[str, Any] = {
    "cnn": {"method.lr": 0.01},
    "siamese": {"method.lr": 0.01},
    "shrinking": {"method.lr": 0.01},
    "matching": {"method.lr": 0.01},
    "maml": {"method.lr": 0.01},
    "meta-lstm": {"method.lr": 0.01},
    "linear": {"method.slow_lr": 0.3},
    "fastslow": {"method.slow_lr": 0.1, "method.meta_lr": 0.01},
    "pretrain": {"method.steps": 8},
    "snail": {"method.schedule": "constant", "method.lr": 0.01},
    "mann": {"method.lr": 0.01},
    "rare-events": {"method.episodes_per_step": 8, "method.slots": 256, "method.lr": 0.003},
    "metanet": {"method.lr": 0.003},
    "coordinate-lstm": {"method.lr": 0.01},
}

METRICS = ("train/loss", "train/loss_ratio")
TRAINED = sorted(name for name, entry in METHODS.items() if entry.config().model_dump()["steps"])


@dataclass(frozen=True)
class Laboratory:
    """Builds small methods, each from the untrained runs it starts from."""

    data_dir: Path
    scratch: Path
    experiment: str | None = None  # None: the first that needs no import

    def config(self, name: str, *, seed: int = 0, options: Mapping[str, Any] | None = None) -> RunConfig:
        experiment = self.experiment or next(
            each for each in METHODS[name].experiments if not EXPERIMENTS[each].needs_import
        )
        known = option_names(experiment, name)
        chosen = {option: value for option, value in SMALL.items() if option in known} | dict(options or {})
        settings = {option: [value] for option, value in chosen.items()}
        sweep = Sweep(experiment, (name,), "quick", seeds=seed + 1, settings=settings, beside_others=True)
        return plan(sweep)[seed].config

    def method(self, name: str, *, seed: int = 0, options: Mapping[str, Any] | None = None) -> Method:
        return self.build(self.config(name, seed=seed, options=options))

    def build(self, config: RunConfig) -> Method:
        parents = {config_hash(need): self.checkpoint_of(need) for need in prerequisites(config)}
        return build(config, Resources(self.data_dir, torch.device("cpu"), parents))

    def checkpoint_of(self, config: RunConfig) -> Path:
        path = self.scratch / f"{config_hash(config)}.safetensors"
        if not path.exists():
            save_checkpoint(path, 0, self.build(config).state_dict())
        return path


@pytest.fixture(scope="module")
def laboratory(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(glyphs_data_dir, tmp_path_factory.mktemp("contract"))


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
    """Say whether two flat states or two sets of metrics are equal bit for bit."""
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, Tensor) else value == other[name]
        for name, value in one.items()
    )


def trained(laboratory: Laboratory, name: str, *, seed: int = 0) -> Method:
    """Return a method after four steps, where it trains at all."""
    method = laboratory.method(name, seed=seed)
    if name in TRAINED:
        method.train(0, 4)
    return method


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_config_comes_back_from_json_with_the_same_hash(laboratory: Laboratory, name: str) -> None:
    config = laboratory.config(name, seed=2)
    again = config_from_json(config_to_json(config))
    assert again == config
    assert config_to_json(again) == config_to_json(config)
    assert config_hash(again) == config_hash(config)
    other = laboratory.config(name, seed=1)
    assert config_hash(other) != config_hash(config)
    assert config_hash(other, with_seed=False) == config_hash(config, with_seed=False)


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    laboratory: Laboratory, name: str
) -> None:
    first, second, other = (laboratory.method(name, seed=seed) for seed in (0, 0, 1))
    metrics = [method.train(0, 3) for method in (first, second, other)]
    assert same(metrics[0], metrics[1])
    assert same(flat(first.state_dict()), flat(second.state_dict()))
    if name != "pretrain":  # runs of all seeds start from one pre-training: its seed is an option
        assert not same(metrics[0], metrics[2])
        assert not same(flat(first.state_dict()), flat(other.state_dict()))
        other.load_state_dict(deepcopy(first.state_dict()))  # even from the same weights it meets other tasks
        assert not same(first.train(3, 3), other.train(3, 3))


def test_pre_training_has_a_seed_of_its_own(laboratory: Laboratory) -> None:
    metrics = [laboratory.method("pretrain", options={"method.seed": seed}).train(0, 2) for seed in (0, 1)]
    assert not same(*metrics)


@pytest.mark.parametrize("name", TRAINED)
def test_training_changes_the_state_and_reports_finite_numbers(laboratory: Laboratory, name: str) -> None:
    method = laboratory.method(name)
    before = flat(method.state_dict())
    metrics = method.train(0, 3)
    assert not same(before, flat(method.state_dict()))
    assert any(metric in metrics for metric in METRICS)
    for metric, values in metrics.items():
        assert metric.startswith("train/")
        assert values.shape in ((3,), ())
        assert bool(values.isfinite().all())


@pytest.mark.parametrize("name", TRAINED)
def test_two_chunks_of_steps_equal_one(laboratory: Laboratory, name: str) -> None:
    whole, parts = laboratory.method(name), laboratory.method(name)
    at_once = whole.train(0, 4)
    pieces = [parts.train(0, 2), parts.train(2, 2)]
    assert same(flat(whole.state_dict()), flat(parts.state_dict()))
    for metric, values in at_once.items():
        if values.ndim:
            assert torch.equal(values, torch.cat([piece[metric] for piece in pieces]))


@pytest.mark.parametrize("name", TRAINED)
def test_going_on_from_a_checkpoint_equals_never_having_stopped(
    laboratory: Laboratory, name: str, tmp_path: Path
) -> None:
    through = trained(laboratory, name)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, 4, through.state_dict())
    expected = through.train(4, 3)

    resumed = laboratory.method(name)
    step, state = load_checkpoint(path)
    assert step == 4
    resumed.load_state_dict(state)
    assert same(resumed.train(4, 3), expected)
    assert same(flat(resumed.state_dict()), flat(through.state_dict()))
    assert same(resumed.evaluate("test", range(5)), through.evaluate("test", range(5)))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_evaluation_changes_nothing_and_comes_out_the_same_again(laboratory: Laboratory, name: str) -> None:
    method = trained(laboratory, name)
    before = flat(method.state_dict())
    first = method.evaluate("test", range(6))
    assert same(before, flat(method.state_dict()))
    assert same(first, method.evaluate("test", range(6)))
    for values in first.values():
        assert values.shape == (6,)
        assert not values.requires_grad
    if name in TRAINED:
        unmeasured = trained(laboratory, name)
        assert same(method.train(4, 2), unmeasured.train(4, 2))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_range_of_episodes_is_measured_as_its_parts_are(laboratory: Laboratory, name: str) -> None:
    method = trained(laboratory, name)
    whole = method.evaluate("test", range(9))
    parts = [method.evaluate("test", part) for part in (range(2), range(2, 7), range(7, 9))]
    for metric, values in whole.items():
        torch.testing.assert_close(torch.cat([part[metric] for part in parts]), values, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"linear"}))
def test_validation_and_test_are_other_episodes_and_accuracies_are_shares(
    laboratory: Laboratory, name: str
) -> None:
    method = trained(laboratory, name)
    measured = {split: method.evaluate(split, range(20))["accuracy"] for split in ("val", "test")}
    assert not torch.equal(measured["val"], measured["test"])
    for accuracy in measured.values():
        shares = accuracy * 15  # of 5 classes with 3 queries each
        torch.testing.assert_close(shares, shares.round())
        assert 0 <= float(accuracy.mean()) <= 1


@pytest.mark.parametrize("name", TRAINED)
def test_loss_falls_when_one_task_is_met_again_and_again(laboratory: Laboratory, name: str) -> None:
    method = laboratory.method(name, options=QUICK_TO_LEARN.get(name))
    steps = [method.train(0, 1) for _ in range(30)]
    metric = next(metric for metric in METRICS if metric in steps[0])
    losses = [float(step[metric]) for step in steps]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5]), losses


# Methods that meet a task in more than one way, by the option that says how.
WAYS_TO_MEET_A_TASK: list[tuple[str, Mapping[str, Any]]] = [
    *((name, {}) for name in methods_of("glyphs")),
    ("cnn", {"method.test": "linear"}),
    ("cnn", {"method.test": "fine-tune"}),
    ("shrinking", {"method.hallucinate": 3, "method.generator_steps": 1, "method.steps": 2}),
    ("matching", {"method.fce": True}),
    ("snail", {"method.train_images": 6, "method.train_n_way": 8, "method.label_slots": 8}),
]


def classifying(
    laboratory: Laboratory, name: str, options: Mapping[str, Any]
) -> tuple[ImageRun, TrainedModel]:
    """Return an untrained method as `classify` loads it, and its config."""
    config = laboratory.config(name, options=options)
    assert isinstance(config, ImageRun)
    checkpoint = laboratory.checkpoint_of(config)
    return config, load_model(config, checkpoint, torch.device("cpu"), laboratory.data_dir)


def first_episode(laboratory: Laboratory, config: ImageRun) -> tuple[Tensor, Tensor]:
    """Return support and query (n_way, images, *image) of the first episode of the test."""
    table = open_table(config.data, laboratory.data_dir)
    drawn = evaluation_sampler(table, config.evaluation).sample("test", range(1))
    support, query = (table.pixels("test", index.flatten()) for index in (drawn.support, drawn.query))
    n_way = config.evaluation.n_way
    return support.unflatten(0, (n_way, -1)), query.unflatten(0, (n_way, -1))


@pytest.mark.parametrize(("name", "options"), WAYS_TO_MEET_A_TASK)
def test_classifying_an_episodes_images_is_as_right_as_evaluation_says(
    laboratory: Laboratory, name: str, options: Mapping[str, Any]
) -> None:
    config, model = classifying(laboratory, name, options)
    support, query = first_episode(laboratory, config)
    found = probabilities(model, support.flatten(0, 1), torch.arange(5), query.flatten(0, 1))
    right = found.argmax(1) == torch.arange(5).repeat_interleave(query.shape[1])
    measured = laboratory.build(config).evaluate("test", range(1))["accuracy"]
    assert float(right.double().mean()) == pytest.approx(float(measured))


@pytest.mark.parametrize(("name", "options"), WAYS_TO_MEET_A_TASK)
def test_fewer_classes_share_all_probability_and_more_are_refused_where_outputs_are_fixed(
    laboratory: Laboratory, name: str, options: Mapping[str, Any]
) -> None:
    config, model = classifying(laboratory, name, options)
    support, query = (images.flatten(0, 1) for images in first_episode(laboratory, config))
    few = probabilities(model, support[:3], torch.arange(3), query)
    assert few.shape == (len(query), 3)
    torch.testing.assert_close(few.sum(1), torch.ones(len(query)))
    seven = support.repeat(2, 1, 1, 1)[:7]
    if config.method.most_ways(5) == 5:
        with pytest.raises(DataError, match=r"tell 5 classes apart and there are 7: use 5 classes or fewer"):
            probabilities(model, seven, torch.arange(7), query)
    else:
        assert probabilities(model, seven, torch.arange(7), query).shape == (len(query), 7)
