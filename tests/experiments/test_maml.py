"""MAML: its gradients against finite differences and torch.func, its statistics and its rates."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, cross_entropy, linear, max_pool2d, relu

from experiments.config import parse_config
from experiments.errors import ConfigError
from experiments.method import Resources, build
from experiments.methods.maml import Maml, MamlHead, adapted_heads, head_spread, step_shares
from experiments.models.task_conv4 import (
    NORMALISATION,
    Weights,
    feature_count,
    for_each_task,
    initial_weights,
    task_logits,
    task_losses,
)
from experiments.rng import generator

N_WAY = 3


def normal(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(key), dtype=torch.float64)


def raw(**options: Any) -> dict[str, Any]:
    method = {"name": "maml", "filters": 3, "inner_steps": 2, "episodes_per_step": 2} | options
    data = {"kind": "glyphs", "alphabets": 10, "characters": 12}
    return {"experiment": "glyphs", "data": data, "method": method, "evaluation": {"n_way": N_WAY}}


@pytest.fixture
def maml(glyphs_data_dir: Path) -> Any:
    def make(**options: Any) -> Maml:
        method = build(parse_config(raw(**options)), Resources(glyphs_data_dir, torch.device("cpu")))
        assert isinstance(method, Maml)
        for parameters in (method.start, method.rates):
            parameters.double()
        return method

    return make


def one_network(weights: Weights, images: Tensor, down: str) -> Tensor:
    """Return what one task's network answers, written the plain way."""
    for block in range(4):
        images = conv2d(images, weights[f"conv{block}"], padding=1, stride=2 if down == "stride" else 1)
        scale, shift = weights[f"scale{block}"], weights[f"shift{block}"]
        images = relu(batch_norm(images, None, None, scale, shift, training=True))
        images = images if down == "stride" else max_pool2d(images, 2)
    return linear(images.mean((2, 3)), weights["head"], weights["bias"])


@pytest.mark.parametrize("down", ["stride", "pool"])
def test_tasks_side_by_side_answer_as_each_network_alone(down: Any) -> None:
    each = [initial_weights(3, N_WAY, 1.0, generator("weights", task)) for task in range(2)]
    together = {name: torch.stack([weights[name] for weights in each]) for name in each[0]}
    images = normal(2, 5, 1, 28, 28).float()
    logits = task_logits(together, images, 5, down)
    for task in range(2):
        torch.testing.assert_close(logits[task], one_network(each[task], images[task], down))


def test_a_first_network_of_photographs_does_not_know_the_answer_yet() -> None:
    image = (3, 84, 84)
    assert feature_count(32, image, "pool") == 800
    weights = initial_weights(32, 5, head_spread(800, 5, "pool"), generator("weights"), image, "pool")
    images = normal(4, 5, *image).float()
    losses = task_losses(task_logits(for_each_task(weights, 4), images, 5, "pool"), torch.arange(5))
    assert losses.max() < 2 * math.log(5)  # with a spread of 1: 29 to 51


def test_statistics_of_some_images_normalise_all() -> None:
    weights = for_each_task(initial_weights(3, N_WAY, 1.0, generator("weights")), 1)
    images = normal(1, 6, 1, 28, 28).float()
    first = task_logits(weights, images, 4, "stride")[:, :4]
    torch.testing.assert_close(first, task_logits(weights, images[:, :4], 4, "stride"))


def outer_gradient(method: Maml, support: Tensor, query: Tensor) -> dict[str, Tensor]:
    first_order = method.config.first_order
    loss, _ = method.outer_loss(support, query, step_shares(0, 2, 0), first_order=first_order)
    return dict(zip(method.start, torch.autograd.grad(loss, list(method.start.values())), strict=True))


def test_outer_gradient_is_that_of_finite_differences(maml: Any) -> None:
    method = maml()
    support, query = normal(2, N_WAY, 1, 28, 28), normal(2, 2 * N_WAY, 1, 28, 28, key="q")
    shares, tiny = step_shares(0, 2, 0), 1e-6
    for name, gradient in outer_gradient(method, support, query).items():
        direction, weight = normal(*gradient.shape, key=name), method.start[name].data
        losses = []
        for sign in (1, -1):
            weight.add_(direction, alpha=sign * tiny)
            losses.append(float(method.outer_loss(support, query, shares, first_order=False)[0].detach()))
            weight.add_(direction, alpha=-sign * tiny)
        slope = (losses[0] - losses[1]) / (2 * tiny)
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-4, abs=1e-7), name


