"""The options of a run, read off its config classes."""

import pytest

from experiments.config import config_to_json, parse_config
from experiments.errors import ConfigError
from experiments.options import Option, options_of
from experiments.registry import EXPERIMENTS, methods_of
from experiments.sweeps import Sweep, changed, option_names, plan, resolve_option

EVERY = [(experiment, method) for experiment in EXPERIMENTS for method in methods_of(experiment)]


def options(experiment: str, method: str) -> dict[str, Option]:
    config = plan(Sweep(experiment, (method,), "quick"))[0].config
    return {option.name: option for option in options_of(config)}


def test_rules_say_kind_and_bounds_in_words() -> None:
    known = options("synthetic", "linear")
    assert known["method.steps"] == Option("method.steps", "whole number, 1 to 1,000,000,000", 20_000)
    assert known["method.slow_lr"] == Option("method.slow_lr", "number, above 0", 0.001)
    assert known["method.fast_learner"].rule == "sgd or lstm"
    assert known["data.spectrum"] == Option("data.spectrum", "list or null", None)
    image = options("glyphs", "protonet")
    assert image["method.train_k_shot"].rule == "whole number or null, at least 1"
    assert image["method.jitter.scale"].rule == "number, at least 0 and below 1"


@pytest.mark.parametrize(("experiment", "method"), EVERY)
def test_every_option_is_one_that_the_command_line_takes_and_can_be_set_to_what_it_is(
    experiment: str, method: str
) -> None:
    config = plan(Sweep(experiment, (method,), "quick"))[0].config
    found = options_of(config)
    assert {option.name for option in found} <= option_names(experiment, method).keys()
    assert all(option.rule for option in found)
    same = changed(config, {option.name: option.value for option in found})
    assert config_to_json(same) == config_to_json(config)


def test_bounds_are_those_that_the_config_holds_to() -> None:
    config = plan(Sweep("synthetic"))[0].config
    for option in options_of(config):
        if option.rule == "number, above 0":
            with pytest.raises(ConfigError, match=r"greater than 0"):
                changed(config, {option.name: 0.0})
    assert parse_config(config.model_dump()) == config


@pytest.mark.parametrize(
    ("experiment", "method", "name", "meant"),
    [
        ("glyphs", "fastslow", "scale", {"method.jitter.scale", "method.view_change.scale"}),
        ("glyphs", "cnn-nn", "shift", {"method.pretrain.jitter.shift", "evaluation.looks.change.shift"}),
        ("imagenet", "fastslow", "features", {"data.features", "method.features"}),
        ("glyphs", "maml", "batch_norm", {"method.batch_norm", "evaluation.batch_norm"}),
    ],
)
def test_a_short_name_of_two_options_is_refused_and_both_are_named(
    experiment: str, method: str, name: str, meant: set[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan(Sweep(experiment, (method,), "quick", settings={name: [0]}))
    assert meant <= set(str(refused.value).split())


def test_the_option_nearest_to_the_top_is_meant_by_a_short_name() -> None:
    options = ("method.pretrain", "method.steps", "method.pretrain.steps", "method.pretrain.mirrored")
    assert resolve_option("steps", "fastslow", options) == "method.steps"
    assert resolve_option("pretrain.mirrored", "fastslow", options) == "method.pretrain.mirrored"
    assert resolve_option("maml.steps", "fastslow", options) is None
