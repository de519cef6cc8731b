"""The recursion as the paper writes it, on whole batches, all seeds at once: what fast.py is checked against.

Not here: a learned fast learner (lstm.py), whose seeds cannot share a pass.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.config import SyntheticRun
from experiments.learners.sgd import SgdLearner
from experiments.synthetic.recursion import RECENT, Array, Progress
from experiments.synthetic.sampler import GaussianTasks, TaskBlock
from experiments.synthetic.weights import initial_weights

Learner = Callable[[Tensor, Any], tuple[Tensor, Any]]


def starting_weights(config: SyntheticRun) -> Tensor:
    """Return W_s of every seed before the first task, (seeds, modules, d, d)."""
    weights = torch.from_numpy(initial_weights(config))[:, None]
    return weights.repeat(1, config.module_count, 1, 1)


def fast_gradient(w_f: Tensor, w_s: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return dL/dW_f (..., 1, d) of L = ||W_f W_s x - y||^2 / 2k.

    w_f (..., 1, d), w_s (..., d, d), x (..., d, k), y (..., 1, k).
    """
    return (w_f @ (w_s @ x) - y) @ x.mT @ w_s.mT / x.shape[-1]


def gradient_held(w_f: Tensor, residual: Tensor, x: Tensor) -> Tensor:
    """Return dL/dW_s (..., d, d) of the same L with W_f held fixed (Table 1)."""
    return w_f.mT @ (residual @ x.mT) / x.shape[-1]


def nothing_to_learn(_: list[Tensor]) -> None:
    """Do nothing after a task: plain SGD has learned nothing."""


class DirectRecursion:
    """W_s (seeds, modules, d, d) learns from X and Y themselves.

    `finish` is told the residuals (seeds, 1, k) of a task's slow steps, functions of what the learner learns.
    """

    def __init__(
        self,
        config: SyntheticRun,
        learner: Learner | None = None,
        finish: Callable[[list[Tensor]], None] = nothing_to_learn,
    ) -> None:
        self.config = config
        self.finish = finish
        method = config.method
        self.fresh = method.slow_batch == "fresh"
        batches = 1 + (method.inner_steps if self.fresh else 0)
        seeds = range(config.seed, config.seed + config.seeds)
        self.tasks = [GaussianTasks(config.data, "tasks", seed, batches=batches) for seed in seeds]
        self.precisions = torch.linalg.inv(self.tasks[0].sigmas)
        self.learner: Learner = learner or SgdLearner(method.fast_lr)
        self.w_s = starting_weights(config)
        self.drawn: tuple[int, TaskBlock] | None = None  # the newest block

    def weights(self) -> Array:
        """Return W_s, (seeds, modules, d, d)."""
        return self.w_s.numpy().copy()

    def advance(self, start: int, count: int) -> Progress:
        """Meet the tasks start .. start + count - 1."""
        losses: list[tuple[Tensor, Tensor]] = []
        recent: list[TaskBlock] = []
        for block, rows in self._blocks(start, start + count):
            for row in rows:
                task = _one(block, row)
                losses.append(self.meet(task))
                recent = [*recent[1 - RECENT :], task]
        after, before = (torch.stack([pair[side] for pair in losses]).numpy() for side in (0, 1))
        bad = ~(after <= 1e12 * before)  # (tasks, seeds)
        first = np.where(bad.any(0), start + bad.argmax(0), -1)
        components, w_bar, y_x = zip(*(_seen(task) for task in recent), strict=True)
        return Progress(
            after.sum(0), before.sum(0), first, np.stack(components, 1), np.stack(w_bar, 1), np.stack(y_x, 1)
        )

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[TaskBlock, range]]:
        """Yield the blocks of these tasks, seeds first in every tensor, and the rows that are asked for."""
        size = self.tasks[0].size
        for index in range(start // size, (stop - 1) // size + 1):
            if self.drawn is None or self.drawn[0] != index:
                self.drawn = index, _stacked([tasks.block(index) for tasks in self.tasks])
            yield self.drawn[1], range(max(start - index * size, 0), min(stop - index * size, size))

    def meet(self, task: TaskBlock) -> tuple[Tensor, Tensor]:
        """Learn one task of every seed; return L1 and L0 (seeds,), times k."""
        seeds = torch.arange(len(task.x))
        module = self.choose(task)
        w_f = torch.zeros_like(task.w_bar)
        state = None
        residuals = []
        for step in range(self.config.method.inner_steps):
            slow = 1 + step if self.fresh else 0
            w_s = self.w_s[seeds, module]  # (seeds, d, d)
            before = w_f.detach()
            update, state = self.learner(fast_gradient(before, w_s, task.x[:, 0], task.y[:, 0]), state)
            w_f = w_f + update  # a function of what the learner has learned
            residuals.append(w_f @ (w_s @ task.x[:, slow]) - task.y[:, slow])
            if self.config.method.slow_gradient == "through":
                change = self.gradient_through(before, w_s, task, slow)
            else:
                change = gradient_held(w_f.detach(), residuals[-1].detach(), task.x[:, slow])
            self.w_s[seeds, module] = w_s - self.config.method.slow_lr * change
        self.finish(residuals)
        return residuals[-1].detach().square().sum((-1, -2)), task.y[:, slow].square().sum((-1, -2))

    def gradient_through(self, before: Tensor, w_s: Tensor, task: TaskBlock, batch: int) -> Tensor:
        """Return dL/dW_s (seeds, d, d) on a batch, W_f a function of W_s: one fast step from `before`."""
        x, y = task.x[:, batch], task.y[:, batch]
        with torch.enable_grad():
            weights = w_s.clone().requires_grad_()
            step = fast_gradient(before, weights, task.x[:, 0], task.y[:, 0])
            residual = (before - self.config.method.fast_lr * step) @ (weights @ x) - y
            (change,) = torch.autograd.grad(residual.square().sum() / (2 * x.shape[-1]), weights)
        return change

    def choose(self, task: TaskBlock) -> Tensor:
        """Return the slow module (seeds,) of a task: the only one, its component's, or the likeliest."""
        match self.config.method.slow_modules:
            case "single":
                return torch.zeros_like(task.component)
            case "known":
                return task.component
            case "inferred":
                gram = task.x[:, 0] @ task.x[:, 0].mT  # (seeds, d, d)
                return torch.einsum("zij,sij->sz", self.precisions, gram).argmin(1)

    def state_dict(self) -> dict[str, Any]:
        """Return W_s; W_f is never kept."""
        return {"w_s": self.w_s.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over W_s."""
        self.w_s = state["w_s"].clone()


def _stacked(blocks: list[TaskBlock]) -> TaskBlock:
    """Return the blocks of all seeds as one, tensors (seeds, tasks, ...)."""
    names = ("w_bar", "x", "y", "component")
    return TaskBlock(*(torch.stack([getattr(block, name) for block in blocks]) for name in names))


def _one(block: TaskBlock, row: int) -> TaskBlock:
    """Return one task of every seed, tensors (seeds, ...)."""
    return TaskBlock(block.w_bar[:, row], block.x[:, row], block.y[:, row], block.component[:, row])


def _seen(task: TaskBlock) -> tuple[Array, ...]:
    """Return what Progress keeps of a task: component (seeds,), W_bar and Y X^T (seeds, d)."""
    y_x = task.y[:, 0] @ task.x[:, 0].mT
    return task.component.numpy(), task.w_bar[:, 0].numpy(), y_x[:, 0].numpy()
