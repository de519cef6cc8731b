"""Matching networks: the attention by hand, and what full context may and may not see."""

import math

import pytest
import torch
from torch import Tensor

from experiments.errors import ConfigError
from experiments.methods.matching import label_log_probabilities
from experiments.models.full_context import FullContext
from experiments.rng import generator
from experiments.sweeps import Sweep, plan


def normal(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(key))


def test_attention_sums_the_weights_of_each_label() -> None:
    support, query, labels = normal(1, 3, 4), normal(1, 2, 4, key="q"), torch.tensor([1, 0, 1])
    cosines = torch.cosine_similarity(query[0, :, None], support[0, None], dim=-1)  # (2, 3)
    weights = (7 * cosines).exp()
    expected = torch.stack((weights[:, 1], weights[:, 0] + weights[:, 2]), dim=1) / weights.sum(
        1, keepdim=True
    )
    torch.testing.assert_close(label_log_probabilities(support, labels, query, 7.0)[0], expected.log())


def test_plain_cosines_of_twenty_classes_can_be_no_surer_than_28_percent() -> None:
    """With scale 1 the best case is e / (e + 19 / e), the query at one image and opposite to all others."""
    support = -torch.ones(1, 20, 1)
    support[0, 3] = 1
    best = label_log_probabilities(support, torch.arange(20), torch.ones(1, 1, 1), 1.0).exp()[0, 0, 3]
    assert float(best) == pytest.approx(math.e / (math.e + 19 / math.e)) == pytest.approx(0.28, abs=1e-3)


def test_a_label_far_from_the_query_has_a_gradient_that_is_a_number() -> None:
    support = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]], requires_grad=True)
    answer = label_log_probabilities(support, torch.arange(2), torch.tensor([[[1.0, 0.1]]]), 1000.0)
    (gradient,) = torch.autograd.grad(answer[0, 0, 1], support)
    assert bool(answer.isfinite().all())
    assert bool(gradient.isfinite().all())


def silent(context: FullContext) -> FullContext:
    for parameter in context.parameters():
        torch.nn.init.zeros_(parameter)
    return context


def test_context_of_silent_lstms_leaves_features_as_they_are() -> None:
    support, query = normal(2, 6, 4), normal(2, 3, 4, key="q")
    embedded, attended = silent(FullContext(4, 5, generator("w")))(support, query)
    assert torch.equal(embedded, support)
    assert torch.equal(attended, query)


def test_each_support_image_sees_all_others_and_their_order() -> None:
    context = FullContext(4, 2, generator("w"))
    support, query = normal(1, 5, 4).requires_grad_(), normal(1, 1, 4, key="q")
    embedded, _ = context(support, query)
    for image in range(5):
        (gradient,) = torch.autograd.grad(embedded[0, image].sum(), support, retain_graph=True)
        assert bool((gradient[0].abs().sum(1) > 0).all())
    reversed_, _ = context(support.flip(1), query)
    assert not torch.allclose(reversed_.flip(1), embedded)


def test_queries_read_the_support_from_the_second_step_on_and_never_each_other() -> None:
    support, query = normal(2, 5, 4), normal(2, 3, 4, key="q")
    once, twice = (FullContext(4, steps, generator("w")) for steps in (1, 2))
    other = normal(2, 5, 4, key="other")
    assert torch.equal(once(support, query)[1], once(other, query)[1])
    assert not torch.allclose(twice(support, query)[1], twice(other, query)[1])
    together = twice(support, query)[1]
    alone = torch.cat([twice(support, query[:, [each]])[1] for each in range(3)], dim=1)
    torch.testing.assert_close(together, alone)


def test_new_names_for_the_classes_only_rename_the_answers() -> None:
    context = FullContext(4, 3, generator("w"))
    support, query = context(normal(1, 6, 4), normal(1, 2, 4, key="q"))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    renamed = torch.tensor([2, 0, 1])
    before = label_log_probabilities(support, labels, query, 10.0)
    after = label_log_probabilities(support, renamed[labels], query, 10.0)
    torch.testing.assert_close(after[..., renamed], before)


def test_steps_of_full_context_without_it_are_refused() -> None:
    with pytest.raises(ConfigError, match="fce_steps=3 changes nothing while fce=false"):
        plan(Sweep("glyphs", ("matching",), "paper", settings={"fce_steps": [3]}))
