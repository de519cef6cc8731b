"""Moments of X X^T for k columns x ~ N(0, Sigma), and what they make of a batch (numpy, float64).

Not here: what learning makes of them (theory.py, dynamics.py).
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def trace(matrix: Matrix) -> Matrix:
    """Return the traces (..., 1, 1) of matrices (..., d, d), ready to multiply them by."""
    return np.asarray(np.trace(matrix, axis1=-2, axis2=-1))[..., None, None]


def transposed(matrix: Matrix) -> Matrix:
    """Return matrices (..., d, d) with rows and columns exchanged."""
    return np.swapaxes(matrix, -2, -1)


def second_moment(sigma: Matrix, a: Matrix, k: int) -> Matrix:
    """Return E[X X^T A X X^T] for any A (d, d): Lemma 3, equation 6, corrected.

    k^2 Sigma A Sigma + k Sigma A^T Sigma + k tr(Sigma A) Sigma. Each of the k pairs of a column with itself
    gives equation 5, each of the k (k - 1) others Sigma A Sigma.
    """
    straight, turned = sigma @ a @ sigma, sigma @ transposed(a) @ sigma
    return k**2 * straight + k * turned + k * trace(sigma @ a) * sigma


def printed_second_moment(sigma: Matrix, a: Matrix, k: int) -> Matrix:
    """Return equation 6 as the paper prints it.

    k (k + 1) Sigma A Sigma + Sigma A^T Sigma + k tr(Sigma A) Sigma: the first term is that of a symmetric A,
    which already holds the second, and the second lost its k. Right for neither kind of A; the last line of
    the paper's own proof leaves the second term out and is right for symmetric A.
    """
    straight, turned = sigma @ a @ sigma, sigma @ transposed(a) @ sigma
    return k * (k + 1) * straight + turned + k * trace(sigma @ a) * sigma


def third_moment(sigma: Matrix, a: Matrix, s: Matrix, k: int) -> Matrix:
    """Return E[X X^T A X X^T S X X^T] (..., d, d) for symmetric A and S, S possibly many.

    The sum over the 15 pairings of six normal factors (Isserlis). Not in the paper, whose lemma has a fresh
    second batch.
    """
    sa, ss = sigma @ a @ sigma, sigma @ s @ sigma
    forward, backward = sigma @ a @ ss, sigma @ s @ sa
    one_trace = trace(sigma @ s) * sa + trace(sigma @ a) * ss + trace(a @ ss) * sigma
    two_traces = trace(sigma @ a) * trace(sigma @ s) * sigma
    return k * ((k + 1) ** 2 * forward + (k + 3) * backward + (k + 1) * one_trace + two_traces)


def label_power(sigma: Matrix, a: Matrix, noise: float) -> float:
    """Return E[y^2] = tr(Sigma A) + noise^2, the loss before any learning."""
    return float(np.trace(sigma @ a) + noise**2)


def support_moment(sigma: Matrix, a: Matrix, noise: float, k: int) -> Matrix:
    """Return B = E[X Y^T Y X^T] / k, (k + 1) Sigma A Sigma + (tr(Sigma A) + noise^2) Sigma (A symmetric)."""
    return np.asarray((k + 1) * sigma @ a @ sigma + label_power(sigma, a, noise) * sigma)
