"""What theory expects of a linear case study: where its curves end, and the way they take.

Not here: the theory itself (experiments.linear), and what was measured (study.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.config import SyntheticRun
from experiments.linear.covariance import covariances, initial_weights, task_covariance
from experiments.linear.dynamics import Expectation, expected_dynamics, rest_point
from experiments.linear.theory import (
    expected_loss_ratio,
    expected_same_batch_loss_ratio,
    gradient_cosine,
    label_power,
    one_step_error,
    printed_fixed_point,
    whitening,
)

Matrix = NDArray[np.float64]

POINTS = 150  # of an expected curve
STARTS = 32  # seeds that are followed
LARGEST = 128  # dimension of which a whole way is followed


@dataclass(frozen=True)
class ExpectedCurve:
    """The expected way, as the median over seeds: tasks met, L1/L0, and squared distance from whitening.

    `loss_ratio` is what training meets, on average over the tasks since the last point of the log; at the end
    of the way `fresh_loss_ratio` is L1/L0 on fresh tasks, `error` is ||S - S*||^2 / ||S*||^2.
    """

    steps: tuple[int, ...]
    loss_ratio: tuple[float, ...]
    frobenius: tuple[float, ...]
    fresh_loss_ratio: float
    error: float


@dataclass(frozen=True)
class Prediction:
    """What theory says of one config; each property is None where there is no closed form for it."""

    config: SyntheticRun
    seeds: tuple[int, ...] = ()  # of single-seed runs taken together, in place of the config's own

    @cached_property
    def reason(self) -> str | None:
        """Why there is no prediction."""
        method = self.config.method
        if method.fast_learner != "sgd":
            return "No closed form for a learned optimiser: no floors, no expected curves."
        if method.inner_steps > 1:
            return "No closed form for several inner steps: no floors, no expected curves."
        return None

    @cached_property
    def sigmas(self) -> list[Matrix]:
        """The covariance of each component."""
        return list(covariances(self.config.data))

    @cached_property
    def a(self) -> Matrix:
        """The covariance of the tasks."""
        return task_covariance(self.config.data)

    @cached_property
    def rest(self) -> list[Matrix] | None:
        """The S each component's slow module comes to rest at."""
        if self.reason:
            return None
        found = [rest_point(expectation) for expectation in self._modules]
        known = [s for s in found if s is not None]
        return self._of_components(known) if len(known) == len(found) else None

    @cached_property
    def loss_ratio_floor(self) -> float | None:
        """L1/L0 on a fresh batch, there."""
        return None if self.rest is None else float(self.loss_ratio(self.rest))

    @cached_property
    def training_floor(self) -> float | None:
        """L1/L0 there as training meets it: on the slow step's batch."""
        if self.rest is None:
            return None
        return float(self._ratio(self.rest, self._training_ratio, self.sigmas))

    @cached_property
    def frobenius_floor(self) -> float | None:
        """Squared distance from Sigma^-1/eta, there, as a mean over components."""
        return None if self.rest is None else float(self._frobenius(self.rest))

    @cached_property
    def one_step_error(self) -> float | None:
        """Lemma 1's error, there."""
        eta = self.config.method.fast_lr
        return self._mean(lambda s, sigma: one_step_error(s, sigma, self.a, eta))

    @cached_property
    def gradient_cosine(self) -> float | None:
        """Lemma 1's cosine, there."""
        noise, k = self.config.data.noise, self.config.data.batch_size
        return self._mean(lambda s, sigma: gradient_cosine(s, sigma, self.a, noise, k))

    @cached_property
    def whitening_norm(self) -> float:
        """||Sigma^-1 / eta||_F^2, as a mean over components."""
        return float(np.mean([np.square(whitening(sigma, self._eta)).sum() for sigma in self.sigmas]))

    def gain(self, formula: str) -> float | None:
        """Return tr(eta S Sigma) / d by "corrected" or by "printed" formula; 1 where S whitens."""
        data = self.config.data
        found = self.rest
        if formula == "printed":
            found = [
                printed_fixed_point(sigma, self.a, data.noise, data.batch_size, self._eta)
                for sigma in self.sigmas
            ]
        if found is None:
            return None
        parts = [np.trace(s @ sigma) for s, sigma in zip(found, self.sigmas, strict=True)]
        return float(self._eta * np.mean(parts) / data.dimension)

    def loss_ratio(self, s: Sequence[Matrix], sigmas: Sequence[Matrix] | None = None) -> Matrix:
        """Return L1/L0 (...) on fresh batches at each component's s (..., d, d), its Sigma maybe shifted."""
        return self._ratio(s, expected_loss_ratio, sigmas or self.sigmas)

    def curve(self, steps: Sequence[int]) -> ExpectedCurve | None:
        """Return the expected way at some of the steps, None where it is not followed."""
        if self.reason or self.config.data.dimension > LARGEST or not steps:
            return None
        chosen = sorted({steps[index] for index in _spread(len(steps), POINTS)})
        # Each point of L1/L0 is a mean over the tasks before it: near its value in their middle.
        middles = [max(step - self.config.method.log_every // 2, 0) for step in chosen]
        visited = sorted({*chosen, *middles})
        s = self.way(visited)
        ratio = self._ratio(
            [each[_places(visited, middles)] for each in s], self._training_ratio, self.sigmas
        )
        at = [each[_places(visited, chosen)] for each in s]
        end = [each[-1] for each in s]
        return ExpectedCurve(
            tuple(chosen),
            tuple(np.median(ratio, axis=1).tolist()),
            tuple(np.median(self._frobenius(at), axis=1).tolist()),
            float(np.median(self.loss_ratio(end))),
            float(np.median(self._error(end))),
        )

    def way(self, steps: Sequence[int]) -> list[Matrix]:
        """Return S (steps, seeds, d, d) of each component's slow module after these numbers of tasks."""
        # A module that meets every m-th task moves by a m-th of its step, per task met by all.
        slow_lr = self.config.method.slow_lr / len(self._modules)
        return self._of_components(
            [expected_dynamics(self._starts, expectation, slow_lr, steps) for expectation in self._modules]
        )

    @property
    def _training_ratio(self) -> Callable[..., Matrix]:
        same = self.config.method.slow_batch == "same"
        return expected_same_batch_loss_ratio if same else expected_loss_ratio

    @cached_property
    def _starts(self) -> Matrix:
        """W_s of each seed before the first task, (seeds, d, d)."""
        seeds = self.seeds or range(self.config.seed, self.config.seed + self.config.seeds)
        each = (self.config.model_copy(update={"seed": seed, "seeds": 1}) for seed in seeds[:STARTS])
        return np.concatenate([initial_weights(config) for config in each])

    @property
    def _eta(self) -> float:
        return self.config.method.fast_lr

    @cached_property
    def _modules(self) -> list[Expectation]:
        """The expected update of each slow module."""
        data, method = self.config.data, self.config.method
        shared = Expectation(
            np.stack(self.sigmas),
            self.a,
            data.noise,
            data.batch_size,
            self._eta,
            method.slow_batch,
            method.slow_gradient,
        )
        if method.slow_modules == "single":
            return [shared]
        return [replace(shared, sigma=sigma) for sigma in self.sigmas]

    def _of_components(self, modules: Sequence[Matrix]) -> list[Matrix]:
        return list(modules) * (len(self.sigmas) if len(modules) == 1 else 1)

    def _ratio(self, s: Sequence[Matrix], formula: Callable[..., Matrix], sigmas: Sequence[Matrix]) -> Matrix:
        data = self.config.data
        powers = [label_power(sigma, self.a, data.noise) for sigma in sigmas]
        parts = [
            power * formula(each, sigma, self.a, data.noise, data.batch_size, self._eta)
            for each, sigma, power in zip(s, sigmas, powers, strict=True)
        ]
        return np.asarray(sum(parts) / sum(powers))

    def _frobenius(self, s: Sequence[Matrix]) -> Matrix:
        parts = [
            np.square(each - whitening(sigma, self._eta)).sum((-1, -2))
            for each, sigma in zip(s, self.sigmas, strict=True)
        ]
        return np.asarray(sum(parts) / len(parts))

    def _error(self, s: Sequence[Matrix]) -> Matrix:
        """Return ||S - S*||^2 / ||S*||^2 (...), S* being each component's own, as a mean over components."""
        own = [rest_point(replace(self._modules[0], sigma=sigma)) for sigma in self.sigmas]
        parts = [
            np.square(each - goal).sum((-1, -2)) / np.square(goal).sum()
            for each, goal in zip(s, own, strict=True)
            if goal is not None  # always: one component has a closed form
        ]
        return np.asarray(sum(parts) / len(parts))

    def _mean(self, formula: Callable[..., Matrix]) -> float | None:
        if self.rest is None:
            return None
        return float(np.mean([formula(s, sigma) for s, sigma in zip(self.rest, self.sigmas, strict=True)]))


def _places(among: Sequence[int], wanted: Sequence[int]) -> NDArray[np.intp]:
    """Return where the wanted numbers are among sorted ones."""
    return np.searchsorted(among, wanted)


def _spread(count: int, most: int) -> list[int]:
    """Return at most `most` places among `count`, evenly apart, with the first and the last."""
    return [round(place) for place in np.linspace(0, count - 1, min(count, most)).tolist()]
