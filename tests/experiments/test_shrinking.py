"""Feature shrinking: the penalties against autograd, and examples made up by analogy."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.config import ShrinkingConfig, parse_config
from experiments.errors import ConfigError
from experiments.methods.shrinking import (
    Hallucinator,
    batch_gradient_magnitude,
    half_squared_length,
    squared_gradient_magnitude,
)
from experiments.models.analogies import draw_analogies
from experiments.rng import generator


def normal(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(key))


def classifier_gradient(features: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(cross_entropy(features @ weight.T, classes), weight)
    return gradient


def test_penalty_is_the_squared_gradient_of_each_example_by_autograd() -> None:
    features, classes = normal(6, 4), torch.tensor([0, 1, 2, 2, 1, 0])
    weight = normal(3, 4, key="w").requires_grad_()
    logits = features @ weight.T
    each = [classifier_gradient(features[[i]], weight, classes[[i]]).square().sum() for i in range(6)]
    torch.testing.assert_close(
        squared_gradient_magnitude(features, logits, classes), torch.stack(each).mean()
    )
    whole = classifier_gradient(features, weight, classes).square().sum()
    torch.testing.assert_close(batch_gradient_magnitude(features, logits, classes), whole)
    assert float(half_squared_length(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), logits, classes)) == 6.5


def test_penalty_moves_features_and_classifier() -> None:
    features, weight = normal(6, 4).requires_grad_(), normal(3, 4, key="w").requires_grad_()
    penalty = squared_gradient_magnitude(features, features @ weight.T, torch.arange(6) % 3)
    for gradient in torch.autograd.grad(penalty, (features, weight)):
        assert float(gradient.abs().max()) > 0


def test_an_analogy_takes_the_pair_that_changes_in_the_same_direction() -> None:
    changes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    base = torch.stack((changes, changes.flip(0) + 10))  # two classes that hold the same three changes
    found = draw_analogies(base, 100, generator("analogies"))
    for wanted, made in zip(found.a2 - found.a1, found.b2 - found.b1, strict=True):
        assert torch.equal(wanted, made)
    own = base[found.classes]  # (100, drawers, 2)
    for a, b in ((found.a1, found.b1), (found.a2, found.b2)):
        assert bool((a[:, None] == own).all(-1).any(1).all())
        assert not bool((b[:, None] == own).all(-1).any(1).any())


METHOD = ShrinkingConfig(steps=40, generator_steps=30, hallucinate=4, filters=3)


def test_each_class_is_filled_up_to_as_many_examples_as_asked_for_from_its_own_images() -> None:
    hallucinator = Hallucinator(METHOD, METHOD.filters, 0, torch.device("cpu"))
    support, labels = normal(2, 7, 3).abs(), torch.tensor([0, 1, 1, 2, 2, 2, 2])
    filled, their_labels = hallucinator.fill_up(support, labels, normal(5, 6, 3, key="base").abs())
    assert filled.shape == (2, 12, 3)
    assert their_labels.bincount().tolist() == [4, 4, 4]
    assert torch.equal(filled[:, :7], support)
    changed = support.clone()
    changed[:, 0] = 0  # the only example of class 0
    again, _ = hallucinator.fill_up(changed, labels, normal(5, 6, 3, key="base").abs())
    different = (again != filled).any(-1).any(0)
    assert set(their_labels[different].tolist()) == {0}


def test_generator_learns_the_analogies_of_fixed_features() -> None:
    hallucinator = Hallucinator(METHOD, METHOD.filters, 0, torch.device("cpu"))
    base = (normal(6, 1, 3) + 0.5 * normal(1, 5, 3, key="styles")).abs()
    head = nn.Linear(3, 6)
    before = [parameter.detach().clone() for parameter in head.parameters()]
    losses = [float(hallucinator.step(step, base, head)["train/loss"]) for step in range(10, 40)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    for parameter, old in zip(head.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hallucinate": 5}, "generator_steps=2000"),
        ({"generator_steps": 100}, "hallucinate=5"),
        ({"hallucinate": 5, "generator_steps": 6500}, "raise steps"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, int], words: str) -> None:
    raw = {"experiment": "glyphs", "data": {"kind": "glyphs"}, "method": {"name": "shrinking"} | options}
    with pytest.raises(ConfigError, match=words):
        parse_config(raw)
