"""The CNN baseline: fitting a classifier by hand, and fine-tuning against torch's own optimiser."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from experiments.config import CnnConfig, GlyphsData, ImageRun
from experiments.data.images import ImageTable, split_classes
from experiments.methods.cnn import Cnn, fine_tuned_logits, fitted_logits
from experiments.models.conv4 import Conv4
from experiments.rng import generator

CPU = torch.device("cpu")


def normal(*shape: int, key: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(key))


def test_first_step_of_a_new_classifier_compares_with_the_mean_of_each_class() -> None:
    """From zero: logits = rate / images * sum_i (onehot_i - 1/n_way) (<x_i, q> + 1)."""
    support, query, labels = normal(2, 4, 6), normal(2, 3, 6, key="q"), torch.tensor([0, 0, 1, 1])
    error = nn.functional.one_hot(labels, 2) - 0.5
    expected = 0.3 / 4 * (query @ support.mT + 1) @ error
    torch.testing.assert_close(fitted_logits(support, labels, query, steps=1, lr=0.3), expected)


def test_fitting_for_long_separates_the_support() -> None:
    support, labels = normal(3, 4, 8), torch.arange(4)
    fitted = fitted_logits(support, labels, support, steps=200, lr=0.5)
    assert bool((fitted.argmax(-1) == labels).all())


def test_fine_tuning_is_gradient_descent_on_all_layers_and_leaves_the_backbone_alone() -> None:
    backbone = Conv4(4, generator("weights")).eval()
    backbone(normal(8, 1, 28, 28, key="before"))
    support, query, labels = normal(3, 1, 28, 28), normal(5, 1, 28, 28, key="q"), torch.arange(3)
    before = deepcopy(backbone.state_dict())

    copy, head = deepcopy(backbone), torch.zeros(3, 4, requires_grad=True)
    optimizer = torch.optim.SGD([*copy.parameters(), head], lr=0.2)
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(linear(copy(support), head), labels).backward()
        optimizer.step()
    expected = linear(copy(query), head).detach()

    actual = fine_tuned_logits(backbone, support, labels, query, steps=3, lr=0.2)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    head_only = fitted_logits(backbone(support)[None], labels, backbone(query)[None], steps=3, lr=0.2)[0]
    assert not torch.allclose(actual, head_only, rtol=1e-3)


def test_decay_pulls_at_the_classifier_and_at_nothing_else() -> None:
    images = torch.randint(256, (3, 6, 28, 28), generator=generator("images")).to(torch.uint8)
    table = ImageTable(images, {"train": split_classes(range(3), rotations=False)})
    method = CnnConfig(filters=4, lr=0.01, batch_size=6)
    run = ImageRun(experiment="glyphs", data=GlyphsData(), method=method)
    plain, decayed = (Cnn(run, table, CPU, head_decay=decay) for decay in (0.0, 100.0))
    for learner in (plain, decayed):
        learner.train(0, 20)
    length, shrunk = (each.head.weight.detach().norm() for each in (plain, decayed))
    assert float(shrunk) < 0.6 * float(length)
    groups = decayed.optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0, 100.0]
    assert [id(parameter) for parameter in groups[1]["params"]] == [id(decayed.head.weight)]
