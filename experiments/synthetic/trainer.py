"""Fast/slow learning of the two-layer linear network, one task after another.

Not here: where it must end (theory.py).
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.config import LinearFastSlow, SyntheticRun
from experiments.method import Resources
from experiments.rng import generator
from experiments.synthetic.sampler import BLOCK, GaussianTasks
from experiments.synthetic.theory import fixed_point, whitening


def build(config: SyntheticRun, resources: Resources) -> "LinearLearning":
    """Return the untrained method of a config; it computes on the CPU, where tiny matrices are fastest."""
    return LinearLearning(config)


def fast_step(w_s: Tensor, x: Tensor, y: Tensor, eta: float) -> Tensor:
    """Return W_f (..., 1, d) after one SGD step from zero: (eta / k) Y X^T W_s^T (paper equation 3).

    w_s (d, d), x (..., d, k), y (..., 1, k).
    """
    return (eta / x.shape[-1]) * (y @ x.mT) @ w_s.mT


class LinearLearning:
    """W_s is kept for life and learns by SGD with rate delta; W_f starts at zero for every task."""

    def __init__(self, config: SyntheticRun) -> None:
        self.config: LinearFastSlow = config.method
        self.data = config.data
        self.evaluation = config.evaluation
        self.tasks = GaussianTasks(config.data, "tasks", config.seed)
        d = config.data.dimension
        source = generator(config.seed, "weights")
        scale = self.config.initial_scale / math.sqrt(d)
        self.w_s = scale * torch.randn(d, d, generator=source, dtype=torch.float64)
        eta, sigma = self.config.fast_lr, self.tasks.sigma.numpy()
        corrected = fixed_point(sigma, np.eye(d), config.data.noise, config.data.batch_size, eta)
        self.whitening = torch.from_numpy(whitening(sigma, eta))
        self.fixed_point = torch.from_numpy(corrected)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Meet `count` tasks; return L1/L0 over them and the distances of S at their end."""
        after = before = torch.zeros((), dtype=torch.float64)
        first = start
        while first < start + count:
            last = min(start + count, (first // BLOCK + 1) * BLOCK)
            block = self.tasks.block(first // BLOCK)
            for task in range(first % BLOCK, first % BLOCK + last - first):
                loss_1, loss_0 = self._task(block.x[task], block.y[task])
                after, before = after + loss_1, before + loss_0
            first = last
        s = self.w_s.mT @ self.w_s
        return {
            "train/loss_ratio": after / before,
            "train/frobenius": (s - self.whitening).square().sum(),
            "train/fixed_point_distance": (s - self.fixed_point).square().sum(),
        }

    def _task(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Learn W_f on the first batch, then W_s on the second, W_f held fixed; return L1 and L0."""
        w_f = fast_step(self.w_s, x[0], y[0], self.config.fast_lr)  # (1, d)
        residual = w_f @ (self.w_s @ x[1]) - y[1]  # (1, k)
        gradient = w_f.mT @ (residual @ x[1].mT) / x.shape[-1]  # (d, d)
        self.w_s = self.w_s - self.config.slow_lr * gradient
        return residual.square().sum(), y[1].square().sum()

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return each fresh task's L1 over the expected L0, so that their mean is E[L1] / E[L0]."""
        tasks = GaussianTasks(self.data, "evaluation", self.evaluation.seed, split)
        blocks = [tasks.block(index) for index in range((episodes.stop - 1) // BLOCK + 1)]
        x = torch.cat([block.x for block in blocks])[episodes.start : episodes.stop]
        y = torch.cat([block.y for block in blocks])[episodes.start : episodes.stop]
        w_f = fast_step(self.w_s, x[:, 0], y[:, 0], self.config.fast_lr)
        loss_1 = (w_f @ self.w_s @ x[:, 1] - y[:, 1]).square().mean((1, 2))
        expected_loss_0 = self.tasks.sigma.trace() + self.data.noise**2
        return {"loss_ratio": loss_1 / expected_loss_0}

    def state_dict(self) -> dict[str, Any]:
        """Return W_s; W_f is never kept."""
        return {"w_s": self.w_s}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over W_s."""
        self.w_s = state["w_s"]
