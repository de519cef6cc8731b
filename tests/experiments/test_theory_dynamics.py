"""The expected way of S, its end for every variant, and the rates it bears, against simulation."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from experiments.linear.dynamics import (
    LARGEST,
    Expectation,
    expected_dynamics,
    expected_slow_gradient,
    rest_point,
)
from experiments.linear.stability import diverges, largest_stable_fast_lr, largest_stable_slow_lr
from experiments.linear.theory import fixed_point
from tests.experiments.theory_cases import ETA, NOISE, SIGMA, W_S, A, K, Matrix, draw, excess, slow_gradients

TURNED = SIGMA[::-1, ::-1].copy()
SINGLE = Expectation(SIGMA, A, NOISE, K, ETA)
VARIANTS = [(batch, gradient) for batch in ("fresh", "same") for gradient in ("held", "through")]


@pytest.mark.parametrize(("slow_batch", "slow_gradient"), VARIANTS)
def test_expected_slow_gradient_is_the_mean_of_autograds(
    slow_batch: Literal["fresh", "same"], slow_gradient: Literal["held", "through"]
) -> None:
    expectation = replace(SINGLE, slow_batch=slow_batch, slow_gradient=slow_gradient)
    samples = slow_gradients(W_S, draw(200_000), slow_batch=slow_batch, slow_gradient=slow_gradient)
    expected = expected_slow_gradient(W_S, expectation)
    assert excess(samples, expected) < 4.5
    assert excess(samples, 1.2 * expected) > 8


def test_expected_gradient_of_a_mixture_is_the_mean_over_components() -> None:
    samples = torch.cat(
        [
            slow_gradients(W_S, draw(100_000, sigma=sigma), slow_batch="fresh", slow_gradient="held")
            for sigma in (SIGMA, TURNED)
        ]
    )
    mixed = replace(SINGLE, sigma=np.stack([SIGMA, TURNED]))
    assert excess(samples, expected_slow_gradient(W_S, mixed)) < 4.5


def stepped(w_s: Matrix, expectation: Expectation, slow_lr: float, count: int) -> Matrix:
    for _ in range(count):
        w_s = w_s - slow_lr * expected_slow_gradient(w_s, expectation)
    return w_s.T @ w_s


@pytest.mark.parametrize("slow_lr", [0.001, 0.005, 0.1])
def test_strides_go_where_single_steps_go(slow_lr: float) -> None:
    s = expected_dynamics(W_S, SINGLE, slow_lr, [1, 500, 2000])
    for place, count in enumerate((1, 500, 2000)):
        np.testing.assert_allclose(s[place], stepped(W_S, SINGLE, slow_lr, count), rtol=2e-4, atol=2e-5)


def test_many_starts_go_together_as_each_goes_alone() -> None:
    starts = np.stack([W_S, 0.5 * W_S])
    together = expected_dynamics(starts, SINGLE, 0.01, [300])
    assert together.shape == (1, 2, 3, 3)
    for place, start in enumerate(starts):
        np.testing.assert_allclose(together[0, place], stepped(start, SINGLE, 0.01, 300), rtol=1e-3)


def test_the_papers_setting_has_arrived_after_100_000_tasks_and_condition_10_has_not() -> None:
    d = 10
    start = np.random.default_rng(0).standard_normal((d, d)) * 0.7 / d**0.5
    left = []
    for condition in (1.0, 10.0):
        eigenvalues = np.geomspace(condition, 1, d)
        sigma = np.diag(eigenvalues * d / eigenvalues.sum())
        (s,) = expected_dynamics(start, Expectation(sigma, np.eye(d), 0.1, 100, 0.2), 0.001, [100_000])
        rest = fixed_point(sigma, np.eye(d), 0.1, 100, 0.2)
        left.append(np.square(s - rest).sum() / np.square(rest).sum())
    assert left[0] < 1e-12
    assert left[1] > 0.1


def test_a_way_without_bound_is_no_number() -> None:
    s = expected_dynamics(W_S, SINGLE, 50.0, [0, 1000])
    np.testing.assert_allclose(s[0], W_S.T @ W_S)
    assert np.isnan(s[1]).all()


@pytest.mark.parametrize(("slow_batch", "slow_gradient"), VARIANTS)
@pytest.mark.parametrize("components", [1, 2])
def test_the_rest_point_of_every_variant_stays_and_attracts(
    slow_batch: Literal["fresh", "same"], slow_gradient: Literal["held", "through"], components: int
) -> None:
    sigma = np.stack([SIGMA, TURNED])[:components]
    expectation = Expectation(sigma, A, NOISE, K, ETA, slow_batch, slow_gradient)
    rest = rest_point(expectation)
    assert rest is not None
    np.testing.assert_allclose(expectation.step(rest, 1e-4), rest, atol=1e-11)
    start = np.linalg.cholesky(rest).T + 0.1 * W_S
    (near,) = expected_dynamics(start, expectation, 0.05, [2000])
    assert np.abs(near - rest).max() < 0.1 * np.abs(start.T @ start - rest).max()


def test_one_slow_module_for_a_mixture_rests_at_no_components_own_fixed_point() -> None:
    rest = rest_point(replace(SINGLE, sigma=np.stack([SIGMA, TURNED])))
    assert rest is not None
    for sigma in (SIGMA, TURNED):
        own = fixed_point(sigma, A, NOISE, K, ETA)
        assert np.abs(rest - own).max() > 0.1 * np.abs(own).max()


def test_a_large_mixture_has_no_rest_point_worked_out() -> None:
    d = LARGEST + 1
    assert rest_point(Expectation(np.stack([np.eye(d)] * 2), np.eye(d), 0.1, 100, 0.2)) is None


def share_lost(d: int, k: int, slow_lr: float, scale: float) -> float:
    """Return the share of 24 seeds whose W_s leaves all bounds in 1000 tasks; Sigma = A = I, eta = 0.2."""
    source = np.random.default_rng(1)
    w_s = scale / d**0.5 * source.standard_normal((24, d, d))
    with np.errstate(all="ignore"):
        for _ in range(1000):
            w_bar = source.standard_normal((24, 1, d))
            x, x2 = source.standard_normal((2, 24, d, k))
            w_f = 0.2 / k * (w_bar @ x @ x.swapaxes(1, 2)) @ w_s.swapaxes(1, 2)
            residual = w_f @ w_s @ x2 - w_bar @ x2
            w_s = w_s - slow_lr / k * w_f.swapaxes(1, 2) @ (residual @ x2.swapaxes(1, 2))
    return float(np.mean(~(np.abs(w_s).max((1, 2)) < 1e4)))


@pytest.mark.parametrize(("d", "k", "scale"), [(3, 50, 0.7), (6, 6, 0.7), (4, 20, 6.0)])
def test_simulation_diverges_between_half_and_three_times_the_predicted_rate(
    d: int, k: int, scale: float
) -> None:
    start = scale / d**0.5 * np.random.default_rng(0).standard_normal((d, d))
    bound = largest_stable_slow_lr(start, np.eye(d), np.eye(d), 0.0, k, 0.2)
    assert share_lost(d, k, bound / 2, scale) == 0
    assert share_lost(d, k, 3 * bound, scale) > 0.5


def test_rates_beyond_the_bound_are_told_to_diverge_in_both_directions() -> None:
    bound = largest_stable_slow_lr(W_S, SIGMA, A, NOISE, K, ETA)
    assert not diverges(W_S, SIGMA, A, NOISE, K, ETA, 0.99 * bound)
    assert diverges(W_S, SIGMA, A, NOISE, K, ETA, 1.01 * bound)
    assert largest_stable_fast_lr(W_S, SIGMA, A, NOISE, K, bound) == pytest.approx(ETA, rel=1e-6)


def test_a_mixture_bears_what_its_least_patient_component_bears() -> None:
    both = largest_stable_slow_lr(W_S, np.stack([SIGMA, 2 * SIGMA]), A, NOISE, K, ETA)
    assert both == largest_stable_slow_lr(W_S, 2 * SIGMA, A, NOISE, K, ETA)


def test_the_papers_rates_are_far_below_the_bound() -> None:
    eye = np.eye(10)
    assert not diverges(0.7 / 10**0.5 * eye, eye, eye, 0.1, 100, 0.2, 0.001)
