"""The closed forms of the linear case study against hand calculation, simulation and autograd."""

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.linear.theory import (
    expected_loss_ratio,
    expected_same_batch_loss_ratio,
    fixed_point,
    frobenius_floor,
    gradient_cosine,
    loss_ratio_floor,
    one_step_error,
    one_step_map,
    printed_fixed_point,
    printed_second_moment,
    same_batch_fixed_point,
    second_moment,
    support_moment,
    third_moment,
    whitening,
)
from tests.experiments.theory_cases import (
    ETA,
    NOISE,
    SIGMA,
    W_S,
    A,
    Drawn,
    K,
    Matrix,
    draw,
    excess,
    fast_weights,
    slow_gradients,
)

EYE = np.eye(10)
LIMIT = 4.5  # standard errors: of some tens of entries the worst lies beyond by chance once in 10,000 times
GENERAL = np.array([[0.3, 1.2, -0.5], [-0.7, 0.4, 0.9], [1.1, 0.2, -0.6]])


@pytest.fixture(scope="module")
def tasks() -> Drawn:
    return draw(200_000)


def product_of(x: torch.Tensor, *between: Matrix) -> torch.Tensor:
    gram = x @ x.mT
    made = gram
    for matrix in between:
        made = made @ torch.from_numpy(matrix) @ gram
    return made


def root_of(s: Matrix) -> Matrix:
    """Return a W_s (d, d) with W_s^T W_s = S."""
    return np.array(np.linalg.cholesky(s).T, dtype=np.float64)


def test_fixed_point_in_one_dimension_is_the_number_worked_out_by_hand() -> None:
    # Sigma = 2, A = 3, noise 1, k = 4, eta = 0.5: S*^-1 = 0.5 / 4 * (5 * 2 + (6 + 1) / 3) = 37 / 24
    one = np.ones((1, 1))
    assert fixed_point(2 * one, 3 * one, 1.0, 4, 0.5).item() == pytest.approx(24 / 37)


def test_the_printed_fixed_point_in_one_dimension_is_equation_4_to_the_letter() -> None:
    # 0.5 * 5 * (2 + (2 + 3 + 1) / 5 / 3) = 6
    one = np.ones((1, 1))
    assert printed_fixed_point(2 * one, 3 * one, 1.0, 4, 0.5).item() == pytest.approx(1 / 6)


def test_fixed_point_of_a_general_a_is_symmetric_and_inverts_to_lemma_2() -> None:
    s = fixed_point(SIGMA, A, NOISE, K, ETA)
    np.testing.assert_allclose(s, s.T, atol=1e-12)
    power = np.trace(SIGMA @ A) + NOISE**2
    lemma = ETA / K * ((K + 1) * SIGMA + power * np.linalg.inv(A))
    np.testing.assert_allclose(np.linalg.inv(s), lemma, rtol=1e-10)


def test_fixed_point_needs_no_invertible_a() -> None:
    flat = np.diag([1.0, 1.0, 0.0])
    nearly = np.diag([1.0, 1.0, 1e-9])
    np.testing.assert_allclose(
        fixed_point(SIGMA, flat, NOISE, K, ETA), fixed_point(SIGMA, nearly, NOISE, K, ETA), atol=1e-7
    )


def test_floor_of_the_papers_setting_is_a_tenth() -> None:
    assert loss_ratio_floor(EYE, EYE, 0.1, 100, 0.2) == pytest.approx(0.1001, abs=5e-5)


def test_floors_vanish_with_large_batches_and_no_noise() -> None:
    assert loss_ratio_floor(EYE, EYE, 0.0, 10**7, 0.2) < 1e-5
    assert frobenius_floor(EYE, EYE, 0.0, 10**7, 0.2) < 1e-8


def test_lemma_3_holds_for_a_general_matrix_as_corrected_and_not_as_printed(tasks: Drawn) -> None:
    simulated = product_of(tasks.x, GENERAL)
    assert excess(simulated, second_moment(SIGMA, GENERAL, K)) < LIMIT
    assert excess(simulated, printed_second_moment(SIGMA, GENERAL, K)) > 20


def test_lemma_3_holds_for_a_symmetric_matrix_as_corrected_and_not_as_printed(tasks: Drawn) -> None:
    simulated = product_of(tasks.x, A)
    assert excess(simulated, second_moment(SIGMA, A, K)) < LIMIT
    assert excess(simulated, printed_second_moment(SIGMA, A, K)) > 8


def test_third_moment_is_that_of_a_chi_square_in_one_dimension() -> None:
    one = np.ones((1, 1))
    assert third_moment(one, one, one, 5).item() == 5 * 7 * 9


def test_third_moment_agrees_with_simulation(tasks: Drawn) -> None:
    s = W_S.T @ W_S
    assert excess(product_of(tasks.x, A, s), third_moment(SIGMA, A, s, K)) < LIMIT
    assert excess(product_of(tasks.x, A, s), third_moment(SIGMA, s, A, K)) > 5  # order matters


def test_moment_of_the_support_batch_agrees_with_simulation(tasks: Drawn) -> None:
    y_x = tasks.y @ tasks.x.mT
    assert excess(y_x.mT @ y_x / K, support_moment(SIGMA, A, NOISE, K)) < LIMIT


@pytest.mark.parametrize("slow_gradient", ["held", "through"])
def test_slow_gradient_vanishes_at_the_corrected_fixed_point_alone(tasks: Drawn, slow_gradient: str) -> None:
    def size(s: Matrix) -> float:
        w_s = root_of(s)
        return excess(slow_gradients(w_s, tasks, slow_batch="fresh", slow_gradient=slow_gradient), 0.0)

    assert size(fixed_point(SIGMA, A, NOISE, K, ETA)) < LIMIT
    assert size(printed_fixed_point(SIGMA, A, NOISE, K, ETA)) > 20
    assert size(whitening(SIGMA, ETA)) > 20
    assert size(same_batch_fixed_point(SIGMA, A, NOISE, K, ETA)) > 20


