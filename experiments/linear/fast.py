"""The recursion through sufficient statistics, in the eigenbasis of Sigma, seeds on several threads.

Not here: the compiled loop itself (kernel.py).
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.config import SyntheticRun
from experiments.linear import kernel
from experiments.linear.covariance import covariances, initial_weights, root_of, task_covariance
from experiments.linear.direct import RECENT, Array, Progress
from experiments.linear.tasks import Draws, draw, layout
from experiments.machine import requested_threads, usable_cores


class FastRecursion:
    """W_s as W_s U for Sigma = U diag U^T, where a slow module meets one Sigma alone; else as it is."""

    def __init__(self, config: SyntheticRun, threads: int | None = None) -> None:
        self.config = config
        self.plan = layout(config)
        self.threads = min(config.seeds, threads or requested_threads() or usable_cores())
        sigmas, task_root = covariances(config.data), root_of(task_covariance(config.data))
        self.bases, self.roots = _bases_and_roots(sigmas, config.module_count)
        self.task_roots = _rotated(task_root, self.bases)
        self.w_s = initial_weights(config)[:, None] @ self.bases  # (seeds, modules, d, d)
        self.drawn: dict[int, tuple[int, Draws]] = {}  # seed index -> its newest block

    def weights(self) -> Array:
        """Return W_s, (seeds, modules, d, d)."""
        return np.asarray(self.w_s @ self.bases.mT)

    def advance(self, start: int, count: int) -> Progress:
        """Meet the tasks start .. start + count - 1."""
        seeds = range(self.config.seeds)
        if self.threads > 1:
            with ThreadPoolExecutor(self.threads) as pool:
                parts = list(pool.map(lambda index: self._advance_one(index, start, start + count), seeds))
        else:
            parts = [self._advance_one(index, start, start + count) for index in seeds]
        after, before, diverged, components, w_bar, y_x = (
            np.stack([np.asarray(part[place]) for part in parts]) for place in range(6)
        )
        return Progress(after, before, diverged, components, w_bar, y_x)

    def _advance_one(self, index: int, start: int, stop: int) -> tuple[Any, ...]:
        """Carry one seed on; return its part of a Progress."""
        after, before, diverged = 0.0, 0.0, -1
        size = self.plan.block
        for block in range(start // size, (stop - 1) // size + 1):
            draws = self._draws(index, block)
            first, last = max(start - block * size, 0), min(stop - block * size, size)
            seen = np.empty((size, 2, self.plan.dimension))
            more_after, more_before, bad = self._learn(index, draws, first, last, seen)
            after, before = after + more_after, before + more_before
            if diverged < 0 <= bad:
                diverged = block * size + bad
        recent = slice(max(first, last - RECENT), last)
        components, rows = draws[0][recent], seen[recent]
        back = self._out_of_the_basis(rows, components)
        return after, before, diverged, components, back[:, 0], back[:, 1]

    def _out_of_the_basis(self, rows: Array, components: NDArray[np.int64]) -> Array:
        """Return vectors (n, ..., d) that were in the basis their component's slow module learns in."""
        if len(self.bases) == 1:
            return np.asarray(rows @ self.bases[0].T)
        return np.stack([row @ self.bases[z].T for row, z in zip(rows, components, strict=True)])

    def _learn(
        self, index: int, draws: Draws, first: int, last: int, seen: Array
    ) -> tuple[float, float, int]:
        data, method = self.config.data, self.config.method
        found: tuple[float, float, int] = kernel.learn(
            kernel.work_array(data.dimension, self.plan.directions),
            self.w_s[index],
            self.roots,
            self.task_roots,
            (data.noise, data.batch_size, method.fast_lr, method.slow_lr),
            method.inner_steps,
            method.slow_gradient == "through",
            draws,
            first,
            last,
            seen,
        )
        return found

    def _draws(self, index: int, block: int) -> Draws:
        """Return a block's numbers; the newest is kept, since chunks end within blocks."""
        kept = self.drawn.get(index)
        if kept is None or kept[0] != block:
            kept = self.drawn[index] = (block, draw(self.plan, self.config.seed + index, block))
        return kept[1]

    def state_dict(self) -> dict[str, Any]:
        """Return W_s in the basis it learns in."""
        return {"w_s": torch.from_numpy(self.w_s.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over W_s."""
        self.w_s = state["w_s"].numpy().copy()


def _bases_and_roots(sigmas: Array, modules: int) -> tuple[Array, Array]:
    """Return U (modules, d, d) and the roots of Sigma there, (components, 1, d): diagonals.

    Several Sigmas behind one module have no basis in common, and whole roots (components, d, d).
    """
    d = sigmas.shape[-1]
    if len(sigmas) > modules:
        return np.eye(d)[None], root_of(sigmas)
    if np.array_equal(sigmas[0], sigmas[0, 0, 0] * np.eye(d)):
        return np.eye(d)[None], np.full((1, 1, d), np.sqrt(sigmas[0, 0, 0]))
    eigenvalues, bases = np.linalg.eigh(sigmas)
    return np.asarray(bases), np.asarray(np.sqrt(eigenvalues))[:, None]


def _rotated(root: Array, bases: Array) -> Array:
    """Return roots of U^T A U from a root of A: diagonals (modules, 1, d) where A is a multiple of I."""
    d = len(root)
    if np.array_equal(root, root[0, 0] * np.eye(d)):
        return np.full((len(bases), 1, d), root[0, 0])
    return np.ascontiguousarray(bases.mT @ root)
