"""What carries W_s from task to task, and the way the paper writes it: on whole batches.

With SGD all seeds learn at once. With a learned fast learner each seed has a g of its own: one after another.
fast.py is the quick way, which is checked against this one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.config import LinearFastSlowConfig, SyntheticRun
from experiments.learners.coordinate_lstm import CoordinateLstm
from experiments.learners.sgd import SgdLearner
from experiments.linear.covariance import initial_weights
from experiments.linear.tasks import GaussianTasks, TaskBlock
from experiments.rng import generator

Array = NDArray[np.float64]
Update = Callable[[Array, Any], tuple[Array, Any]]
"""A fast learner: gradient of W_f (n, d) and state in, update and next state out."""

RECENT = 16  # tasks at most whose gradients a chunk is judged by


@dataclass(frozen=True)
class Progress:
    """What some tasks in turn came to, for every seed.

    after, before (seeds,): sums of L1 and of L0, both times k. diverged (seeds,): the first task at which L1
    was no number or beyond all bounds, -1 where none is. Of the last tasks, at most RECENT: components
    (seeds, n), w_bar (seeds, n, d) and y_x (seeds, n, d), which is Y X^T of the batch W_f learned from.
    """

    after: Array
    before: Array
    diverged: NDArray[np.int64]
    components: NDArray[np.int64]
    w_bar: Array
    y_x: Array


class Recursion(Protocol):
    """W_s of every seed, learning from one task after another."""

    def weights(self) -> Array:
        """Return W_s, (seeds, modules, d, d)."""

    def advance(self, start: int, count: int) -> Progress:
        """Meet the tasks start .. start + count - 1, addressed by number."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that learning changes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state_dict, so that learning goes on as if it had never stopped."""


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


class LstmRecursion:
    """Each seed has a g of its own, so seeds learn one after another."""

    def __init__(self, config: SyntheticRun) -> None:
        self.seeds = [
            _LstmSeed(config.model_copy(update={"seed": config.seed + index, "seeds": 1}))
            for index in range(config.seeds)
        ]

    def weights(self) -> Array:
        """Return W_s, (seeds, modules, d, d)."""
        return np.concatenate([seed.direct.weights() for seed in self.seeds])

    def advance(self, start: int, count: int) -> Progress:
        """Meet the tasks start .. start + count - 1."""
        parts = [seed.direct.advance(start, count) for seed in self.seeds]
        names = ("after", "before", "diverged", "components", "w_bar", "y_x")
        return Progress(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def update(self, index: int) -> Update:
        """Return g of a seed as it is now, for gradients (n, d) in numpy."""
        g = self.seeds[index].g

        def update(gradient: Array, state: Any) -> tuple[Array, Any]:
            with torch.no_grad():
                change, following = g(torch.from_numpy(gradient), state)
            return change.numpy(), following

        return update

    def state_dict(self) -> dict[str, Any]:
        """Return W_s, g and Adam of every seed."""
        return {"seeds": [seed.state_dict() for seed in self.seeds]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over W_s, g and Adam of every seed."""
        for seed, saved in zip(self.seeds, state["seeds"], strict=True):
            seed.load_state_dict(saved)


class _LstmSeed:
    """One seed: after every task, g follows the gradient of the sum of its slow steps' losses (Table 1)."""

    def __init__(self, config: SyntheticRun) -> None:
        method = config.method
        self.g = new_learner(method, generator(config.seed, "learner"))
        self.adam = torch.optim.Adam(self.g.parameters(), lr=method.meta_lr)
        self.direct = DirectRecursion(config, self.g, self._meta_step)

    def _meta_step(self, residuals: list[Tensor]) -> None:
        loss = torch.stack([residual.square().mean() / 2 for residual in residuals]).sum()
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.g.parameters(), 1.0)
        self.adam.step()

    def state_dict(self) -> dict[str, Any]:
        return {
            "direct": self.direct.state_dict(),
            "learner": self.g.state_dict(),
            "adam": self.adam.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.direct.load_state_dict(state["direct"])
        self.g.load_state_dict(state["learner"])
        self.adam.load_state_dict(state["adam"])


def new_learner(method: LinearFastSlowConfig, source: torch.Generator) -> CoordinateLstm:
    """Return an untrained g in double precision; its first updates are those of SGD with rate fast_lr."""
    return CoordinateLstm(
        method.hidden_size, method.layers, method.output_scale, method.fast_lr, source
    ).double()