@pytest.mark.parametrize("slow_gradient", ["held", "through"])
def test_slow_gradient_on_the_same_batch_vanishes_at_its_own_fixed_point(
    tasks: Drawn, slow_gradient: str
) -> None:
    w_s = root_of(same_batch_fixed_point(SIGMA, A, NOISE, K, ETA))
    gradients = slow_gradients(w_s, tasks, slow_batch="same", slow_gradient=slow_gradient)
    assert excess(gradients, 0.0) < LIMIT


def loss_ratio_excess(w_s: Matrix, tasks: Drawn, expected: Matrix, *, same: bool = False) -> float:
    """Return how far simulated L1 - ratio * L0 is from 0, in standard errors."""
    slow = torch.from_numpy(w_s)
    x, y = (tasks.x, tasks.y) if same else (tasks.x2, tasks.y2)
    loss_1 = (fast_weights(slow, tasks) @ slow @ x - y).square().sum((1, 2))
    return excess(loss_1 - float(expected) * y.square().sum((1, 2)), 0.0)


def test_loss_ratio_of_any_s_agrees_with_simulation(tasks: Drawn) -> None:
    expected = expected_loss_ratio(W_S.T @ W_S, SIGMA, A, NOISE, K, ETA)
    assert loss_ratio_excess(W_S, tasks, expected) < LIMIT
    assert loss_ratio_excess(W_S, tasks, 1.1 * expected) > 10


def test_loss_ratio_on_the_batch_learned_from_agrees_with_simulation(tasks: Drawn) -> None:
    expected = expected_same_batch_loss_ratio(W_S.T @ W_S, SIGMA, A, NOISE, K, ETA)
    assert loss_ratio_excess(W_S, tasks, expected, same=True) < LIMIT
    assert loss_ratio_excess(W_S, tasks, 1.2 * expected, same=True) > 8


def test_loss_ratio_under_another_covariance_agrees_with_simulation() -> None:
    other = np.diag([0.3, 2.0, 1.0])
    learned = root_of(fixed_point(SIGMA, A, NOISE, K, ETA))
    expected = expected_loss_ratio(learned.T @ learned, other, A, NOISE, K, ETA)
    assert loss_ratio_excess(learned, draw(200_000, sigma=other), expected) < LIMIT


def test_loss_ratios_of_many_s_come_at_once() -> None:
    many = np.stack([fixed_point(SIGMA, A, NOISE, K, ETA), np.zeros((3, 3))])
    floor = loss_ratio_floor(SIGMA, A, NOISE, K, ETA)
    np.testing.assert_allclose(expected_loss_ratio(many, SIGMA, A, NOISE, K, ETA), [floor, 1.0])


def test_the_fixed_point_has_the_lowest_loss_ratio_there_is() -> None:
    best = fixed_point(SIGMA, A, NOISE, K, ETA)
    nudges = np.random.default_rng(0).standard_normal((50, 3, 3)) * 0.1
    others = expected_loss_ratio(best + nudges + nudges.swapaxes(1, 2), SIGMA, A, NOISE, K, ETA)
    assert others.min() > loss_ratio_floor(SIGMA, A, NOISE, K, ETA)


def test_lemma_1_one_expected_step_solves_the_task_where_s_whitens() -> None:
    np.testing.assert_allclose(one_step_map(whitening(SIGMA, ETA), SIGMA, ETA), np.eye(3), atol=1e-12)
    assert one_step_error(whitening(SIGMA, ETA), SIGMA, A, ETA) == pytest.approx(0, abs=1e-12)
    assert one_step_error(2 * whitening(SIGMA, ETA), SIGMA, A, ETA) == pytest.approx(
        1
    )  # proportional is not enough


def test_lemma_1_map_and_error_agree_with_autograd(tasks: Drawn) -> None:
    slow = torch.from_numpy(W_S)
    reached = fast_weights(slow, tasks) @ slow
    expected = tasks.w_bar @ torch.from_numpy(one_step_map(W_S.T @ W_S, SIGMA, ETA))
    assert excess(reached - expected, 0.0) < LIMIT
    missed = (expected - tasks.w_bar).square().sum((1, 2))
    ratio = float(one_step_error(W_S.T @ W_S, SIGMA, A, ETA)) ** 2
    assert excess(missed - ratio * tasks.w_bar.square().sum((1, 2)), 0.0) < LIMIT


@pytest.mark.parametrize(("d", "k"), [(10, 100), (10, 10), (30, 30)])
def test_cosine_of_lemma_1_is_near_the_simulated_mean(d: int, k: int) -> None:
    sigma, eye = np.diag(np.geomspace(1, 0.2, d)), np.eye(d)
    tasks = draw(2000, sigma=sigma, a=eye, k=k)
    w_s = torch.from_numpy(root_of(fixed_point(sigma, eye, NOISE, k, ETA)))
    step = fast_weights(w_s, tasks)[:, 0]
    ideal = (tasks.w_bar @ torch.linalg.inv(w_s))[:, 0]
    measured = torch.cosine_similarity(step, ideal).mean()
    predicted = gradient_cosine((w_s.mT @ w_s).numpy(), sigma, eye, NOISE, k)
    assert float(measured) == pytest.approx(float(predicted), abs=0.02)


def test_theory_needs_no_torch() -> None:
    folder = Path(__file__).parents[2] / "experiments/linear"
    for name in ("theory", "dynamics", "stability", "covariance"):
        assert "torch" not in (folder / f"{name}.py").read_text(encoding="utf-8")
