"""Rows that start from the pre-training of Fast/Slow: trained on, or with the backbone frozen."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from experiments.budgets import images_embedded
from experiments.config import (
    CnnNeighbourConfig,
    ImageRun,
    PretrainConfig,
    config_from_json,
    config_hash,
    prerequisites,
    training_run,
)
from experiments.equal_features import MECHANISMS, plan_equal_features
from experiments.errors import ConfigError, InertOption
from experiments.evaluate import accuracy_per_episode
from experiments.methods.base import ImageMethod
from experiments.sweeps import PlannedRun, Sweep, plan
from experiments.table2 import ROWS, SHAPES, Row
from fsrun.testing import Laboratory, flat, same

STARTED = {"method.start": "pretrain"}
ABOVE: dict[str, dict[str, Any]] = {
    "protonet": {"method.learned_scale": True, "method.train_images": 3},
    "matching": {"method.fce": True, "method.train_images": 3},
    "siamese": {},
    "rare-events": {"method.encoder": "conv4", "method.train_images": 2},
    "snail": {},
    "mann": {"method.encoder": "conv4", "method.training": "episodes"},
    "maml": {"method.adapts": "head", "method.learned_rates": True},
}


@pytest.fixture(scope="module")
def laboratory(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(glyphs_data_dir, tmp_path_factory.mktemp("equal-features"))


def started(laboratory: Laboratory, name: str, *, frozen: bool, **options: Any) -> ImageMethod[Any]:
    own = {f"method.{option}": value for option, value in options.items()}
    method = laboratory.method(name, options={**STARTED, "method.frozen": frozen, **ABOVE[name], **own})
    assert isinstance(method, ImageMethod)
    return method


def pretrained(laboratory: Laboratory) -> Any:
    """Return the pre-training that small rows start from."""
    (stage,) = prerequisites(laboratory.config("protonet", options=STARTED))
    return laboratory.build(stage)


def images_of(method: Any, split: str = "test") -> Tensor:
    pixels: Tensor = method.table.pixels(split, torch.arange(40))
    return pixels


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", ABOVE)
def test_the_first_features_are_those_of_the_pre_training(
    laboratory: Laboratory, name: str, frozen: bool
) -> None:
    method, stage = started(laboratory, name, frozen=frozen), pretrained(laboratory)
    assert method.pretrained is not None
    images = images_of(method)
    features = method.pretrained.eval()(images)
    assert torch.equal(features, 8 * stage.embed(images))


@pytest.mark.parametrize("name", ABOVE)
def test_training_leaves_a_frozen_backbone_as_it_was_and_changes_what_lies_above(
    laboratory: Laboratory, name: str
) -> None:
    method = started(laboratory, name, frozen=True)
    assert method.pretrained is not None
    backbone, state = flat(method.pretrained.state_dict()), flat(method.state_dict())
    method.train(0, 4)
    assert same(flat(method.pretrained.state_dict()), backbone)
    assert not same(flat(method.state_dict()), state)
    assert all(value.isfinite().all() for value in method.evaluate("test", range(3)).values())


@pytest.mark.parametrize("name", ABOVE)
def test_without_frozen_the_rule_of_the_method_moves_the_backbone(laboratory: Laboratory, name: str) -> None:
    method = started(laboratory, name, frozen=False)
    assert method.pretrained is not None
    before = flat(method.pretrained.state_dict())
    method.train(0, 2)
    assert not same(flat(method.pretrained.state_dict()), before)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_frozen_prototypical_net_is_nearest_mean_whatever_it_trains(
    laboratory: Laboratory, averaging: float
) -> None:
    method = started(laboratory, "protonet", frozen=True, averaging=averaging)
    method.train(0, 5)
    mean = laboratory.method("cnn-nn", options={"method.test": "mean"})
    episodes = range(20)
    expected = mean.evaluate("test", episodes)["accuracy"]
    assert torch.equal(method.evaluate("test", episodes)["accuracy"], expected)
    assert 0 < float(expected.mean()) < 1


def test_averaged_weights_start_from_the_pre_training_too(laboratory: Laboratory) -> None:
    method = started(laboratory, "protonet", frozen=False, averaging=0.9)
    assert torch.equal(method.embed(images_of(method)), 8 * pretrained(laboratory).embed(images_of(method)))


def test_frozen_training_images_are_embedded_once_each(laboratory: Laboratory) -> None:
    method = started(laboratory, "protonet", frozen=True)
    assert method.pretrained is not None
    seen: list[int] = []
    method.pretrained.backbone.register_forward_hook(lambda *call: seen.append(len(call[2])))
    method.train(0, 20)
    drawn = 20 * 5 * 3
    assert 0 < sum(seen) <= drawn
    before = sum(seen)
    method.train(0, 20)
    assert sum(seen) == before


def test_the_budget_counts_a_frozen_image_once_and_the_pre_training_in_full(laboratory: Laboratory) -> None:
    config = laboratory.config(
        "protonet", options={**STARTED, **ABOVE["protonet"], "method.frozen": True, "method.steps": 10**6}
    )
    assert isinstance(config, ImageRun)
    (stage,) = prerequisites(config)
    of_training = config.data.class_count("train") * config.data.images_per_class
    assert images_embedded(config) == of_training + images_embedded(stage)


@pytest.mark.parametrize("name", ABOVE)
def test_frozen_training_goes_on_from_its_state_as_if_it_had_never_stopped(
    laboratory: Laboratory, name: str
) -> None:
    through = started(laboratory, name, frozen=True)
    through.train(0, 2)
    resumed = started(laboratory, name, frozen=True)
    resumed.load_state_dict(deepcopy(through.state_dict()))
    assert same(resumed.train(2, 2), through.train(2, 2))
    assert same(flat(resumed.state_dict()), flat(through.state_dict()))


def test_frozen_rows_can_look_several_times_at_an_image(laboratory: Laboratory) -> None:
    method = started(laboratory, "matching", frozen=True)
    looks = method.run.evaluation.looks.model_copy(update={"views": 2, "turns": 4})
    accuracy = accuracy_per_episode(method, method.table, method.sampler, "test", range(3), looks)
    assert accuracy.shape == (3,)


def test_a_linear_classifier_is_fitted_to_each_support_by_gradient_descent_from_zero(
    laboratory: Laboratory,
) -> None:
    options = {"method.test": "linear", "method.fit_steps": 3, "method.fit_lr": 2.0}
    method: Any = laboratory.method("cnn-nn", options=options)
    support = normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    labels = torch.arange(5)
    weights = torch.zeros(5, 9, requires_grad=True)
    inputs = torch.cat((support, torch.ones(5, 1)), dim=1)
    for _ in range(3):
        (gradient,) = torch.autograd.grad(cross_entropy(inputs @ weights.T, labels), weights)
        weights = (weights - 2.0 * gradient).detach().requires_grad_()
    expected = inputs @ weights.T
    torch.testing.assert_close(method.logits(support[None], labels, support[None])[0], expected.detach())


# ------------------------------------------------------------ what is planned


def image_run(planned: PlannedRun) -> ImageRun:
    assert isinstance(planned.config, ImageRun)
    return planned.config


def stage_of(run: ImageRun) -> ImageRun:
    (stage,) = prerequisites(training_run(run) or run)
    assert isinstance(stage, ImageRun)
    return stage


@pytest.mark.parametrize("preset", ["quick", "cpu", "fair", "paper"])
@pytest.mark.parametrize("experiment", ["omniglot", "glyphs", "miniimagenet"])
def test_all_mechanisms_share_one_pre_training_and_learn_from_the_same_classes(
    experiment: str, preset: str
) -> None:
    runs = [image_run(each) for each in plan_equal_features(experiment, preset=preset)]
    assert len({config_hash(stage_of(run)) for run in runs}) == 1
    assert len({str(run.data) for run in runs}) == 1
    for run in runs:
        stage = stage_of(run).method
        assert isinstance(stage, PretrainConfig)
        assert run.method.name == "cnn-nn" or set(run.method.splits) <= {"train", "meta"}


def test_each_seed_of_the_preset_fair_has_one_pre_training_and_nearest_mean_has_them_all() -> None:
    runs = [image_run(each) for each in plan_equal_features(seeds=3)]
    stages = {run.seed: set[str]() for run in runs}
    for run in runs:
        stages[run.seed].add(config_hash(stage_of(run)))
    assert {seed: len(each) for seed, each in stages.items()} == {0: 1, 1: 1, 2: 1}
    assert len(set.union(*stages.values())) == 3


@pytest.mark.parametrize("setting", ["pretrain.steps=50", "precision=bf16", "pretrain.classes=base"])
def test_a_setting_of_the_pre_training_is_for_all_rows(setting: str) -> None:
    runs = [image_run(each) for each in plan_equal_features("glyphs", preset="quick", settings=[setting])]
    assert len({config_hash(stage_of(run)) for run in runs}) == 1


def test_every_mechanism_has_every_column_and_what_trains_nothing_comes_first() -> None:
    planned = [image_run(each) for each in plan_equal_features()]
    cells = set()
    for run in planned:
        (row,) = (row for row in MECHANISMS if row.holds(run.model_dump()))
        cells.add((row.name, run.evaluation.n_way, run.evaluation.k_shot))
    assert cells == {(row.name, *shape) for row in MECHANISMS for shape in SHAPES}
    trains = [run.method.steps > 0 for run in planned]
    assert trains == sorted(trains)
    assert len({config_hash(run) for run in planned}) == len(planned)
    assert all(isinstance(run.method, CnnNeighbourConfig) for run in planned[:16])


def holders(rows: tuple[Row, ...], run: ImageRun) -> list[str]:
    return [row.name for row in rows if row.holds(run.model_dump())]


def test_a_row_that_starts_from_a_pre_training_is_in_no_row_from_scratch() -> None:
    for run in map(image_run, plan_equal_features()):
        if getattr(run.method, "start", None) == "pretrain":
            assert holders(ROWS, run) == []


def test_start_alone_takes_the_data_and_the_pre_training_of_fast_slow() -> None:
    (asked,) = plan(Sweep("omniglot", ("protonet",), "fair", settings={"start": ["pretrain"]}))
    (fastslow,) = plan(Sweep("omniglot", ("fastslow",), "fair"))
    assert prerequisites(asked.config) == prerequisites(fastslow.config)
    assert image_run(asked).data == image_run(fastslow).data


def test_what_comes_from_scratch_is_named_and_stored_as_before() -> None:
    for name in ABOVE:
        (asked,) = plan(Sweep("omniglot", (name,), "fair"))
        raw = image_run(asked).model_dump(mode="json")
        for option in ("start", "frozen", "pretrain"):
            assert option not in image_run(asked).naming()["method"]
            del raw["method"][option]
        before = config_from_json(json.dumps(raw))
        assert config_hash(before) == config_hash(asked.config)
        assert prerequisites(before) == ()


@pytest.mark.parametrize(
    ("method", "settings", "error", "said"),
    [
        ("protonet", {"frozen": [True]}, InertOption, "set start=pretrain"),
        ("protonet", {"pretrain.steps": [9]}, InertOption, "start=scratch"),
        ("protonet", {"start": ["pretrain"], "protocol": ["P-V"]}, ConfigError, "protocol=R1"),
        ("protonet", {"start": ["pretrain"], "filters": [32]}, InertOption, "start=pretrain"),
        ("matching", {"start": ["pretrain"], "frozen": [True]}, ConfigError, "--set fce=true"),
        ("siamese", {"start": ["pretrain"], "network": ["koch"]}, ConfigError, "--set network=conv4"),
        ("rare-events", {"start": ["pretrain"]}, ConfigError, "--set encoder=conv4"),
        ("maml", {"start": ["pretrain"]}, ConfigError, "--set adapts=head"),
    ],
)
def test_what_cannot_start_so_is_refused_with_what_to_set(
    method: str, settings: dict[str, list[Any]], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        plan(Sweep("omniglot", (method,), "paper", settings=settings))


def test_a_test_on_classes_of_the_pre_training_cannot_be_asked_for() -> None:
    for protocol in ("R1", "R2", "P-B"):
        settings: dict[str, list[Any]] = {"start": ["pretrain"], "protocol": [protocol]}
        settings |= {"pretrain.classes": ["base+meta"], "split": ["val"]}
        settings |= {"holdout": [False]}
        with pytest.raises(ConfigError, match="split val is learned from"):
            plan(Sweep("omniglot", ("protonet",), "paper", settings=settings))
    with pytest.raises(ConfigError, match="start needs pixels"):
        plan(Sweep("imagenet", ("protonet",), "quick", settings={"start": ["pretrain"]}))
