"""Closed forms of the linear case study, corrected where the paper's are wrong (numpy, float64).

Notation: Sigma is the covariance of the inputs (d, d), A = E[W_bar^T W_bar] (d, d), S = W_s^T W_s, k the
batch size, eta the fast learning rate, noise the standard deviation of the labels' error. All of it is for
one fast step of SGD from W_f = 0. The way there is in dynamics.py.
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


def whitening(sigma: Matrix, eta: float) -> Matrix:
    """Return Sigma^-1 / eta, where the paper says S = W_s^T W_s goes (section 4.1)."""
    return np.asarray(np.linalg.inv(sigma) / eta)


def fixed_point(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> Matrix:
    """Return S*, where S = W_s^T W_s really settles (d, d); A is symmetric and need not be invertible.

    S*^-1 = (eta / k) [(k + 1) Sigma + (tr(Sigma A) + noise^2) A^-1] (Lemma 2). The paper's equation 4 prints
    no 1/k and tr(Sigma + A) in place of tr(Sigma A); simulation agrees with this form. The slow step sees a
    fresh batch; whether it also differentiates through W_f makes no difference here.
    """
    s = np.linalg.solve(eta / k * support_moment(sigma, a, noise, k), sigma @ a)
    return np.asarray((s + s.T) / 2)


def printed_fixed_point(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> Matrix:
    """Return equation 4 as the paper prints it (d, d): it is about k times too small.

    S^-1 = eta (k + 1) [Sigma + (tr(Sigma + A) + noise^2) / (k + 1) A^-1].
    """
    power = np.trace(sigma + a) + noise**2
    return np.asarray(np.linalg.inv(eta * ((k + 1) * sigma + power * np.linalg.inv(a))))


def same_batch_fixed_point(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> Matrix:
    """Return where S settles if the slow step sees the batch the fast step was made on (d, d).

    Not in the paper. In coordinates where Sigma = I, S has the eigenvectors of A, so that the third moments
    leave a linear equation in its eigenvalues.
    """
    root = np.linalg.cholesky(sigma)  # L: Sigma = L L^T
    alpha, basis = np.linalg.eigh(root.T @ a @ root)
    power, total = alpha.sum() + noise**2, alpha.sum()
    ones = np.ones_like(alpha)
    own = ((k + 1) ** 2 + k + 3) * alpha + (k + 1) * (total + noise**2)
    shared = (k + 1) * (np.outer(alpha, ones) + np.outer(ones, alpha)) + power * np.outer(ones, ones)
    tau = np.linalg.solve(np.diag(own) + shared, k / eta * ((k + 1) * alpha + power))
    inverse = np.linalg.inv(root)
    return np.asarray(inverse.T @ (basis * tau) @ basis.T @ inverse)


def expected_loss_ratio(s: Matrix, sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> Matrix:
    """Return E[L1] / E[L0] (...) on a fresh batch after one fast step, for any S (..., d, d): Figure 4a.

    L1 = (eta^2 / k) tr(B S Sigma S) - 2 eta tr(Sigma A Sigma S) + L0 with L0 = tr(Sigma A) + noise^2 and
    B = (k + 1) Sigma A Sigma + L0 Sigma. Sigma is that of the tasks met, maybe not of those learned from.
    """
    power = label_power(sigma, a, noise)
    quadratic = trace(support_moment(sigma, a, noise, k) @ s @ sigma @ s)[..., 0, 0]
    linear = trace(sigma @ a @ sigma @ s)[..., 0, 0]
    return np.asarray((eta**2 / k * quadratic - 2 * eta * linear) / power + 1)


def expected_same_batch_loss_ratio(
    s: Matrix, sigma: Matrix, a: Matrix, noise: float, k: int, eta: float
) -> Matrix:
    """Return E[L1] / E[L0] (...) on the batch that the fast step was made on, for any S (..., d, d)."""
    power = label_power(sigma, a, noise)
    fitted = third_moment(sigma, a, s, k) + noise**2 * second_moment(sigma, s, k)
    quadratic = trace(fitted @ s)[..., 0, 0] / k**2
    linear = trace(support_moment(sigma, a, noise, k) @ s)[..., 0, 0]
    return np.asarray((eta**2 * quadratic - 2 * eta * linear) / (k * power) + 1)


def loss_ratio_floor(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> float:
    """Return the L1/L0 (ratio of expectations, fresh batch) that is left at the fixed point.

    (tr(Sigma A) - eta tr(Sigma A Sigma S*) + noise^2) / (tr(Sigma A) + noise^2). The paper's text says 0,
    which is reached only as k grows without bound and the noise goes to 0.
    """
    removed = eta * np.trace(sigma @ a @ sigma @ fixed_point(sigma, a, noise, k, eta))
    return float(1 - removed / label_power(sigma, a, noise))


def frobenius_floor(sigma: Matrix, a: Matrix, noise: float, k: int, eta: float) -> float:
    """Return ||S* - Sigma^-1 / eta||_F^2, the height at which Figure 4b levels off (the paper: 0)."""
    difference = fixed_point(sigma, a, noise, k, eta) - whitening(sigma, eta)
    return float(np.square(difference).sum())


def one_step_map(s: Matrix, sigma: Matrix, eta: float) -> Matrix:
    """Return the (..., d, d) matrix that takes W_bar to the expected W_f W_s after one step: eta Sigma S.

    Lemma 1. The paper asks for S proportional to Sigma^-1 and "an appropriate rate"; the identity is reached
    at S = Sigma^-1 / eta and nowhere else.
    """
    return np.asarray(eta * sigma @ s)


def one_step_error(s: Matrix, sigma: Matrix, a: Matrix, eta: float) -> Matrix:
    """Return (E||eta W_bar Sigma S - W_bar||^2 / E||W_bar||^2)^(1/2) (...), which Lemma 1 says is 0."""
    missing = one_step_map(s, sigma, eta) - np.eye(len(sigma))
    return np.asarray(np.sqrt(trace(transposed(missing) @ a @ missing) / np.trace(a)))[..., 0, 0]


def gradient_cosine(s: Matrix, sigma: Matrix, a: Matrix, noise: float, k: int) -> Matrix:
    """Return about the mean cosine (...) of W_f's first step with W_bar W_s^-1, which Lemma 1 says is 1.

    (E|u|^2 E|v|^2 / E<u, v>^2 - 2 / k)^(-1/2) for step u and ideal v: the relative variance of <u, v>, 2 / k,
    lengthens u and does not turn it. Below 1 at any S, since a batch's X X^T is not k Sigma.
    """
    step = trace(s @ support_moment(sigma, a, noise, k))[..., 0, 0] / k
    ideal = trace(np.linalg.solve(s, np.broadcast_to(a, s.shape)).astype(np.float64))[..., 0, 0]
    return np.asarray((step * ideal / np.trace(sigma @ a) ** 2 - 2 / k) ** -0.5)
