"""Tasks of the linear case study with whole batches, drawn number by number: the reference.

Not here: learning from them (direct.py), and the fast path's numbers (draws.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.config import GaussianData
from experiments.rng import Key, generator
from experiments.synthetic.covariance import covariances, root_of, task_covariance

BLOCK = 64  # tasks at most drawn by one generator; a task's numbers depend on its number alone
BLOCK_NUMBERS = 2**22


@dataclass(frozen=True)
class TaskBlock:
    """Consecutive tasks: w_bar (tasks, 1, d), x (tasks, batches, d, k), y (tasks, batches, 1, k).

    component (tasks,): which Sigma the inputs of each task come from.
    """

    w_bar: Tensor
    x: Tensor
    y: Tensor
    component: Tensor


class GaussianTasks:
    """W_bar ~ N(0, A), x ~ N(0, Sigma_z), y = W_bar x + noise: fresh batches for each task (section 3.1)."""

    def __init__(self, data: GaussianData, *key: Key, batches: int = 2) -> None:
        self.data = data
        self.key = key
        self.batches = batches
        self.sigmas = torch.from_numpy(covariances(data))  # (components, d, d) float64
        self.roots = torch.linalg.cholesky(self.sigmas)
        self.task_root = torch.from_numpy(root_of(task_covariance(data)))
        numbers = batches * data.dimension * data.batch_size
        self.size = max(1, min(BLOCK, BLOCK_NUMBERS // numbers))  # tasks in a block

    def block(self, index: int) -> TaskBlock:
        """Return the tasks index * size .. (index + 1) * size - 1."""
        source = generator(*self.key, index)
        d, k, tasks = self.data.dimension, self.data.batch_size, self.size

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=source, dtype=torch.float64)

        component = torch.zeros(tasks, dtype=torch.long)
        if self.data.components > 1:
            component = torch.randint(self.data.components, (tasks,), generator=source)
        w_bar = normal(tasks, 1, d) @ self.task_root.mT
        x = self.roots[component][:, None] @ normal(tasks, self.batches, d, k)
        y = w_bar[:, None] @ x + self.data.noise * normal(tasks, self.batches, 1, k)
        return TaskBlock(w_bar, x, y, component)
