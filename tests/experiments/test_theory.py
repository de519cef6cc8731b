"""The linear case study against numbers worked out by hand, simulation and automatic differentiation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.config import GaussianData, LinearFastSlow, SyntheticRun, TaskEvaluation
from experiments.synthetic.sampler import BLOCK, GaussianTasks
from experiments.synthetic.theory import covariance, fixed_point, frobenius_floor, loss_ratio_floor, whitening
from experiments.synthetic.trainer import LinearLearning, fast_step

EYE = np.eye(10)


def linear(**options: object) -> LinearLearning:
    data = GaussianData(**{key: options.pop(key) for key in ("dimension", "batch_size") if key in options})
    return LinearLearning(
        SyntheticRun(data=data, method=LinearFastSlow(**options), evaluation=TaskEvaluation(episodes=2000))
    )


def test_fixed_point_in_one_dimension_is_the_number_worked_out_by_hand() -> None:
    # Sigma = 2, A = 3, noise 1, k = 4, eta = 0.5: S*^-1 = 0.5 / 4 * (5 * 2 + (6 + 1) / 3) = 37 / 24
    one = np.ones((1, 1))
    assert fixed_point(2 * one, 3 * one, 1.0, 4, 0.5).item() == pytest.approx(24 / 37)


def test_floor_of_the_papers_setting_is_a_tenth() -> None:
    assert loss_ratio_floor(EYE, EYE, 0.1, 100, 0.2) == pytest.approx(0.1001, abs=5e-5)


def test_floors_vanish_with_large_batches_and_no_noise() -> None:
    assert loss_ratio_floor(EYE, EYE, 0.0, 10**7, 0.2) < 1e-5
    assert frobenius_floor(EYE, EYE, 0.0, 10**7, 0.2) < 1e-8


def test_expected_slow_gradient_is_zero_at_the_corrected_fixed_point_and_not_at_the_whitening() -> None:
    """Monte Carlo over tasks of the gradient the trainer uses, in units of its own sampling error."""
    data = GaussianData(dimension=3, batch_size=5, noise=0.5, condition_number=4)
    sigma = covariance(3, 4, 0)
    tasks = GaussianTasks(data, "monte carlo")

    def excess(s: np.ndarray) -> float:
        w_s = torch.from_numpy(np.linalg.cholesky(s).T.copy())
        gradients = torch.cat([slow_gradients(w_s, tasks, index) for index in range(400)])
        error = gradients.std(0) / len(gradients) ** 0.5
        return float((gradients.mean(0) / error).abs().max())

    assert excess(fixed_point(sigma, np.eye(3), 0.5, 5, 0.2)) < 4.5
    assert excess(whitening(sigma, 0.2)) > 20


def slow_gradients(w_s: torch.Tensor, tasks: GaussianTasks, index: int) -> torch.Tensor:
    block = tasks.block(index)
    w_f = fast_step(w_s, block.x[:, 0], block.y[:, 0], 0.2)
    residual = w_f @ w_s @ block.x[:, 1] - block.y[:, 1]
    return w_f.mT @ (residual @ block.x[:, 1].mT) / block.x.shape[-1]


def test_one_fast_step_is_one_step_of_autograd_from_zero() -> None:
    source = torch.Generator().manual_seed(0)
    w_s, x, y = (
        torch.randn(*shape, generator=source, dtype=torch.float64) for shape in ((4, 4), (4, 7), (1, 7))
    )
    w_f = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    loss = (w_f @ w_s @ x - y).square().sum() / (2 * 7)
    (gradient,) = torch.autograd.grad(loss, w_f)
    torch.testing.assert_close(fast_step(w_s, x, y, 0.2), -0.2 * gradient)


def test_slow_update_is_the_gradient_with_the_fast_weights_held_fixed() -> None:
    method = linear(dimension=4, batch_size=6)
    block = method.tasks.block(0)
    w_s = method.w_s.clone().requires_grad_()
    w_f = fast_step(method.w_s, block.x[0, 0], block.y[0, 0], 0.2)
    loss = (w_f @ w_s @ block.x[0, 1] - block.y[0, 1]).square().sum() / (2 * 6)
    (gradient,) = torch.autograd.grad(loss, w_s)
    before = method.w_s
    method.train(0, 1)
    torch.testing.assert_close(method.w_s, before - 0.001 * gradient)


def test_whitening_slow_weights_let_one_step_solve_the_task() -> None:
    """Lemma 1: with S = Sigma^-1 / eta and no sampling error in X X^T, W_f W_s = W_bar after one step."""
    sigma = torch.from_numpy(covariance(5, 10, 3))
    w_s = torch.linalg.cholesky(torch.linalg.inv(sigma) / 0.2).mT
    x = torch.linalg.cholesky(sigma) * 5**0.5  # k = 5 columns with X X^T / k = Sigma exactly
    w_bar = torch.arange(1.0, 6.0, dtype=torch.float64)[None]
    torch.testing.assert_close(fast_step(w_s, x, w_bar @ x, 0.2) @ w_s, w_bar)


@pytest.mark.slow
def test_training_ends_at_the_floor_of_the_corrected_theory() -> None:
    method = linear(slow_lr=0.02, steps=8000)  # a faster rate than the paper's reaches the floor sooner
    metrics = method.train(0, 8000)
    ratio = method.evaluate("test", range(2000))["loss_ratio"]
    half = 1.96 * float(ratio.std()) / len(ratio) ** 0.5
    assert float(ratio.mean()) == pytest.approx(loss_ratio_floor(EYE, EYE, 0.1, 100, 0.2), abs=2 * half)
    start = float((linear().w_s.mT @ linear().w_s - method.fixed_point).square().sum())
    assert float(metrics["train/fixed_point_distance"]) < 0.05 * start


def test_tasks_are_addressed_by_number() -> None:
    tasks = GaussianTasks(GaussianData(), "tasks", 7)
    later = tasks.block(3)
    torch.testing.assert_close(tasks.block(3).x, later.x, rtol=0, atol=0)
    assert later.x.shape == (BLOCK, 2, 10, 100)
    assert not torch.equal(tasks.block(2).x, later.x)


def test_drawn_inputs_have_the_covariance_asked_for() -> None:
    data = GaussianData(dimension=3, condition_number=5, covariance_seed=1)
    x = torch.cat([GaussianTasks(data, "check").block(index).x.permute(0, 1, 3, 2) for index in range(8)])
    measured = torch.cov(x.reshape(-1, 3).T)
    torch.testing.assert_close(measured, torch.from_numpy(covariance(3, 5, 1)), rtol=0.05, atol=0.03)
    assert np.linalg.cond(covariance(3, 5, 1)) == pytest.approx(5)


def test_theory_needs_no_torch() -> None:
    text = Path(__file__).parents[2].joinpath("experiments/synthetic/theory.py").read_text(encoding="utf-8")
    assert "torch" not in text
