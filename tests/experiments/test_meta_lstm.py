"""Meta-LSTM: the cell by hand, and the gradient that reaches where the weights start."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.config import parse_config
from experiments.learners.coordinate_lstm import preprocess
from experiments.learners.meta_lstm import MetaLstmCell
from experiments.method import Resources, build
from experiments.methods.meta_lstm import MetaLstm
from experiments.models.task_conv4 import query_logits, task_losses
from experiments.rng import generator

N_WAY = 3


def normal(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(key))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def descending(cell: MetaLstmCell, rate: float) -> MetaLstmCell:
    """Set the gates to f = 1 and i = rate, whatever the cell sees."""
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(cell.forget.bias, 100.0)
    torch.nn.init.constant_(cell.take.bias, math.log(rate / (1 - rate)))
    return cell


def test_an_untrained_cell_is_nearly_gradient_descent_at_rate_one_hundredth() -> None:
    weights, gradient = normal(2, 5), normal(2, 5, key="g")
    following, state = MetaLstmCell(20, generator("cell"))(weights, gradient, torch.tensor([1.0, 2.0]), None)
    forget, take = state.forget.sigmoid().view(2, 5), state.take.sigmoid().view(2, 5)
    torch.testing.assert_close(following, forget * weights - take * gradient)
    assert 0.98 < float(forget.detach().min()) <= float(forget.detach().max()) < 0.995
    assert 0.005 < float(take.detach().min()) <= float(take.detach().max()) < 0.02


def test_open_forget_gate_and_fixed_input_gate_are_plain_gradient_descent() -> None:
    cell, weights, state = descending(MetaLstmCell(4, generator("cell")), 0.3), normal(1, 6), None
    for step in range(3):
        gradient = normal(1, 6, key=f"g{step}")
        following, state = cell(weights, gradient, torch.ones(1), state)
        torch.testing.assert_close(following, weights - 0.3 * gradient)
        weights = following


def test_two_steps_of_one_coordinate_worked_out_number_by_number() -> None:
    cell = MetaLstmCell(1, generator("cell"))
    for name, parameter in cell.named_parameters():
        torch.nn.init.normal_(parameter, generator=generator(name))
    p = {name: parameter.detach().double().flatten().tolist() for name, parameter in cell.named_parameters()}
    weight, hidden, memory, forget, take = 0.5, 0.0, 0.0, 0.0, 0.0
    actual, state = torch.tensor([[0.5]]), None
    for loss, gradient in ((2.0, -0.3), (1.5, 0.2)):
        inputs = [*preprocess(torch.tensor(loss)).tolist(), *preprocess(torch.tensor(gradient)).tolist()]
        sums = [
            sum(w * x for w, x in zip(p["reader.weight_ih"][4 * gate : 4 * gate + 4], inputs, strict=True))
            + p["reader.weight_hh"][gate] * hidden
            + p["reader.bias_ih"][gate]
            + p["reader.bias_hh"][gate]
            for gate in range(4)
        ]
        memory = sigmoid(sums[1]) * memory + sigmoid(sums[0]) * math.tanh(sums[2])
        hidden = sigmoid(sums[3]) * math.tanh(memory)
        a, b, c = p["forget.weight"]
        forget = a * hidden + b * weight + c * forget + p["forget.bias"][0]
        a, b, c = p["take.weight"]
        take = a * hidden + b * weight + c * take + p["take.bias"][0]
        weight = sigmoid(forget) * weight - sigmoid(take) * gradient
        actual, state = cell(actual, torch.tensor([[gradient]]), torch.tensor([loss]), state)
        assert float(actual.detach()) == pytest.approx(weight, rel=1e-5)


def test_coordinates_and_tasks_share_the_cell_and_nothing_else() -> None:
    cell = MetaLstmCell(4, generator("cell"))
    weights, gradient, loss = normal(2, 3), normal(2, 3, key="g"), torch.tensor([0.5, 1.5])
    together, state = cell(weights, gradient, loss, None)
    together, _ = cell(together, gradient, loss, state)
    alone, state = cell(weights[1:, 2:], gradient[1:, 2:], loss[1:], None)
    alone, _ = cell(alone, gradient[1:, 2:], loss[1:], state)
    torch.testing.assert_close(together[1:, 2:], alone)


def learning(data_dir: Path, **options: Any) -> MetaLstm:
    method = {
        "name": "meta-lstm",
        "filters": 3,
        "hidden_size": 4,
        "inner_steps": 2,
        "train_n_query": 2,
    } | options
    data = {"kind": "glyphs", "alphabets": 10, "characters": 12}
    raw = {"experiment": "glyphs", "data": data, "method": method, "evaluation": {"n_way": N_WAY}}
    built = build(parse_config(raw), Resources(data_dir, torch.device("cpu")))
    assert isinstance(built, MetaLstm)
    return built


def test_gradient_reaches_the_start_along_the_cell_state_alone(glyphs_data_dir: Path) -> None:
    """With f = 1 and i fixed, theta_T = theta_0 - constants: both have the same gradient."""
    method = learning(glyphs_data_dir)
    descending(method.cell, 0.05)
    support, query = normal(1, N_WAY, 1, 28, 28), normal(1, N_WAY, 1, 28, 28, key="q")
    labels = torch.arange(N_WAY)
    loss = task_losses(method.answers(support, labels, query), labels).sum()
    (actual,) = torch.autograd.grad(loss, method.network["start"])

    weights = method.network["start"].detach()[None]
    for _ in range(2):
        weights = weights - 0.05 * method.gradient(weights, support, labels)[0]
    weights.requires_grad_()
    logits = query_logits(method.by_name(weights), support, query, "support", "pool")
    (expected,) = torch.autograd.grad(task_losses(logits, labels).sum(), weights)
    torch.testing.assert_close(actual, expected[0])


def test_training_moves_the_start_and_the_cell(glyphs_data_dir: Path) -> None:
    method = learning(glyphs_data_dir)
    before = [parameter.detach().clone() for parameter in method.learned]
    method.train(0, 1)
    assert all(not torch.equal(old, new) for old, new in zip(before, method.learned, strict=True))


@pytest.mark.parametrize("statistics", ["queries", "support"])
def test_queries_help_each_other_only_where_their_statistics_are_used(
    glyphs_data_dir: Path, statistics: str
) -> None:
    method = learning(glyphs_data_dir, batch_norm=statistics)
    support, query, labels = normal(1, N_WAY, 784), normal(1, 4, 784, key="q"), torch.arange(N_WAY)
    together = method.logits(support, labels, query)
    alone = torch.cat([method.logits(support, labels, query[:, [each]]) for each in range(4)], dim=1)
    assert torch.allclose(alone, together, atol=1e-6) is (statistics == "support")
