"""Each method's parts against numbers known in advance."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.checkpoint import load_checkpoint, save_checkpoint
from experiments.config import ImageRun, OmniglotData, PixelKnnConfig
from experiments.config.training import scheduled
from experiments.errors import CheckpointError
from experiments.evaluate import episode_accuracy, measure
from experiments.learners.coordinate_lstm import CoordinateLstm, preprocess
from experiments.learners.sgd import SgdLearner
from experiments.method import Resources, build
from experiments.methods.pixel_knn import nearest_logits
from experiments.methods.protonet import prototype_logits
from experiments.models.conv4 import Conv4
from experiments.models.linear_head import head_gradient
from experiments.rng import generator


def normal(*shape: int, key: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=generator(key))


def test_prototype_logits_are_squared_distances_to_class_means() -> None:
    support, query = normal(2, 3, 4, 5), normal(2, 3, 6, 5, key="q")
    logits = prototype_logits(support, query)
    distances = (query[:, :, :, None] - support.mean(2)[:, None, None]).square().sum(-1)
    torch.testing.assert_close(logits.softmax(-1), (-distances).softmax(-1))


def test_nearest_image_of_a_class_decides_in_pixel_space() -> None:
    support = torch.tensor([[[0.0], [10.0], [4.0], [5.0]]])  # classes {0, 10} and {4, 5}
    logits = nearest_logits(support, torch.tensor([0, 0, 1, 1]), torch.tensor([[[9.0], [3.0]]]))
    assert logits.tolist() == [[[-1.0, -16.0], [-9.0, -1.0]]]
    assert episode_accuracy(logits[:, :, None]).tolist() == [1.0]


def test_head_gradient_in_closed_form_is_that_of_autograd() -> None:
    features, theta = normal(12, 5), normal(3, 5, key="theta").requires_grad_()
    labels = torch.arange(3).repeat_interleave(4)
    (expected,) = torch.autograd.grad(cross_entropy(features @ theta.mT, labels), theta)
    torch.testing.assert_close(head_gradient(features, labels, theta.detach()), expected)


def test_first_sgd_step_from_zero_classifies_by_the_nearest_class_mean_direction() -> None:
    """logits = (eta / N) sum_i (onehot_i - 1/N) <phi_i, phi(q)> for one support image a class."""
    support, query = normal(4, 6), normal(7, 6, key="q")
    update, _ = SgdLearner(0.5)(head_gradient(support, torch.arange(4), torch.zeros(4, 6)))
    expected = 0.5 / 4 * (query @ (support - support.mean(0)).T)
    torch.testing.assert_close(query @ update.T, expected)


def test_preprocessing_shows_scale_and_sign_of_a_gradient() -> None:
    shown = preprocess(torch.tensor([1.0, -math.exp(-5), 0.0, math.exp(-12)]))
    expected = torch.tensor([[0.0, 1.0], [-0.5, -1.0], [-1.0, 0.0], [-1.0, math.exp(-2)]])
    torch.testing.assert_close(shown, expected)


def test_untrained_learned_optimiser_is_plain_sgd() -> None:
    g = CoordinateLstm(20, 2, 0.1, 3.0, generator("g"))
    gradient = normal(2, 5)
    update, state = g(gradient, None)
    torch.testing.assert_close(update, -3.0 * gradient)
    assert [tuple(hidden.shape) for hidden, _ in state] == [(10, 20), (10, 20)]


def test_learned_optimiser_treats_each_coordinate_alone() -> None:
    g = CoordinateLstm(8, 2, 0.1, 0.0, generator("g"))
    torch.nn.init.normal_(g.output.weight, generator=generator("output"))
    gradient = normal(6)
    together, state = g(gradient, None)
    together, _ = g(gradient, state)
    alone, state = g(gradient[2:3], None)
    alone, _ = g(gradient[2:3], state)
    torch.testing.assert_close(together[2:3], alone)
    assert together.abs().min() > 0


def test_conv4_turns_28_pixels_into_as_many_features_as_filters() -> None:
    backbone = Conv4(16, generator("weights"))
    assert backbone(normal(3, 1, 28, 28)).shape == (3, 16)
    assert sum(p.numel() for p in Conv4(64, generator("weights")).parameters()) == 111_936


def test_one_cycle_rises_to_the_peak_and_ends_near_zero() -> None:
    rates = [scheduled("one-cycle", 0.4, step, 100) for step in range(100)]
    assert max(rates) == rates[24] == pytest.approx(0.4)
    assert rates[0] == pytest.approx(0.016)
    assert rates[-1] < 0.001


def test_a_cosine_falls_from_the_peak_through_its_half_to_near_zero() -> None:
    rates = [scheduled("cosine", 0.4, step, 100) for step in range(100)]
    assert rates == sorted(rates, reverse=True)
    assert [rates[0], rates[50]] == pytest.approx([0.4, 0.2])
    assert 0 < rates[-1] < 0.001


def test_interval_is_that_of_the_mean_over_episodes() -> None:
    measured = measure("test/accuracy", torch.tensor([0.0, 1.0, 1.0, 0.0]))
    assert measured.value == 0.5
    assert measured.interval == pytest.approx(1.96 * math.sqrt(1 / 3) / 2)


def test_checkpoint_gives_back_exactly_what_was_saved(tmp_path: Path) -> None:
    weight, optimizer = normal(2, 3), {"state": {0: {"step": torch.tensor(3.0)}}, "lr": [0.1]}
    state = {"a": {"weight": weight}, "optimizer": optimizer}
    save_checkpoint(tmp_path / "x.safetensors", 7, state)
    step, loaded = load_checkpoint(tmp_path / "x.safetensors")
    assert step == 7
    assert torch.equal(loaded["a"]["weight"], weight)
    assert loaded["optimizer"] == optimizer
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_damaged_checkpoint_is_refused_with_its_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, 7, {"weight": normal(50)})
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "cut" else b"")
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        load_checkpoint(path)


def test_pixel_neighbour_on_real_omniglot_is_within_the_published_band(omniglot_data_dir: Path) -> None:
    """26 to 28 % says that split, resizing and inversion are right (published: 26.7)."""
    config = ImageRun(experiment="omniglot", data=OmniglotData(), method=PixelKnnConfig())
    method = build(config, Resources(omniglot_data_dir, torch.device("cpu")))
    accuracy = method.evaluate("test", range(1000))["accuracy"].mean()
    assert 0.26 < float(accuracy) < 0.28
