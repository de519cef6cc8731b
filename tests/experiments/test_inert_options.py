"""An option that the others keep from changing anything is refused where a user sets it, and only there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from experiments.config import (
    DrawnData,
    EpisodeEvaluation,
    GlyphsData,
    ImageNetData,
    MiniImageNetData,
    OmniglotData,
    RunConfig,
    config_from_json,
    config_hash,
    parse_config,
    prerequisites,
)
from experiments.config.base import Frozen
from experiments.config.rows import BuiltIn
from experiments.config.run import ImageRun
from experiments.config.synthetic import SyntheticRun
from experiments.errors import ConfigError, InertOption
from experiments.method import Method, Resources, build
from experiments.sweeps import Sweep, changed, edited, plan
from experiments.table2 import plan_table2
from fsrun.planning import plan_edited

SMALL: dict[str, Any] = {
    "data.alphabets": 10,
    "data.characters": 12,
    "evaluation.n_way": 5,
    "evaluation.n_query": 2,
}
NO_PRETRAINING: dict[str, Any] = {
    "method.pretrain": None,
    "method.inner_steps": 2,
    "method.train_n_way": 5,
    "method.views": 1,
}
SGD = {**NO_PRETRAINING, "method.fast_learner": "sgd"}
FROZEN = {**NO_PRETRAINING, "method.slow_lr": 0}
SHARED = {**NO_PRETRAINING, "method.slow_learner": "shared", "method.inner_steps": 1}
WITHOUT_EPISODES = {"method.objective": "softmax", "method.batch_size": 16, "method.filters": 8}
SNAIL = {"method.filters": 8, "method.dense_filters": 8}
MANN = {"method.hidden_size": 16, "method.episodes_per_step": 2, "method.instances": 3}

# A method, what makes an option inert, the option with another value than it has, and what a refusal says.
INERT: list[tuple[str, dict[str, Any], str, Any, str]] = [
    ("fastslow", SGD, "method.hidden_size", 8, "hidden_size=8 .* fast_learner=sgd.*set fast_learner=lstm"),
    ("fastslow", SGD, "method.layers", 1, "layers=1"),
    ("fastslow", SGD, "method.output_scale", 0.5, "output_scale=0.5"),
    ("fastslow", SGD, "method.skip_lr", 0.1, "skip_lr=0.1"),
    ("fastslow", NO_PRETRAINING, "method.fast_lr", 0.1, "fast_lr=0.1 .* set fast_learner=sgd"),
    ("fastslow", {**SGD, "method.initial": "zeros"}, "method.meta_lr", 0.1, "meta_lr=0.1"),
    (
        "fastslow",
        {**NO_PRETRAINING, "method.initial": "zeros"},
        "method.initial_scale",
        2.0,
        "set initial=means",
    ),
    ("fastslow", SHARED, "method.slow_lr", 0.5, "slow_lr=0.5 .* slow_learner=shared"),
    ("fastslow", SHARED, "method.slow_momentum", 0.5, "set slow_learner=sgd"),
    ("fastslow", SHARED, "method.slow_schedule", "constant", "set slow_learner=sgd or adam"),
    ("fastslow", FROZEN, "method.slow_momentum", 0.5, "slow_lr=0.0: leave it out, or change slow_lr"),
    ("fastslow", FROZEN, "method.slow_schedule", "constant", "change slow_lr"),
    ("fastslow", FROZEN, "method.slow_gradient", "second", "change slow_lr"),
    ("fastslow", FROZEN, "method.averaging", 0.0, "change slow_lr"),
    (
        "fastslow",
        {**NO_PRETRAINING, "method.features": "raw", "method.initial": "zeros"},
        "method.feature_scale",
        2.0,
        "features=raw",
    ),
    ("fastslow", NO_PRETRAINING, "method.view_change.degrees", 3.0, "view_change.degrees=3.0 .* views=1"),
    ("fastslow", NO_PRETRAINING, "method.support_views", "all", "support_views=all .* views=1"),
    ("pretrain", WITHOUT_EPISODES, "method.train_n_way", 7, "set objective=episodes"),
    ("pretrain", WITHOUT_EPISODES, "method.train_images", 2, "set objective=episodes"),
    ("pretrain", WITHOUT_EPISODES, "method.features", "raw", "set objective=episodes"),
    ("pretrain", {"method.train_n_way": 5}, "method.batch_size", 7, "set objective=softmax"),
    ("pretrain", {"method.train_n_way": 5}, "method.classifier", "linear", "set objective=softmax"),
    ("matching", {"method.train_n_way": 5}, "method.fce_steps", 3, "fce_steps=3 .* fce=false.*set fce=true"),
    ("cnn", {"method.filters": 8}, "method.fit_lr", 0.1, "fit_lr=0.1 .* test=nearest.*test=linear or fine"),
    ("cnn", {"method.filters": 8}, "method.fit_steps", 3, "set test=linear"),
    ("cnn", {"method.filters": 8, "method.test": "linear"}, "method.distance", "cosine", "set test=nearest"),
    ("shrinking", {"method.filters": 8}, "method.fit_steps", 3, "fit_steps=3 .* change hallucinate"),
    ("shrinking", {"method.filters": 8}, "method.fit_lr", 0.3, "change hallucinate"),
    ("shrinking", {"method.filters": 8}, "method.generator_lr", 0.3, "change hallucinate"),
    (
        "shrinking",
        {"method.filters": 8, "method.hallucinate": 3, "method.generator_steps": 1, "method.steps": 3},
        "method.distance",
        "cosine",
        "set hallucinate=0",
    ),
    (
        "shrinking",
        {"method.filters": 8, "method.penalty_weight": 0},
        "method.penalty",
        "l2",
        "change penalty_weight",
    ),
    ("mann", {**MANN, "method.encoder": "pixels"}, "method.filters", 8, "set encoder=conv4"),
    ("mann", {**MANN, "method.training": "sequences"}, "method.train_n_query", 2, "set training=episodes"),
    (
        "mann",
        {**MANN, "method.instances": 10, "method.training": "episodes"},
        "method.instances",
        5,
        "set training=sequences",
    ),
    ("mann", MANN, "method.train_n_way", 9, "change train_images"),
    ("snail", SNAIL, "method.label_slots", 30, "change train_images"),
    (
        "metanet",
        {"method.filters": 8, "method.task_weights": False},
        "method.chunks",
        2,
        "set task_weights=true",
    ),
    (
        "metanet",
        {"method.filters": 8, "method.train_images": 4},
        "method.train_n_query",
        5,
        "train_images=null",
    ),
    ("pixel-knn", {}, "method.validate_every", 5, "validate_every=5 changes nothing of pixel-knn: leave it"),
    ("pixel-knn", {}, "method.validate_episodes", 5, "nothing of pixel-knn"),
    ("pixel-knn", {}, "method.log_every", 5, "nothing of pixel-knn"),
    ("pixel-knn", {}, "method.stop_on_nan_after", 5, "nothing of pixel-knn"),
    (
        "protonet",
        {"method.filters": 8, "method.validate_every": 0},
        "method.validate_episodes",
        5,
        "change validate_every",
    ),
]
LINEAR: list[tuple[dict[str, Any], str, Any, str]] = [
    ({}, "method.hidden_size", 8, "hidden_size=8 .* fast_learner=sgd.*set fast_learner=lstm"),
    ({}, "method.layers", 1, "set fast_learner=lstm"),
    ({}, "method.output_scale", 1.0, "set fast_learner=lstm"),
    ({}, "method.meta_lr", 0.1, "set fast_learner=lstm"),
    ({"method.fast_learner": "lstm"}, "method.sampler", "direct", "set fast_learner=sgd"),
    ({}, "data.covariance_seed", 3, "covariance_seed=3 .* condition_number=1.0"),
]


def known(raw: dict[str, Any], base: RunConfig) -> dict[str, Any]:
    """Return those of some options that a config has."""
    sections = base.model_dump()
    return {name: value for name, value in raw.items() if name.split(".")[1] in sections[name.split(".")[0]]}


def base_of(experiment: str, method: str, options: dict[str, Any]) -> RunConfig:
    base = plan(Sweep(experiment, (method,), "quick"))[0].config
    return changed(base, known(SMALL, base) | options)


def numbers(config: RunConfig, data_dir: Path) -> dict[str, Tensor]:
    """Return what two steps of training and two episodes of the test come to."""
    assert not prerequisites(config)
    method: Method = build(config, Resources(data_dir, torch.device("cpu")))
    steps = min(config.method.steps, 2)
    return method.train(0, steps) | method.evaluate("test", range(2))


@pytest.mark.parametrize(("method", "options", "option", "value", "says"), INERT)
def test_an_option_called_inert_changes_no_number(
    glyphs_data_dir: Path, method: str, options: dict[str, Any], option: str, value: Any, says: str
) -> None:
    base = base_of("glyphs", method, options)
    other = changed(base, {option: value})
    assert config_hash(other) != config_hash(base)
    before, after = numbers(base, glyphs_data_dir), numbers(other, glyphs_data_dir)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("options", "option", "value", "says"), LINEAR)
def test_an_option_called_inert_changes_no_number_of_the_linear_case(
    tmp_path: Path, options: dict[str, Any], option: str, value: Any, says: str
) -> None:
    base = base_of("synthetic", "linear", options)
    before, after = (numbers(each, tmp_path) for each in (base, changed(base, {option: value})))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("experiment", "method", "options", "option", "value", "says"),
    [
        *(("glyphs", *each) for each in INERT),
        *(("synthetic", "linear", *each) for each in LINEAR),
        ("drawn", "fastslow", {}, "evaluation.batch_norm", "support", "batch_norm=support .* kind=drawn"),
        ("drawn", "fastslow", {}, "method.batch_norm", "batch", "batch_norm=batch .* kind=drawn: leave it"),
        ("imagenet", "cnn-nn", {}, "data.train_images", 5, "train_images=5 .* name=cnn-nn: leave it out"),
        ("omniglot", "pixel-knn", {}, "data.holdout", False, "holdout=false .* evaluation.split=test"),
        ("omniglot", "cnn-nn", {}, "method.pretrain.batch_size", 5, "pretrain.objective=episodes"),
    ],
)
def test_a_user_who_sets_it_is_told_in_one_line_what_it_would_need(
    experiment: str, method: str, options: dict[str, Any], option: str, value: Any, says: str
) -> None:
    settings = {name: [each] for name, each in {**options, option: value}.items()}
    with pytest.raises(InertOption, match=says) as refused:
        plan(Sweep(experiment, (method,), "paper", settings=settings))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 130
    base = base_of(experiment, method, options)
    with pytest.raises(InertOption, match=says):
        edited(base, {option: value})
    with pytest.raises(InertOption, match=says):
        plan_edited(base, "quick", {option: [value]})


def test_a_sweep_is_refused_where_a_part_of_it_would_be_one_run_several_times() -> None:
    both: dict[str, list[Any]] = {"fast_learner": ["lstm", "sgd"], "hidden_size": [20, 64]}
    with pytest.raises(InertOption, match=r"hidden_size=64 changes nothing while fast_learner=sgd"):
        plan(Sweep("omniglot", ("fastslow",), "paper", settings=both))
    assert len(plan(Sweep("omniglot", ("fastslow",), "paper", settings={"hidden_size": [20, 64]}))) == 2
    as_it_is: dict[str, list[Any]] = {"fast_learner": ["lstm", "sgd"], "hidden_size": [20]}
    assert len(plan(Sweep("omniglot", ("fastslow",), "paper", settings=as_it_is))) == 2


def test_of_several_methods_those_go_without_it_of_which_it_changes_nothing() -> None:
    runs = plan(Sweep("omniglot", ("pixel-knn", "protonet"), "paper", settings={"validate_every": [7, 9]}))
    assert [run.config.method.name for run in runs] == ["pixel-knn", "protonet", "protonet"]
    assert [run.config.method.validate_every for run in runs] == [0, 7, 9]
    with pytest.raises(InertOption, match=r"fit_lr changes nothing of cnn and shrinking here"):
        plan(Sweep("omniglot", ("cnn", "shrinking"), "paper", settings={"fit_lr": [0.5]}))
    with pytest.raises(ConfigError, match=r"unknown option 'fit_lrr'"):
        plan(Sweep("omniglot", ("cnn", "shrinking"), "paper", settings={"fit_lrr": [0.5]}))


def test_a_setting_of_the_whole_table_leaves_rows_as_they_are_of_which_it_changes_nothing() -> None:
    usual = {config_hash(run.config) for run in plan_table2(preset="quick")}
    rows = plan_table2(preset="quick", settings=["validate_every=7"])
    same = {run.config.method.name for run in rows if config_hash(run.config) in usual}
    assert same == {"pixel-knn", "cnn-nn"}
    assert {run.config.method.validate_every for run in rows if run.config.method.steps} == {7}


def test_a_stored_config_that_holds_one_is_read_and_named_as_it_was() -> None:
    raw = {"experiment": "synthetic", "data": {}, "method": {"fast_learner": "sgd", "hidden_size": 64}}
    assert config_hash(parse_config(raw)) == "1812a44af710fa13"
    text = '{"experiment": "glyphs", "data": {"kind": "glyphs"}, "method": {"name": "cnn", "fit_lr": 0.5}}'
    assert config_hash(config_from_json(text)) != config_hash(config_from_json(text.replace("0.5", "0.01")))


def classes_of(*roots: type[Frozen]) -> Iterator[type[Frozen]]:
    for root in roots:
        yield root
        for field in root.model_fields.values():
            for kind in (field.annotation, *get_args(field.annotation)):
                if isinstance(kind, type) and issubclass(kind, Frozen):
                    yield from classes_of(kind)


METHODS = get_args(get_args(BuiltIn)[0])
DATA = (OmniglotData, GlyphsData, MiniImageNetData, ImageNetData, DrawnData)


@pytest.mark.parametrize("kind", sorted({*classes_of(SyntheticRun, *METHODS)}, key=str))
def test_what_needs_what_is_said_of_options_there_are(kind: type[Frozen]) -> None:
    names = {*kind.needs, *(other for needs in kind.needs.values() for need in needs for other in need)}
    assert names <= set(kind.model_fields)


def test_what_a_run_says_of_its_parts_is_of_options_there_are() -> None:
    sections = {"method": METHODS, "data": DATA, "evaluation": (EpisodeEvaluation,)}
    known = {
        f"{name}.{option}"
        for name, kinds in sections.items()
        for kind in kinds
        for option in kind.model_fields
    }
    needs = ImageRun.needs
    assert {*needs, *(other for each in needs.values() for need in each for other in need)} <= known
