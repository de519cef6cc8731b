"""Tasks of the linear case study, drawn number by number.

Not here: learning from them (trainer.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.config import GaussianData
from experiments.rng import Key, generator
from experiments.synthetic.theory import covariance

BLOCK = 64  # tasks drawn by one generator; a task's numbers depend on its number alone


@dataclass(frozen=True)
class TaskBlock:
    """Consecutive tasks: w_bar (tasks, 1, d), x (tasks, 2, d, k) and y (tasks, 2, 1, k) for two batches."""

    w_bar: Tensor
    x: Tensor
    y: Tensor


class GaussianTasks:
    """W_bar ~ N(0, I), x ~ N(0, Sigma), y = W_bar x + noise: two fresh batches a task (section 3.1)."""

    def __init__(self, data: GaussianData, *key: Key) -> None:
        self.data = data
        self.key = key
        sigma = covariance(data.dimension, data.condition_number, data.covariance_seed)
        self.sigma = torch.from_numpy(sigma)  # (d, d) float64
        self.root = torch.linalg.cholesky(self.sigma)

    def block(self, index: int) -> TaskBlock:
        """Return the tasks index * BLOCK .. (index + 1) * BLOCK - 1."""
        source = generator(*self.key, index)
        d, k = self.data.dimension, self.data.batch_size

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=source, dtype=torch.float64)

        w_bar = normal(BLOCK, 1, d)
        x = self.root @ normal(BLOCK, 2, d, k)
        y = w_bar[:, None] @ x + self.data.noise * normal(BLOCK, 2, 1, k)
        return TaskBlock(w_bar, x, y)