def test_outer_gradient_is_that_of_torch_func(maml: Any) -> None:
    method = maml()
    support, query = normal(2, N_WAY, 1, 28, 28), normal(2, N_WAY, 1, 28, 28, key="q")
    labels = torch.arange(N_WAY)
    fixed = {name: weight for name, weight in method.start.items() if name in NORMALISATION}

    def loss(weights: Weights, images: Tensor) -> Tensor:
        return cross_entropy(one_network(fixed | weights, images, "stride"), labels)

    def after_two_steps(start: Weights) -> Tensor:
        losses = []
        for task in range(2):
            weights = start
            for _ in range(2):
                gradients = torch.func.grad(loss)(weights, support[task])
                weights = {name: weight - 0.1 * gradients[name] for name, weight in weights.items()}
            losses.append(loss(weights, query[task]))
        return torch.stack(losses).mean()

    adapted = {name: weight.detach() for name, weight in method.start.items() if name not in NORMALISATION}
    expected = torch.func.grad(after_two_steps)(adapted)
    actual = outer_gradient(method, support, query)
    for name in adapted:
        torch.testing.assert_close(actual[name], expected[name])


def test_first_order_takes_the_query_gradient_at_the_adapted_weights(maml: Any) -> None:
    support, query = normal(1, N_WAY, 1, 28, 28), normal(1, N_WAY, 1, 28, 28, key="q")
    first, second = (outer_gradient(maml(first_order=order), support, query) for order in (True, False))
    assert not torch.allclose(first["head"], second["head"], rtol=1e-3)

    weights = {name: weight.detach().requires_grad_() for name, weight in maml().start.items()}
    names, labels = [name for name in weights if name not in NORMALISATION], torch.arange(N_WAY)
    for _ in range(2):
        loss = cross_entropy(one_network(weights, support[0], "stride"), labels)
        gradients = torch.autograd.grad(loss, [weights[name] for name in names])
        for name, gradient in zip(names, gradients, strict=True):
            weights[name] = (weights[name] - 0.1 * gradient).detach().requires_grad_()
    expected = torch.autograd.grad(
        cross_entropy(one_network(weights, query[0], "stride"), labels), weights["head"]
    )
    torch.testing.assert_close(first["head"], expected[0])


@pytest.mark.parametrize("statistics", ["queries", "support"])
def test_queries_help_each_other_only_where_their_statistics_are_used(maml: Any, statistics: str) -> None:
    method = maml(batch_norm=statistics)
    support, query = normal(1, N_WAY, 784), normal(1, 4, 784, key="q")
    labels = torch.arange(N_WAY)
    together = method.logits(support, labels, query)
    reordered = method.logits(support, labels, query.flip(1))
    torch.testing.assert_close(reordered.flip(1), together)
    alone = torch.cat([method.logits(support, labels, query[:, [each]]) for each in range(4)], dim=1)
    assert torch.allclose(alone, together) is (statistics == "support")


def test_loss_of_every_step_counts_alike_at_first_and_in_the_end_only_the_last() -> None:
    assert step_shares(0, 4, 100) == [0.25, 0.25, 0.25, 0.25]
    assert step_shares(50, 4, 100) == [0.125, 0.125, 0.125, 0.625]
    assert step_shares(100, 4, 100) == step_shares(900, 4, 100) == step_shares(0, 4, 0) == [0, 0, 0, 1]


def test_rates_are_learned_one_by_one_only_where_asked_for(glyphs_data_dir: Path) -> None:
    for learned in (False, True):
        method = build(
            parse_config(raw(learned_rates=learned)), Resources(glyphs_data_dir, torch.device("cpu"))
        )
        assert isinstance(method, Maml)
        method.train(0, 2)
        rates = torch.stack([rate.detach() for rate in method.rates.values()])  # (layers, inner steps)
        assert rates.shape == (6, 2)
        assert len(rates.unique()) == (12 if learned else 1)


