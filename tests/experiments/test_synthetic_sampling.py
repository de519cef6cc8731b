"""Both samplers agree in distribution, and so do Gram matrices drawn lazily, with draws enough to tell."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from experiments.config import GaussianData, LinearFastSlowConfig, SyntheticRun, TaskEvaluation
from experiments.linear.covariance import covariances
from experiments.linear.direct import DirectRecursion
from experiments.linear.fast import FastRecursion
from experiments.linear.tasks import Gram, LazyGram, WholeGram, chi_numbers
from experiments.linear.theory import expected_loss_ratio
from experiments.linear.trainer import LinearFastSlow

Array = NDArray[np.float64]
SEEDS, TASKS = 120, 60
BY_CHANCE = 5.0  # standard errors no difference among some dozens may reach

CASES: dict[str, dict[str, Any]] = {
    "k-over-d": {"batch_size": 6},
    "k-of-1": {"batch_size": 1},
    "k-under-d": {"batch_size": 2},
    "same": {"batch_size": 4, "slow_batch": "same"},
    "through": {"batch_size": 4, "slow_gradient": "through"},
    "three-steps": {"batch_size": 4, "inner_steps": 3},
    "three-steps-same-through": {
        "batch_size": 2,
        "inner_steps": 3,
        "slow_batch": "same",
        "slow_gradient": "through",
    },
    "tasks-uneven": {"batch_size": 4, "task_condition_number": 8.0},
    "mixture-single": {"batch_size": 4, "components": 2},
    "mixture-known": {
        "batch_size": 4,
        "components": 2,
        "slow_modules": "known",
        "task_condition_number": 8.0,
    },
}


def config(seeds: int = SEEDS, **options: Any) -> SyntheticRun:
    data = {name: options.pop(name) for name in list(options) if name in GaussianData.model_fields}
    return SyntheticRun(
        seeds=seeds,
        data=GaussianData(**{"dimension": 3, "condition_number": 5, "noise": 0.5} | data),
        method=LinearFastSlowConfig(**{"fast_lr": 0.3, "slow_lr": 1.0} | options),
    )


def features(learning: FastRecursion | DirectRecursion, scale: Array | None = None) -> tuple[Array, Array]:
    """Return what tasks did to the same W_s, (seeds * TASKS, features), and the scale they are told in.

    L1, L0, the update and Y X^T, all squeezed so that a few wild tasks do not hide the others; their products
    in pairs are features too, so that covariances count.
    """
    rows = []
    for task in range(TASKS):
        same_start(learning)
        before = learning.weights()
        progress = learning.advance(task, 1)
        change = (learning.weights() - before).reshape(len(before), -1)[:, :9]
        rows.append(np.column_stack((progress.after, progress.before, change, progress.y_x[:, 0])))
    found = np.concatenate(rows)
    scale = np.abs(found).mean(0) if scale is None else scale
    squeezed = np.arcsinh(found / scale)
    products = (squeezed[:, :, None] * squeezed[:, None, :])[:, *np.triu_indices(squeezed.shape[1])]
    return np.column_stack((squeezed, products)), scale


def same_start(learning: FastRecursion | DirectRecursion) -> None:
    """Give every seed the same W_s."""
    state = learning.state_dict()
    first = torch.tensor([[1.0, 0.3, -0.2], [0.1, 0.8, 0.4], [-0.3, 0.2, 1.2]], dtype=torch.float64)
    if isinstance(learning, FastRecursion):
        first = first @ torch.from_numpy(learning.bases)  # (modules, 3, 3), the basis it learns in
    state["w_s"] = first.expand_as(state["w_s"]).clone()
    learning.load_state_dict(state)


def difference(one: Array, other: Array) -> float:
    """Return the largest difference of means among the features, in standard errors."""
    error = np.sqrt(one.var(0) / len(one) + other.var(0) / len(other))
    return float(np.max(np.abs(one.mean(0) - other.mean(0)) / np.where(error > 0, error, 1)))


def compared(fast: SyntheticRun, direct: SyntheticRun) -> float:
    """Return how far the fast sampler of one config is from the direct one of another."""
    reference, scale = features(DirectRecursion(direct))
    return difference(features(FastRecursion(fast, threads=1), scale)[0], reference)


@pytest.mark.parametrize("name", CASES)
def test_fast_and_direct_sampler_agree_in_distribution(name: str) -> None:
    assert compared(config(**CASES[name]), config(**CASES[name])) < BY_CHANCE


WRONG: dict[str, Any] = {"batch_size": 5, "noise": 0.7, "fast_lr": 0.4, "slow_lr": 1.3, "condition_number": 8}


@pytest.mark.parametrize("name", WRONG)
def test_the_comparison_notices_a_wrong_factor(name: str) -> None:
    right = {"batch_size": 6}
    assert compared(config(**right | {name: WRONG[name]}), config(**right)) > BY_CHANCE


@pytest.mark.parametrize("k", [1, 2, 7])
def test_lazily_drawn_products_have_the_moments_of_a_wishart_matrix(k: int) -> None:
    n, size = 40_000, 3
    gram = LazyGram(np.random.default_rng(0), k)
    u, v = np.array([1.0, -2.0, 0.5]), np.array([0.3, 1.0, 1.0])
    first, second = (gram.times(np.broadcast_to(each, (n, size))) for each in (u, v))
    found = np.column_stack((first, second))
    mean = k * np.concatenate((u, v))
    np.testing.assert_allclose(found.mean(0), mean, atol=5 * found.std(0).max() / n**0.5)
    expected = k * np.block(
        [[(a @ b) * np.eye(size) + np.outer(b, a) for b in (u, v)] for a in (u, v)]
    )  # Cov(W a, W b) = k (a.b I + b a^T)
    np.testing.assert_allclose(np.cov(found.T), expected, atol=0.08 * np.abs(expected).max())
    np.testing.assert_allclose(first @ v, second @ u)  # one symmetric matrix behind both


@pytest.mark.parametrize("k", [1, 2, 7])
def test_lazily_drawn_energies_have_the_distribution_of_whole_ones(k: int) -> None:
    def energies(gram: Gram) -> Array:
        """Return u^T W u and v^T W v, sorted each, for a v that depends on what u drew."""
        u = np.broadcast_to([1.0, 0.5, -0.5], (20_000, 3))
        v = gram.times(u) / k + [0.0, 0.0, 1.0]
        w = gram.times(v)
        once, twice = np.einsum("ni,ni->n", u, gram.times(u)), np.einsum("ni,ni->n", v, w)
        return np.sort(np.column_stack((once, twice)), axis=0)

    lazy = energies(LazyGram(np.random.default_rng(0), k))
    whole = energies(WholeGram(np.random.default_rng(1), k, 20_000, 3))
    for place in range(2):
        grid = np.searchsorted(lazy[:, place], whole[:, place]) / len(lazy)
        distance = np.abs(grid - np.linspace(0, 1, len(grid))).max()
        assert distance < 1.95 / (len(lazy) / 2) ** 0.5  # Kolmogorov-Smirnov at 0.1 %


def test_no_more_directions_than_the_batch_has_examples() -> None:
    chi = chi_numbers(np.random.default_rng(0), 2, (1000,), 4)
    assert (chi[:, :2] > 0).all()
    assert (chi[:, 2:] == 0).all()
    assert (chi[:, 0] ** 2).mean() == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_fresh_tasks_measure_what_theory_expects_of_any_weights(k: int) -> None:
    data = GaussianData(dimension=3, batch_size=k, noise=0.5, condition_number=5)
    asked = SyntheticRun(
        data=data, method=LinearFastSlowConfig(fast_lr=0.1), evaluation=TaskEvaluation(episodes=20_000)
    )
    learning = LinearFastSlow(asked)
    w_s = learning.recursion.weights()[0, 0]
    ratio = learning.evaluate("test", range(20_000))["loss_ratio"]
    expected = expected_loss_ratio(w_s.T @ w_s, covariances(data)[0], np.eye(3), 0.5, k, 0.1)
    assert float(ratio.mean()) == pytest.approx(float(expected), abs=5 * float(ratio.std()) / 20_000**0.5)


def test_evaluation_tasks_are_addressed_by_number() -> None:
    learning = LinearFastSlow(SyntheticRun())
    whole: dict[str, torch.Tensor] = learning.evaluate("test", range(600))
    part = learning.evaluate("test", range(250, 520))
    for name in ("loss_ratio", "gradient_cosine", "one_step_error"):
        torch.testing.assert_close(part[name], whole[name][250:520], rtol=0, atol=0)
    assert not torch.equal(learning.evaluate("val", range(9))["loss_ratio"], whole["loss_ratio"][:9])


def test_samples_cover_every_component() -> None:
    blocks = [
        FastRecursion(config(seeds=1, components=3), threads=1)._draws(0, block)[0] for block in range(3)
    ]
    counts = np.bincount(np.concatenate(blocks), minlength=3)
    assert counts.min() > 0.25 * counts.sum()
