"""The training tasks of fast/slow learning: what theta adapts on and is judged on, inner step by inner step.

Not here: the adaptation itself (fastslow.py).
"""

import torch
from torch import Tensor

from experiments.config import FastSlow
from experiments.data.table import Table
from experiments.data.training import TrainingClasses
from experiments.rng import generator

Batch = tuple[Tensor, Tensor]  # images (n_way * per class, *image) to adapt on, and to be judged on


class TaskSource:
    """Draws numbered tasks of some classes of C_meta, or, for a share of the tasks, of C_base."""

    def __init__(self, config: FastSlow, table: Table, k_shot: int, seed: int) -> None:
        self.config = config
        self.k_shot = k_shot
        self.seed = seed
        self.meta, self.base = (
            TrainingClasses(table, (split,), config.mirrored, config.jitter) for split in ("meta", "base")
        )

    def batches(self, task: int) -> list[Batch]:
        """Return the two batches of each inner step, images class by class.

        fresh: a new batch serves both, as Table 1 prints it. support: theta sees the task's k_shot
        images at every step, as in the test, and a new batch judges it.
        """
        source = generator(self.seed, "task", task)
        from_base = float(torch.rand((), generator=source)) < self.config.base_share
        pool = self.base if from_base else self.meta
        classes = torch.randperm(pool.count, generator=source)[: self.config.train_n_way]
        drawers = torch.rand(len(classes), pool.each, generator=source).argsort(1)
        support, rest = drawers.split([self.k_shot, pool.each - self.k_shot], dim=1)
        per_class = self.config.batch_per_class
        judged = [torch.arange(j * per_class, (j + 1) * per_class) for j in range(self.config.inner_steps)]
        fresh = [rest[:, columns % rest.shape[1]] for columns in judged]
        if self.config.inner_batch == "fresh":
            return [(batch, batch) for batch in _images(pool, classes, fresh, source)]
        images = _images(pool, classes, [part for batch in fresh for part in (support, batch)], source)
        return list(zip(images[::2], images[1::2], strict=True))


def _images(
    pool: TrainingClasses, classes: Tensor, parts: list[Tensor], source: torch.Generator
) -> tuple[Tensor, ...]:
    """Return the images of each part, drawers (n_way, columns), all gathered and changed at once."""
    every = torch.cat([classes.repeat_interleave(part.shape[1]) for part in parts])
    images = pool.images(every, torch.cat([part.flatten() for part in parts]), source)
    split: tuple[Tensor, ...] = images.split([part.numel() for part in parts])
    return split
