"""The learning rates up to which S = W_s^T W_s arrives, and the warning about higher ones (numpy)."""

import numpy as np

from experiments.config import SyntheticRun
from experiments.linear.covariance import covariances, initial_weights, task_covariance
from experiments.linear.theory import Matrix, label_power, transposed


def largest_stable_slow_lr(w_s: Matrix, sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> float:
    """Return the delta above which single tasks drive S away in mean square, from W_s (..., d, d).

    1 / (eta lambda (tr(Sigma A) + noise^2 + 2 mu) (1 + (d + 1) / k)^2), lambda and mu the largest eigenvalues
    of Sigma and Sigma A; less in proportion where eta Sigma S starts above 4. The expected update alone would
    bear up to d + 2 times as much: the square of one task's step is that much larger than its mean's. An
    estimate: simulation diverges between half this value and three times it, for k >= d.
    """
    d = len(a)
    bounds = []
    s = transposed(w_s) @ w_s
    for component in [sigma] if sigma.ndim == 2 else list(sigma):
        scale = float(np.linalg.norm(component, 2))
        one_task = label_power(component, a, noise) + 2 * float(
            np.abs(np.linalg.eigvals(component @ a)).max()
        )
        start = eta * float(np.linalg.norm(component @ s, 2, axis=(-2, -1)).max())
        bounds.append(1 / (eta * scale * one_task * (1 + (d + 1) / k) ** 2 * max(1.0, start / 4)))
    return min(bounds)


def largest_stable_fast_lr(
    w_s: Matrix, sigma: Matrix, a: Matrix, noise: float, k: int, slow_lr: float
) -> float:
    """Return the eta above which largest_stable_slow_lr falls below slow_lr; it falls as eta grows."""
    low, high = 0.0, 1.0
    while largest_stable_slow_lr(w_s, sigma, a, noise, k, high) > slow_lr:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        stable = largest_stable_slow_lr(w_s, sigma, a, noise, k, middle) > slow_lr
        low, high = (middle, high) if stable else (low, middle)
    return low


def diverges(w_s: Matrix, sigma: Matrix, a: Matrix, noise: float, k: int, eta: float, slow_lr: float) -> bool:
    """Return whether theory expects this slow rate to drive S away (see largest_stable_slow_lr)."""
    return slow_lr > largest_stable_slow_lr(w_s, sigma, a, noise, k, eta)


STARTS = 8  # seeds whose starting W_s is looked at


def rate_warning(config: SyntheticRun) -> str | None:
    """Return one line that names the bound where theory expects a run to diverge, None where it does not."""
    data, method = config.data, config.method
    w_s = initial_weights(config.model_copy(update={"seeds": min(config.seeds, STARTS)}))
    sigma, a = covariances(data), task_covariance(data)
    with np.errstate(all="ignore"):
        bound = largest_stable_slow_lr(w_s, sigma, a, data.noise, data.batch_size, method.fast_lr)
        if method.slow_lr <= bound:
            return None
        other = largest_stable_fast_lr(w_s, sigma, a, data.noise, data.batch_size, method.slow_lr)
    return (
        f"slow_lr {method.slow_lr:g} with fast_lr {method.fast_lr:g} is expected to diverge: theory puts "
        f"the bound near slow_lr {bound:.2g}, or near fast_lr {other:.2g} with this slow_lr"
    )
