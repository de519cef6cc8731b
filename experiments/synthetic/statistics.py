"""What W_s is compared with: whitening, the fixed point, and the ideal direction of Lemma 1 (numpy).

Not here: the formulas (theory.py), and fresh tasks to measure on (measurement.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.config import SyntheticRun
from experiments.synthetic.covariance import covariances, root_of, task_covariance
from experiments.synthetic.recursion import Array, Progress
from experiments.synthetic.theory import fixed_point, printed_fixed_point, same_batch_fixed_point, whitening


@dataclass(frozen=True)
class Targets:
    """Where each component's S should be, (components, d, d) each; `root` is Sigma's Cholesky root."""

    eta: float
    sigma: Array
    root: Array
    whitening: Array
    fixed_point: Array
    printed: Array


def targets(config: SyntheticRun) -> Targets:
    """Return the targets of a config; the fixed point is that of one fast step of SGD."""
    data, eta = config.data, config.method.fast_lr
    sigmas, a = covariances(data), task_covariance(data)
    rest = fixed_point if config.method.slow_batch == "fresh" else same_batch_fixed_point

    def each(formula: object) -> Array:
        assert callable(formula)
        return np.stack([formula(sigma, a, data.noise, data.batch_size, eta) for sigma in sigmas])

    return Targets(
        eta=eta,
        sigma=sigmas,
        root=root_of(sigmas),
        whitening=np.stack([whitening(sigma, eta) for sigma in sigmas]),
        fixed_point=each(rest),
        printed=each(printed_fixed_point),
    )


def of_each_component(weights: Array, components: int) -> Array:
    """Return W_s (seeds, components, d, d) that each component is met with, from (seeds, modules, d, d)."""
    seeds, _, d, _ = weights.shape
    return np.broadcast_to(weights, (seeds, components, d, d))


def distances(weights: Array, target: Targets) -> dict[str, Array]:
    """Return ||S - ...||_F^2 (seeds,) from whitening and from the fixed point, a mean over components."""
    w_s = of_each_component(weights, len(target.sigma))
    s = w_s.mT @ w_s
    return {
        "frobenius": np.square(s - target.whitening).sum((-1, -2)).mean(-1),
        "fixed_point_distance": np.square(s - target.fixed_point).sum((-1, -2)).mean(-1),
    }


def relative_errors(weights: Array, target: Targets) -> dict[str, Array]:
    """Return ||S - S*||^2 / ||S*||^2 (seeds,) for the fixed point and for the paper's equation 4."""
    w_s = of_each_component(weights, len(target.sigma))
    s = w_s.mT @ w_s

    def error(goal: Array) -> Array:
        share = np.square(s - goal).sum((-1, -2)) / np.square(goal).sum((-1, -2))
        return np.asarray(share.mean(-1))

    return {"fixed_point_error": error(target.fixed_point), "printed_error": error(target.printed)}


def eigenvalues(weights: Array, target: Targets) -> dict[str, Array]:
    """Return the smallest and largest eigenvalue (seeds,) of eta S Sigma, a mean over components.

    Both are 1 where S whitens. NaN for a seed that is no number.
    """
    product = of_each_component(weights, len(target.sigma)) @ target.root
    found = np.full((*product.shape[:2], 2), np.nan)
    good = np.isfinite(product).all((-1, -2))
    found[good] = target.eta * np.linalg.eigvalsh(product[good].mT @ product[good])[:, [0, -1]]
    low, high = found.mean(1).T
    return {"eigenvalue_low": low, "eigenvalue_high": high}


def cosines(weights: Array, components: NDArray[np.int64], w_bar: Array, y_x: Array) -> Array:
    """Return the cosine (seeds, n) of -dL/dW_f at W_f = 0 with W_bar W_s^-1 (Lemma 1).

    weights (seeds, modules, d, d); components (seeds, n); w_bar and y_x = Y X^T (seeds, n, d).
    """
    found = np.full(components.shape, np.nan)
    for z in range(weights.shape[1]):
        w_s = weights[:, z]  # (seeds, d, d)
        step = y_x @ w_s.mT
        ideal = _solved(w_s.mT, w_bar.mT).mT
        lengths = np.linalg.norm(step, axis=-1) * np.linalg.norm(ideal, axis=-1)
        cosine = np.einsum("sni,sni->sn", step, ideal) / lengths
        found = np.where((components == z) | (weights.shape[1] == 1), cosine, found)
    return found


def _solved(matrices: Array, columns: Array) -> Array:
    """Return matrices^-1 columns, NaN where any of the matrices has no inverse."""
    try:
        return np.asarray(np.linalg.solve(matrices, columns))
    except np.linalg.LinAlgError:
        return np.full(columns.shape, np.nan)


def of_progress(weights: Array, progress: Progress, target: Targets) -> dict[str, Array]:
    """Return everything a chunk of training is judged by, (seeds,) each."""
    cosine = cosines(weights, progress.components, progress.w_bar, progress.y_x)
    return {
        "loss_ratio": progress.after / progress.before,
        **distances(weights, target),
        **eigenvalues(weights, target),
        "gradient_cosine": cosine.mean(-1),
    }
