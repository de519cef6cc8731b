"""Tasks drawn plainly and learned by automatic differentiation: what the closed forms are tested against."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]

SIGMA = np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.5]])
A = np.array([[0.5, 0.2, 0.0], [0.2, 1.5, 0.4], [0.0, 0.4, 0.8]])  # does not commute with SIGMA
W_S = np.array([[1.1, 0.2, -0.3], [0.0, 0.9, 0.5], [0.4, -0.2, 1.3]])
NOISE, K, ETA = 0.5, 4, 0.3


@dataclass(frozen=True)
class Drawn:
    """Tasks w_bar (n, 1, d) with two batches each: x (n, d, k) and y (n, 1, k), X2 and Y2 the second."""

    w_bar: Tensor
    x: Tensor
    y: Tensor
    x2: Tensor
    y2: Tensor


def draw(
    n: int, *, sigma: Matrix = SIGMA, a: Matrix = A, k: int = K, noise: float = NOISE, seed: int = 0
) -> Drawn:
    source = torch.Generator().manual_seed(seed)
    root, task_root = (torch.from_numpy(np.linalg.cholesky(matrix)) for matrix in (sigma, a))
    d = len(sigma)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    w_bar = normal(n, 1, d) @ task_root.T
    x, x2 = root @ normal(n, d, k), root @ normal(n, d, k)
    return Drawn(w_bar, x, w_bar @ x + noise * normal(n, 1, k), x2, w_bar @ x2 + noise * normal(n, 1, k))


def fast_weights(w_s: Tensor, tasks: Drawn, *, eta: float = ETA, through: bool = False) -> Tensor:
    """Return W_f (n, 1, d) after one step of SGD from zero on the first batches, by autograd."""
    w_f = torch.zeros_like(tasks.w_bar).requires_grad_()
    loss = (w_f @ w_s @ tasks.x - tasks.y).square().sum() / (2 * tasks.x.shape[-1])
    (gradient,) = torch.autograd.grad(loss, w_f, create_graph=through)
    return -eta * gradient


def slow_gradients(w_s: Matrix, tasks: Drawn, *, slow_batch: str, slow_gradient: str) -> Tensor:
    """Return each task's gradient (n, d, d) of W_s after the fast step, by autograd."""
    through = slow_gradient == "through"
    each = torch.from_numpy(w_s).expand(len(tasks.w_bar), -1, -1).clone().requires_grad_()
    w_f = fast_weights(each if through else each.detach(), tasks, through=through)
    x, y = (tasks.x2, tasks.y2) if slow_batch == "fresh" else (tasks.x, tasks.y)
    loss = (w_f @ each @ x - y).square().sum() / (2 * x.shape[-1])
    (gradient,) = torch.autograd.grad(loss, each)
    return gradient


def excess(samples: Tensor, expected: Matrix | float) -> float:
    """Return how far the samples' mean (n, ...) is from what was expected, in standard errors, at most."""
    error = samples.std(0) / len(samples) ** 0.5
    return float(((samples.mean(0) - torch.as_tensor(expected)) / error).abs().max())
