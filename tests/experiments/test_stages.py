"""Which runs share a training, and what such a training is measured on itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from experiments.config import (
    ImageRun,
    PretrainConfig,
    RunConfig,
    config_from_json,
    config_hash,
    config_to_json,
    prerequisites,
    training_run,
    training_steps,
)
from experiments.config.base import STORED, Frozen
from experiments.errors import ConfigError
from experiments.method import Resources, build
from experiments.sweeps import Sweep, plan

WAYS = [5, 10, 20, 50, 100, 200, 500, 1000, 1692]


def planned(experiment: str, method: str, **settings: list[Any]) -> list[RunConfig]:
    return [each.config for each in plan(Sweep(experiment, (method,), "paper", settings=settings))]


def trainings(configs: list[RunConfig]) -> set[str | None]:
    runs = [training_run(config) for config in configs]
    return {None if run is None else config_hash(run) for run in runs}


@pytest.mark.parametrize("method", ["fastslow", "protonet"])
def test_a_list_of_ways_up_to_all_test_classes_trains_one_model(method: str) -> None:
    configs = planned("omniglot", method, n_way=WAYS)
    (training,) = {training_run(config) for config in configs}
    assert training is not None
    assert training == planned("omniglot", method)[0]  # what the command without a list would train
    assert [training_steps(config) for config in configs] == [0] * len(WAYS)
    assert training_steps(training) > 0
    assert all(prerequisites(config) == (training,) for config in configs)


def test_a_single_evaluation_trains_its_own_model_as_ever() -> None:
    (config,) = planned("omniglot", "fastslow", n_way=[5])
    assert training_run(config) is None
    assert training_steps(config) == config.method.steps


def test_queries_and_episodes_never_cost_a_second_training() -> None:
    configs = planned("omniglot", "protonet", n_query=[1, 5, 15], episodes=[100, 1000])
    assert len(configs) == 6
    assert len(trainings(configs)) == 1


TESTED: Mapping[str, dict[str, list[Any]]] = {
    "cnn": {"test": ["nearest", "linear", "fine-tune"]},
    "shrinking": {"distance": ["l2", "cosine"]},
    "maml": {"test_steps": [1, 9]},
}


@pytest.mark.parametrize("method", TESTED)
def test_ways_to_test_never_cost_a_second_training(method: str) -> None:
    configs = planned("omniglot", method, **TESTED[method])
    (training,) = {training_run(config) for config in configs}
    assert training == planned("omniglot", method)[0]
    assert len({config_hash(config) for config in configs}) == len(configs) > 1


@pytest.mark.parametrize("method", TESTED)
def test_what_only_a_test_looks_at_changes_nothing_of_a_training(method: str, glyphs_data_dir: Path) -> None:
    small = {"alphabets": [10], "characters": [12], "filters": [4], "steps": [2]}
    resources = Resources(glyphs_data_dir, torch.device("cpu"))
    configs = planned("glyphs", method, **small, **TESTED[method])
    built = [build(config.model_copy(update={"trained_by": None}), resources) for config in configs]
    losses = [each.train(0, 2)["train/loss"] for each in built]
    assert all(torch.equal(loss, losses[0]) for loss in losses)


def test_a_method_that_trains_at_the_shots_it_is_tested_on_is_trained_for_each() -> None:
    configs = planned("omniglot", "protonet", k_shot=[1, 5], n_way=[5, 20])
    runs = {training_run(config) for config in configs}
    assert {run.evaluation.k_shot for run in runs if run is not None} == {1, 5}
    assert len(runs) == 2


def test_with_shots_of_its_own_it_is_trained_once() -> None:
    configs = planned("omniglot", "protonet", k_shot=[1, 5], n_way=[5, 20], train_k_shot=[1])
    assert len(trainings(configs)) == 1


def test_with_label_slots_and_mixed_shots_one_model_serves_all_columns_of_the_table() -> None:
    options: dict[str, list[Any]] = {"train_images": [6], "label_slots": [20], "train_shots": ["1-or-5"]}
    configs = planned("omniglot", "snail", k_shot=[1, 5], n_way=[5, 20], **options)
    assert len(trainings(configs)) == 1
    assert len({config_hash(config) for config in configs}) == 4
    del options["label_slots"]
    assert len(trainings(planned("omniglot", "snail", k_shot=[1, 5], n_way=[5, 20], **options))) == 2


def test_other_options_are_other_models() -> None:
    configs = planned("omniglot", "fastslow", slow_lr=[0.01, 0.1], n_way=[5, 20])
    assert len(trainings(configs)) == 2
    assert trainings(planned("omniglot", "fastslow", slow_lr=[0.01, 0.1])) == {None}


def test_what_is_not_trained_is_not_shared() -> None:
    assert trainings(planned("omniglot", "pixel-knn", n_way=[5, 20])) == {None}
    configs = planned("omniglot", "cnn-nn", n_way=[5, 20])
    assert trainings(configs) == {None}
    (fastslow,) = planned("omniglot", "fastslow")
    assert {prerequisites(config) for config in configs} == {prerequisites(fastslow)}


def test_a_training_fits_a_data_set_with_fewer_classes_than_the_default_episode() -> None:
    small: dict[str, list[Any]] = {"alphabets": [10], "characters": [4], "rotations": [False]}
    configs = planned("glyphs", "protonet", n_way=[2, 4], train_n_way=[4], **small)
    (training,) = {training_run(config) for config in configs}
    assert training is not None
    assert training.evaluation.n_way == 8  # all there are


def test_many_shots_leave_room_for_fewer_queries() -> None:
    configs = planned("omniglot", "protonet", k_shot=[18], n_query=[1, 2], train_n_query=[2])
    (training,) = {training_run(config) for config in configs}
    assert training is not None
    assert (training.evaluation.k_shot, training.evaluation.n_query) == (18, 2)


def test_a_measuring_run_comes_back_from_json_and_has_a_hash_of_its_own() -> None:
    config = planned("omniglot", "protonet", n_way=[20, 50])[0]
    alone = planned("omniglot", "protonet")[0]
    assert config_from_json(config_to_json(config)) == config
    assert config_hash(config) != config_hash(alone)


def test_a_config_stored_before_there_were_measuring_runs_still_means_the_same() -> None:
    config = planned("omniglot", "protonet")[0]
    old = config.model_dump(mode="json", exclude={"trained_by": True, "method": {"train_k_shot"}})
    assert isinstance(config, ImageRun)
    assert ImageRun.model_validate(old) == config


def test_too_many_ways_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="n_way 1693 is more than the 1692 test classes"):
        planned("omniglot", "fastslow", n_way=[5, 1693])


def test_a_stage_is_measured_on_validation_classes_and_is_what_its_own_command_trains() -> None:
    (config,) = planned("omniglot", "fastslow", n_way=[20])
    (stage,) = prerequisites(config)
    assert isinstance(stage, ImageRun)
    assert stage.evaluation.split == "val"
    assert planned("omniglot", "pretrain") == [stage]


def test_choosing_on_validation_classes_never_meets_a_test_class() -> None:
    configs = planned("omniglot", "fastslow", split=["val"], n_way=[5, 20])
    stages = [each for config in configs for each in prerequisites(config)]
    stages += [each for stage in stages for each in prerequisites(stage)]
    runs = [run for run in (*configs, *stages) if isinstance(run, ImageRun)]
    assert len(runs) == 2 + 2 + 2
    assert {run.evaluation.split for run in runs} == {"val"}


def test_classes_that_a_protocol_does_not_keep_are_refused_in_one_line() -> None:
    with pytest.raises(
        ConfigError, match="split val is learned from while holdout=false: use --set holdout=true"
    ):
        planned("omniglot", "protonet", split=["val"], holdout=[False])


def test_seeds_share_a_pre_training_unless_each_is_to_have_its_own() -> None:
    settings: dict[str, list[Any]] = {"pretrain.seed": [None]}
    shared, own = (
        [each.config for each in plan(Sweep("omniglot", ("fastslow",), "paper", seeds=3, settings=chosen))]
        for chosen in ({}, settings)
    )
    assert len({config_hash(config, with_seed=False) for config in own}) == 1  # one group all the same
    assert len({prerequisites(config) for config in shared}) == 1
    stages = [stage for config in own for stage in prerequisites(config)]
    assert [stage.method.seed for stage in stages if isinstance(stage.method, PretrainConfig)] == [0, 1, 2]
    assert (stages[0],) == prerequisites(shared[0])  # the shared one is that of seed 0
    assert stages[1:] == planned("omniglot", "pretrain", **{"method.seed": [1, 2]})  # by name too
    (neighbour,) = plan(Sweep("omniglot", ("cnn-nn",), "paper", settings=settings))
    assert prerequisites(neighbour.config) == (stages[0],)


def test_runs_that_measure_one_model_start_from_the_pre_training_of_its_seed() -> None:
    settings: dict[str, list[Any]] = {"pretrain.seed": [None], "n_way": [5, 20]}
    configs = [
        each.config for each in plan(Sweep("omniglot", ("fastslow",), "paper", seeds=2, settings=settings))
    ]
    stages = {
        (config.seed, stage.method.seed)
        for config in configs
        for training in prerequisites(config)
        for stage in prerequisites(training)
        if isinstance(stage.method, PretrainConfig)
    }
    assert stages == {(0, 0), (1, 1)}


def as_stored_before(value: Any, later: Any) -> Any:
    """Return a dumped config without the options that came later."""
    return {
        name: as_stored_before(part, getattr(later, name)) if isinstance(part, dict) else part
        for name, part in value.items()
        if name not in later.later
    }


@pytest.mark.parametrize("method", ["fastslow", "protonet", "pretrain", "maml"])
def test_a_config_stored_before_an_option_came_keeps_its_meaning_and_its_name(method: str) -> None:
    as_it_was: dict[str, list[Any]] = {"quarter_turns": [1]} if method == "fastslow" else {}
    config = planned("omniglot", method, **as_it_was)[0]
    old = json.dumps(as_stored_before(config.model_dump(mode="json"), config))
    assert "sampling" not in old
    assert "sampling" in config_to_json(config)
    assert config_from_json(old) == config
    assert config_hash(config_from_json(old)) == config_hash(config)
    other = planned("omniglot", method, sampling=["within-alphabet"], **as_it_was)[0]
    assert config_hash(other) != config_hash(config)


def test_a_default_that_changes_later_does_not_change_what_was_stored() -> None:
    class Tool(Frozen):
        later: ClassVar[Mapping[str, Any]] = {"sharpness": 1}
        length: int = 2
        sharpness: int = 3  # at first 1

    assert Tool.model_validate({"length": 5}, context=STORED).sharpness == 1
    assert Tool.model_validate({"length": 5}).sharpness == 3
    assert Tool(length=5, sharpness=1).naming() == {"length": 5}
    assert Tool(length=5).naming() == {"length": 5, "sharpness": 3}
