"""Closed forms of the linear case study, corrected where the paper's are wrong (numpy, float64).

Not here: sampling and training. Notation: Sigma is the input covariance (d, d), A = E[W_bar^T W_bar] (d, d),
k the batch size, eta the fast learning rate, noise the standard deviation of the labels' error.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def covariance(dimension: int, condition_number: float, seed: int) -> Matrix:
    """Return a covariance (d, d) with log-spaced eigenvalues of mean 1 and random eigenvectors."""
    eigenvalues = np.geomspace(condition_number, 1.0, dimension)
    eigenvalues *= dimension / eigenvalues.sum()
    if condition_number == 1:
        return np.eye(dimension)
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, dimension)))
    return np.asarray((basis * eigenvalues) @ basis.T)


def whitening(sigma: Matrix, eta: float) -> Matrix:
    """Return Sigma^-1 / eta, where the paper says S = W_s^T W_s goes (section 4.1)."""
    return np.asarray(np.linalg.inv(sigma) / eta)


def fixed_point(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> Matrix:
    """Return S*, where S = W_s^T W_s really settles (d, d).

    S*^-1 = (eta / k) [(k + 1) Sigma + (tr(Sigma A) + noise^2) A^-1]. The paper's equation 4 prints no 1/k and
    tr(Sigma + A) in place of tr(Sigma A); simulation agrees with this form.
    """
    trace = np.trace(sigma @ a) + noise**2
    return np.asarray(np.linalg.inv(eta / k * ((k + 1) * sigma + trace * np.linalg.inv(a))))


def loss_ratio_floor(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> float:
    """Return the L1/L0 (ratio of expectations, fresh batch) that is left at the fixed point.

    (tr(Sigma A) - eta tr(Sigma A Sigma S*) + noise^2) / (tr(Sigma A) + noise^2). The paper's text says 0,
    which is reached only as k grows without bound and the noise goes to 0.
    """
    power = np.trace(sigma @ a) + noise**2
    removed = eta * np.trace(sigma @ a @ sigma @ fixed_point(sigma, a, noise, k, eta))
    return float((power - removed) / power)


def frobenius_floor(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> float:
    """Return ||S* - Sigma^-1 / eta||_F^2, the height at which Figure 4b levels off."""
    difference = fixed_point(sigma, a, noise, k, eta) - whitening(sigma, eta)
    return float(np.square(difference).sum())
