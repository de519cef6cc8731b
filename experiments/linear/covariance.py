"""The setting of the linear case study: Sigma of the inputs, A of the tasks, and W_s at the start."""

import math

import numpy as np
from numpy.typing import NDArray

from experiments.config import GaussianData, SyntheticRun
from experiments.rng import seed_of

Matrix = NDArray[np.float64]


def covariances(data: GaussianData) -> Matrix:
    """Return Sigma of every component, (components, d, d): one spectrum, different eigenvectors."""
    if data.covariance is not None:
        return np.array(data.covariance, dtype=np.float64)[None]
    if data.spectrum is not None:
        eigenvalues = np.array(data.spectrum, dtype=np.float64)
    else:
        eigenvalues = log_spaced(data.condition_number, data.dimension)
    return np.stack([_turned_by(eigenvalues, data.covariance_seed + z) for z in range(data.components)])


def task_covariance(data: GaussianData) -> Matrix:
    """Return A = E[W_bar^T W_bar], (d, d); its eigenvectors are not those of Sigma."""
    if data.task_covariance is not None:
        return np.array(data.task_covariance, dtype=np.float64)
    return _turned_by(log_spaced(data.task_condition_number, data.dimension), (data.covariance_seed, 1))


def log_spaced(condition_number: float, dimension: int) -> NDArray[np.float64]:
    """Return eigenvalues (dimension,), largest first, log-spaced, of mean 1."""
    eigenvalues = np.geomspace(condition_number, 1.0, dimension)
    return np.asarray(eigenvalues * (dimension / eigenvalues.sum()))


def _turned_by(eigenvalues: NDArray[np.float64], seed: int | tuple[int, ...]) -> Matrix:
    """Return the matrix (d, d) of these eigenvalues and random eigenvectors."""
    if np.all(eigenvalues == eigenvalues[0]):
        return np.asarray(eigenvalues[0] * np.eye(len(eigenvalues)))
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))
    product = (basis * eigenvalues) @ basis.T
    return np.asarray((product + product.T) / 2)


def turned(sigma: Matrix, degrees: float) -> Matrix:
    """Return Sigma (d, d) turned in the plane of its eigenvectors of largest and smallest eigenvalue."""
    _, basis = np.linalg.eigh(sigma)
    low, high = basis[:, 0], basis[:, -1]
    angle = np.deg2rad(degrees)
    plane = np.outer(high, high) + np.outer(low, low)
    quarter = np.outer(low, high) - np.outer(high, low)  # takes `high` to `low`
    rotation = np.eye(len(sigma)) + (np.cos(angle) - 1) * plane + np.sin(angle) * quarter
    return np.asarray(rotation @ sigma @ rotation.T)


def reconditioned(sigma: Matrix, condition_number: float) -> Matrix:
    """Return the matrix (d, d) of Sigma's eigenvectors and trace, its eigenvalues log-spaced anew."""
    eigenvalues, basis = np.linalg.eigh(sigma)
    spaced = log_spaced(condition_number, len(sigma))[::-1] * eigenvalues.mean()
    return np.asarray((basis * spaced) @ basis.T)


def root_of(matrices: Matrix) -> Matrix:
    """Return the Cholesky roots (..., d, d) of covariances."""
    return np.asarray(np.linalg.cholesky(matrices), dtype=np.float64)


def initial_weights(config: SyntheticRun) -> NDArray[np.float64]:
    """Return W_s of every seed before the first task, (seeds, d, d); the same for all its modules."""
    d = config.data.dimension
    scale = config.method.initial_scale / math.sqrt(d)
    sources = [
        np.random.Generator(np.random.SFC64(seed_of(config.seed + index, "weights")))
        for index in range(config.seeds)
    ]
    return np.stack([scale * source.standard_normal((d, d)) for source in sources])
