"""The learned optimiser on all layers: what an untrained one does, what its own training differentiates."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.config import ImageRun, parse_config
from experiments.datasets import open_table
from experiments.errors import ConfigError
from experiments.methods.coordinate_lstm import LearnedOptimiser, States, groups
from experiments.models.task_conv4 import Weights, for_each_task, task_logits, task_losses
from experiments.rng import generator

N_WAY = 3
LABELS = torch.arange(N_WAY)


def small(data_dir: Path, **options: object) -> LearnedOptimiser:
    method = {"name": "coordinate-lstm", "filters": 4, "hidden_size": 5, "inner_steps": 4} | options
    config = parse_config(
        {
            "experiment": "glyphs",
            "data": {"kind": "glyphs", "alphabets": 10, "characters": 12},
            "method": method,
            "evaluation": {"n_way": N_WAY},
        }
    )
    assert isinstance(config, ImageRun)
    return LearnedOptimiser(config, open_table(config.data, data_dir), torch.device("cpu"))


def images(count: int, key: str) -> Tensor:
    return torch.rand(1, count, 1, 28, 28, generator=generator(key))


def loss_at(weights: Weights, support: Tensor) -> Tensor:
    return task_losses(task_logits(weights, support, support.shape[1], "pool"), LABELS).sum()


def test_an_untrained_optimiser_takes_plain_gradient_steps_in_all_layers(glyphs_data_dir: Path) -> None:
    method = small(glyphs_data_dir, skip_lr=0.4)
    support = images(N_WAY, "support")
    start = for_each_task({name: weight.detach() for name, weight in method.start.items()}, 1)
    moved, _ = method.inner_step(start, [None], support, LABELS)
    leaves = {name: weight.clone().requires_grad_() for name, weight in start.items()}
    gradients = torch.autograd.grad(loss_at(leaves, support), list(leaves.values()))
    assert len(gradients) == 14
    for (name, weight), gradient in zip(start.items(), gradients, strict=True):
        torch.testing.assert_close(moved[name], weight - 0.4 * gradient)


def test_a_learned_start_is_judged_at_the_weights_it_led_to_without_second_derivatives(
    glyphs_data_dir: Path,
) -> None:
    """theta_T = theta_0 + updates made from constant gradients: dL(theta_T)/d theta_0 = dL/d theta_T."""
    method = small(glyphs_data_dir, start="learned", skip_lr=0.4)
    support, other = images(N_WAY, "support"), images(N_WAY, "other")
    weights: Weights = for_each_task(dict(method.start), 1)
    states: States = [None]
    for _ in range(2):
        weights, states = method.inner_step(weights, states, support, LABELS)
    (through,) = torch.autograd.grad(loss_at(weights, other), method.start["conv1"], retain_graph=True)
    (at_the_end,) = torch.autograd.grad(loss_at(weights, other), weights["conv1"])
    torch.testing.assert_close(through, at_the_end[0])


def test_phi_learns_from_the_queries_and_a_random_start_does_not(glyphs_data_dir: Path) -> None:
    method = small(glyphs_data_dir, lr=0.01)
    start = {name: weight.clone() for name, weight in method.start.items()}
    phi = [parameter.clone() for parameter in method.learners.parameters()]
    method.train(0, 2)
    assert all(torch.equal(start[name], weight) for name, weight in method.start.items())
    assert not any(
        torch.equal(before, now) for before, now in zip(phi, method.learners.parameters(), strict=True)
    )


@pytest.mark.parametrize(("unroll", "updates"), [(None, 1), (4, 1), (2, 2), (3, 2)])
def test_phi_takes_a_step_at_the_end_of_each_unrolled_piece(
    glyphs_data_dir: Path, unroll: int | None, updates: int
) -> None:
    method = small(glyphs_data_dir, unroll=unroll)
    method.train(0, 1)
    steps = {int(state["step"]) for state in method.optimizer.state.values()}
    assert steps == {updates}


def test_head_and_convolutions_can_have_learners_of_their_own(glyphs_data_dir: Path) -> None:
    method = small(glyphs_data_dir, separate=True, skip_lr=0.1)
    assert [len(names) for names in method.groups] == [12, 2]
    assert groups(["conv0", "head", "bias"], separate=False) == [["conv0", "head", "bias"]]
    with torch.no_grad():
        method.learners[1].output.bias.fill_(10.0)  # type: ignore[union-attr,operator]
    start = for_each_task(dict(method.start), 1)
    together, _ = small(glyphs_data_dir, skip_lr=0.1).inner_step(start, [None], images(N_WAY, "s"), LABELS)
    apart, _ = method.inner_step(start, [None, None], images(N_WAY, "s"), LABELS)
    torch.testing.assert_close(apart["conv2"], together["conv2"])
    torch.testing.assert_close(apart["head"], together["head"] + 1)  # 0.1 * 10


def test_unrolled_pieces_that_nothing_judges_are_refused(glyphs_data_dir: Path) -> None:
    with pytest.raises(ConfigError, match="use every-step with unroll"):
        small(glyphs_data_dir, unroll=2, judged="last-step")
