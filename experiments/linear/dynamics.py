"""The way S = W_s^T W_s takes in expectation, and where it rests for a mixture (numpy, float64).

For one fast step of SGD from W_f = 0: more inner steps and learned optimisers have no closed form here. The
mixture is that of the paper's section 6, one W_s for inputs of several covariances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from experiments.linear.theory import (
    Matrix,
    fixed_point,
    label_power,
    same_batch_fixed_point,
    second_moment,
    support_moment,
    third_moment,
    transposed,
)

STRIDE = 0.5  # how far one stride of the flow goes, in units of the fastest time scale
EXACT_RATE = 0.04  # steps that change S faster than this are taken one by one
ARRIVED = 1e-14  # a step that changes S by no more than this share ends the way


@dataclass(frozen=True)
class Expectation:
    """The expected slow update: its inputs and its variant.

    `sigma` is (d, d), or (components, d, d) for tasks whose inputs come from one component each; `a` is
    (d, d). `slow_batch` is the batch of the slow step, the fast step's own or another; `slow_gradient` says
    whether it holds W_f fixed or goes through it.
    """

    sigma: Matrix
    a: Matrix
    noise: float
    k: int
    eta: float
    slow_batch: Literal["fresh", "same"] = "fresh"
    slow_gradient: Literal["held", "through"] = "held"

    @cached_property
    def components(self) -> tuple[Matrix, ...]:
        """The covariance of each component."""
        return (self.sigma,) if self.sigma.ndim == 2 else tuple(self.sigma)

    @cached_property
    def _moments(self) -> tuple[Matrix, ...]:
        """Of each component E[X Y^T Y X^T] / k."""
        return tuple(support_moment(sigma, self.a, self.noise, self.k) for sigma in self.components)

    @cached_property
    def _offset(self) -> Matrix:
        """C at S = 0."""
        return self.bracket(np.zeros_like(self.a))

    @cached_property
    def _speed(self) -> float:
        """How fast one unit of slow_lr moves S at S = Sigma^-1 / eta, about and at most."""
        largest = max(float(np.linalg.norm(sigma, 2)) for sigma in self.components)
        label = max(label_power(sigma, self.a, self.noise) for sigma in self.components)
        spread = ((self.k + 1) * largest * float(np.linalg.norm(self.a, 2)) + label) / self.k
        sides = 2 if self.slow_gradient == "held" else 4
        return sides * self.eta * largest * spread * (1 + (len(self.a) + 1) / self.k)

    def bracket(self, s: Matrix) -> Matrix:
        """Return C (..., d, d) so that the expected gradient of W_s is W_s C (Lemma 2's proof).

        Fresh batch, W_f held fixed: C = (eta / k) (eta B S - k Sigma A) Sigma; through W_f: C + C^T.
        """
        parts = [
            self._of_component(sigma, moment, s)
            for sigma, moment in zip(self.components, self._moments, strict=True)
        ]
        held = parts[0] if len(parts) == 1 else np.asarray(sum(parts) / len(parts))
        return held if self.slow_gradient == "held" else _twice(held)

    def _of_component(self, sigma: Matrix, moment: Matrix, s: Matrix) -> Matrix:
        a, noise, k, eta = self.a, self.noise, self.k, self.eta
        if self.slow_batch == "fresh":
            return (eta**2 / k * moment) @ s @ sigma - eta * sigma @ a @ sigma
        fitted = third_moment(sigma, a, s, k) + noise**2 * second_moment(sigma, s, k)
        return eta / k**2 * (eta / k * fitted - k * moment)

    def step(self, s: Matrix, slow_lr: float) -> Matrix:
        """Return S after one expected update W_s <- W_s (I - delta C)."""
        change = np.eye(s.shape[-1]) - slow_lr * self.bracket(s)
        return transposed(change) @ s @ change

    def velocity(self, s: Matrix, slow_lr: float) -> Matrix:
        """Return dS/dn of the smooth flow that meets the steps: their own change, less half its curvature."""
        c = self.bracket(s)
        sc = s @ c
        first = -slow_lr * _twice(sc)
        bend = _twice(first @ c + s @ (self.bracket(first) - self._offset))
        return first + slow_lr**2 * transposed(c) @ sc + slow_lr / 2 * bend

    def rate(self, s: Matrix, slow_lr: float) -> float:
        """Return by about what share of itself the fastest direction of S changes in one step, at most."""
        whitened = max(float(np.linalg.norm(sigma @ s, axis=(-2, -1)).max()) for sigma in self.components)
        return float(slow_lr * self._speed * max(1.0, self.eta * whitened / len(self.a) ** 0.5))


def expected_slow_gradient(w_s: Matrix, expectation: Expectation) -> Matrix:
    """Return the expected gradient (..., d, d) of W_s in one task, zero at the fixed point (Lemma 2)."""
    return w_s @ expectation.bracket(transposed(w_s) @ w_s)


def expected_dynamics(w_s: Matrix, expectation: Expectation, slow_lr: float, steps: Sequence[int]) -> Matrix:
    """Return S (len(steps), ..., d, d) after the given numbers of tasks, rising, from W_s (..., d, d).

    Every task is replaced by its expectation. Fast changes are followed step by step, slow ones by strides of
    their flow (fourth order; within some 1e-4 of single steps). NaN once S has grown without bound.
    """
    s = transposed(w_s) @ w_s
    largest = 1e6 * (
        np.abs(s).max() + np.abs(np.linalg.inv(expectation.components[0])).max() / expectation.eta
    )
    now, reached = 0, []
    for target in steps:
        while now < target:
            with np.errstate(all="ignore"):
                now, s = _advance(s, expectation, slow_lr, now, target)
            if not np.abs(s).max() < largest:
                s, now = np.full_like(s, np.nan), target
        reached.append(s)
    return np.stack(reached)


def _advance(
    s: Matrix, expectation: Expectation, slow_lr: float, now: int, target: int
) -> tuple[int, Matrix]:
    """Return the next number of tasks and S there: one stride of the flow, or some single steps."""
    if np.isnan(s).any():
        return target, s
    rate = expectation.rate(s, slow_lr)
    if rate > EXACT_RATE:
        count = min(target - now, 10)
        for _ in range(count):
            before, s = s, expectation.step(s, slow_lr)
        return target if _arrived(s - before, s) else now + count, s
    count = min(target - now, max(int(STRIDE / rate), 1))
    first = expectation.velocity(s, slow_lr)
    if _arrived(first, s):
        return target, s
    second = expectation.velocity(s + count / 2 * first, slow_lr)
    third = expectation.velocity(s + count / 2 * second, slow_lr)
    fourth = expectation.velocity(s + count * third, slow_lr)
    return now + count, s + count / 6 * (first + 2 * second + 2 * third + fourth)


def _arrived(change: Matrix, s: Matrix) -> bool:
    """Return whether one step's change is too small to lead anywhere."""
    return bool(np.abs(change).max() <= ARRIVED * np.abs(s).max())


def _twice(matrix: Matrix) -> Matrix:
    """Return the matrix plus its transpose."""
    return matrix + transposed(matrix)


LARGEST = 40  # dimension: Newton's matrix has d^4 / 4 numbers
_TURNS = 100


def rest_point(expectation: Expectation) -> Matrix | None:
    """Return where S settles under any variant of the slow update (d, d).

    None for a mixture in more than LARGEST dimensions, or if no such point was found.
    """
    e = expectation
    if len(e.components) == 1:
        settle = fixed_point if e.slow_batch == "fresh" else same_batch_fixed_point
        return settle(e.components[0], e.a, e.noise, e.k, e.eta)
    return _shared(e) if len(e.a) <= LARGEST else None


def _shared(expectation: Expectation) -> Matrix | None:
    """Return the S at which S E_z[C_z(S)] has no symmetric part, by Newton's method.

    There a small expected step leaves S alone, though it may turn W_s (W_s <- Q W_s): C itself is zero only
    where the step goes through W_f, or there is one component. That case, linear in S, starts the search.
    """
    d = len(expectation.a)
    rows, columns = np.triu_indices(d)
    basis = np.zeros((len(rows), d, d))  # of the symmetric matrices
    basis[np.arange(len(rows)), rows, columns] = basis[np.arange(len(rows)), columns, rows] = 1
    offset = expectation.bracket(np.zeros((d, d)))
    slopes = expectation.bracket(basis) - offset  # C is linear in S

    def solved(jacobian: Matrix, value: Matrix) -> Matrix:
        flat = np.linalg.solve(_symmetric(jacobian)[:, rows, columns].T, _symmetric(value)[rows, columns])
        return np.asarray(np.tensordot(flat, basis, 1))

    s = -solved(slopes, offset)
    for _ in range(_TURNS):
        c = expectation.bracket(s)
        change = solved(basis @ c + s @ slopes, s @ c)
        s = s - change
        if np.abs(change).max() < 1e-10 * np.abs(s).max():
            return s if np.linalg.eigvalsh(s)[0] > 0 else None
    return None


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + transposed(matrix)) / 2
