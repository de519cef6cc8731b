"""Training in bfloat16 or compiled: off unless asked for, and no part of what a test computes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.config import Accelerated, config_hash, prerequisites
from experiments.errors import ConfigError
from experiments.models.conv4 import Conv4
from experiments.models.precision import training_forward
from experiments.registry import METHODS, methods_of
from experiments.rng import generator
from experiments.sweeps import Sweep, plan
from fsrun.testing import Laboratory, flat, same

CPU = torch.device("cpu")
METHODS_WITH_IT = [
    name
    for name in methods_of("glyphs")
    if isinstance(config := METHODS[name].config(), Accelerated) and config.inert("precision") is None
]  # MAML has it where its head alone adapts


def test_every_method_has_it_that_trains_without_adapting_weights_by_gradients_of_a_task() -> None:
    trained = {name for name in methods_of("glyphs") if METHODS[name].config().model_dump()["steps"]}
    adapting = {"maml", "meta-lstm", "coordinate-lstm"}
    assert set(METHODS_WITH_IT) == trained - adapting


def test_by_default_training_calls_the_network_itself() -> None:
    network = Conv4(4, generator("weights"))
    assert training_forward(network, Accelerated(), CPU) is network


def test_convolutions_are_in_bfloat16_and_everything_around_them_in_float32() -> None:
    network = Conv4(16, generator("weights"))
    images = torch.rand(30, 1, 28, 28, generator=generator("images"))
    exact = network(images)
    rounded = training_forward(network, Accelerated(precision="bf16"), CPU)(images)
    rounded.sum().backward()
    assert rounded.dtype == torch.float32
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert {weight.grad.dtype for weight in network.parameters() if weight.grad is not None} == {
        torch.float32
    }
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.1, rtol=0.1)  # 8 bits of mantissa


def test_a_compiled_network_is_refused_where_it_would_be_slower() -> None:
    with pytest.raises(ConfigError, match="compile=true is for a CUDA GPU and this is cpu: leave it out"):
        training_forward(Conv4(4, generator("weights")), Accelerated(compile=True), CPU)


@pytest.fixture(scope="module")
def laboratory(glyphs_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(glyphs_data_dir, tmp_path_factory.mktemp("precision"))


@pytest.mark.parametrize("name", METHODS_WITH_IT)
def test_methods_train_in_bfloat16_and_are_tested_in_float32(laboratory: Laboratory, name: str) -> None:
    exact, rounded = (
        laboratory.method(name, options={"method.precision": precision}) for precision in ("float32", "bf16")
    )
    assert same(exact.evaluate("test", range(6)), rounded.evaluate("test", range(6)))  # the same untrained
    losses = [method.train(0, 3)["train/loss"] for method in (exact, rounded)]
    assert not torch.equal(*losses)
    torch.testing.assert_close(*losses, atol=0.1, rtol=0.1)
    assert not same(flat(exact.state_dict()), flat(rounded.state_dict()))


def test_one_switch_is_for_a_training_and_the_pre_training_before_it() -> None:
    settings: dict[str, list[Any]] = {"precision": ["float32", "bf16"]}
    slow, fast = (each.config for each in plan(Sweep("omniglot", ("fastslow",), "paper", settings=settings)))
    usual, switched = ([stage.method for stage in prerequisites(config)] for config in (slow, fast))
    assert isinstance(switched[0], Accelerated)
    assert switched[0].precision == "bf16"
    assert switched[0].model_copy(update={"precision": "float32"}) == usual[0]


@pytest.mark.parametrize("name", METHODS_WITH_IT)
def test_training_in_bfloat16_twice_gives_the_same_numbers(laboratory: Laboratory, name: str) -> None:
    one, other = (laboratory.method(name, options={"method.precision": "bf16"}) for _ in range(2))
    assert same(one.train(0, 3), other.train(0, 3))
    assert same(flat(one.state_dict()), flat(other.state_dict()))


@pytest.mark.parametrize("name", METHODS_WITH_IT)
def test_runs_stored_before_there_was_the_option_are_found_by_the_same_name(name: str) -> None:
    def named(settings: dict[str, list[Any]]) -> str:
        return config_hash(plan(Sweep("glyphs", (name,), "paper", settings=settings))[0].config)

    assert named({"method.precision": ["float32"], "method.compile": [False]}) == named({})
    assert named({"method.precision": ["bf16"]}) != named({})