def test_more_test_steps_than_learned_rates_are_refused() -> None:
    with pytest.raises(ConfigError, match="lower test_steps to 2"):
        parse_config(raw(learned_rates=True, test_steps=5))


def test_more_test_steps_fit_the_support_better(maml: Any) -> None:
    support, labels = normal(4, N_WAY, 784), torch.arange(N_WAY)
    losses = [
        float(
            nn.functional.cross_entropy(
                maml(test_steps=steps).logits(support, labels, support).mT, labels.expand(4, -1)
            )
        )
        for steps in (1, 20)
    ]
    assert losses[1] < 0.8 * losses[0]


def test_a_head_alone_goes_down_the_cross_entropy_of_its_support() -> None:
    support, labels = normal(2, 2 * N_WAY, 5), torch.arange(N_WAY).repeat_interleave(2)
    rates = torch.tensor([[0.3, 0.2], [0.1, 0.4]], dtype=torch.float64)
    *_, (head, bias) = adapted_heads(support, labels, rates, first_order=True)
    for task in range(2):
        expected: Any = nn.Linear(5, N_WAY).double()
        nn.init.zeros_(expected.weight)
        nn.init.zeros_(expected.bias)
        for of_head, of_bias in rates.T:
            loss = N_WAY * cross_entropy(expected(support[task]), labels)  # a rate is for each class
            gradients = torch.autograd.grad(loss, [expected.weight, expected.bias])
            with torch.no_grad():
                expected.weight -= of_head * gradients[0]
                expected.bias -= of_bias * gradients[1]
        torch.testing.assert_close(head[task], expected.weight.data)
        torch.testing.assert_close(bias[task, 0], expected.bias.data)


def test_a_head_that_starts_at_zeros_knows_no_order_of_classes(maml: Any, glyphs_data_dir: Path) -> None:
    support, query = normal(1, N_WAY, 1 * 28 * 28), normal(1, 4, 1 * 28 * 28, key="q")
    labels, order = torch.arange(N_WAY), torch.tensor([2, 0, 1])
    everywhere = maml(head_start="zeros")
    config = parse_config(raw(adapts="head"))
    head_only = build(config, Resources(glyphs_data_dir, torch.device("cpu")))
    assert isinstance(head_only, MamlHead)
    small = support[..., :3].float(), query[..., :3].float()
    for method, shown, asked in ((everywhere, support, query), (head_only, *small)):
        straight = method.logits(shown, labels, asked)
        turned = method.logits(shown[:, order], labels, asked)
        torch.testing.assert_close(turned, straight[..., order])


def test_one_model_of_the_head_alone_serves_any_number_of_classes(glyphs_data_dir: Path) -> None:
    config = parse_config(raw(adapts="head", train_n_way=4))
    method = build(config, Resources(glyphs_data_dir, torch.device("cpu")))
    assert isinstance(method, MamlHead)
    assert config.method.most_ways(5) is None
    assert method.logits(torch.randn(1, 7, 3), torch.arange(7), torch.randn(1, 2, 3)).shape == (1, 2, 7)


def test_training_begins_in_first_order_for_as_many_steps_as_asked(maml: Any) -> None:
    def gradient(step: int, **options: Any) -> Tensor:
        method = maml(**options)
        for parameters in (method.start, method.rates):
            parameters.float()
        (found,) = torch.autograd.grad(method.loss(step)[0], method.start["conv0"])
        assert isinstance(found, Tensor)
        return found

    for step, alike, other in ((1, True, False), (2, False, True)):
        annealed = gradient(step, first_order_steps=2)
        assert torch.equal(annealed, gradient(step, first_order=alike))
        assert not torch.equal(annealed, gradient(step, first_order=other))


def test_images_that_serve_many_tasks_leave_features_alone() -> None:
    with pytest.raises(ConfigError, match=r"train_images embeds a batch once .* use --set adapts=head"):
        parse_config(raw(train_images=3))
