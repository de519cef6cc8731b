"""Random tasks of section 3.1: as whole batches (the reference), and as the few numbers that an update needs.

All an update needs of a batch Z (d + 1, k) is Z Z^T u for a few u: kernel.py says why that can be drawn
direction by direction. A task's numbers depend on seed and task alone.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.config import GaussianData, SyntheticRun
from experiments.linear.covariance import covariances, root_of, task_covariance
from experiments.rng import Key, generator, seed_of

BATCHES = 64  # tasks at most drawn by one generator; a task's numbers depend on its number alone
BATCH_NUMBERS = 2**22


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
        self.size = max(1, min(BATCHES, BATCH_NUMBERS // numbers))  # tasks in a block

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


Array = NDArray[np.float64]
Draws = tuple[NDArray[np.int64], Array, Array, Array, Array, Array]
"""Of each task of a block: its component, d numbers for W_bar, and for the first batch and then for each
fresh one normal numbers (directions, d + 1) and square roots of chi-squared ones (directions,)."""

LARGEST_BLOCK = 256  # tasks
BLOCK_NUMBERS = 2**16


@dataclass(frozen=True)
class Layout:
    """How many numbers a task needs; it depends on the config alone, so they have a fixed place."""

    dimension: int
    batch_size: int
    components: int
    directions: int  # along which the first batch is looked at
    fresh: int  # batches besides the first

    @property
    def block(self) -> int:
        """Tasks drawn by one generator."""
        numbers = self.dimension + (self.directions + self.fresh) * (self.dimension + 1)
        return max(1, min(LARGEST_BLOCK, BLOCK_NUMBERS // numbers))


def layout(config: SyntheticRun) -> Layout:
    """Return the layout of a config's tasks.

    Every fast step looks at the first batch along one direction, every slow step on the same batch along
    one more, every slow gradient through a W_f that was not zero along another; there are d + 1 in all.
    """
    data, method = config.data, config.method
    steps, same = method.inner_steps, method.slow_batch == "same"
    directions = steps * (2 if same else 1) + (steps - 1 if method.slow_gradient == "through" else 0)
    return Layout(
        data.dimension,
        data.batch_size,
        data.components,
        min(directions, data.dimension + 1),
        0 if same else steps,
    )


def draw(plan: Layout, seed: int, block: int) -> Draws:
    """Return the numbers of the tasks block * plan.block .. of one seed."""
    source = np.random.Generator(np.random.SFC64(seed_of(seed, "tasks", block)))
    tasks, size = plan.block, plan.dimension + 1
    component = np.zeros(tasks, dtype=np.int64)
    if plan.components > 1:
        component = source.integers(plan.components, size=tasks)
    w_bar = source.standard_normal((tasks, plan.dimension))
    normals = source.standard_normal((tasks, plan.directions, size))
    normals[:, plan.batch_size :] = 0.0  # k rows have no more than k directions
    chi = chi_numbers(source, plan.batch_size, (tasks,), plan.directions)
    fresh_normals = source.standard_normal((tasks, plan.fresh, size))
    fresh_chi = chi_numbers(source, plan.batch_size, (tasks, plan.fresh), 2)
    return component, w_bar, normals, chi, fresh_normals, fresh_chi


def chi_numbers(source: np.random.Generator, k: int, shape: tuple[int, ...], count: int) -> Array:
    """Return chi-distributed numbers (*shape, count) of k, k - 1, ... degrees of freedom, then 0."""
    numbers = np.zeros((*shape, count))
    for index in range(min(count, k)):
        numbers[..., index] = source.standard_gamma((k - index) / 2, size=shape)
    return np.sqrt(2 * numbers)


class Gram(Protocol):
    """Z Z^T of n batches, Z (n, size, k) standard normal."""

    def times(self, u: Array) -> Array:
        """Return Z Z^T u for u (n, size)."""


@dataclass
class LazyGram:
    """Drawn direction by direction, exact in distribution (see kernel.py for why)."""

    source: np.random.Generator
    k: int
    directions: list[Array] = field(default_factory=list)  # q_j, (n, size), orthonormal
    columns: list[Array] = field(default_factory=list)  # t_j, (n, size)

    def times(self, u: Array) -> Array:
        """Return Z Z^T u for u (n, size)."""
        if len(self.directions) < u.shape[1]:
            self._draw(u)
        return np.asarray(sum(column * _dot(column, u) for column in self.columns))

    def _draw(self, u: Array) -> None:
        """Draw the direction that is new in u, or a zero one where none is."""
        new = _without(_without(u, self.directions), self.directions)
        length = np.sqrt(_dot(new, new))
        known = length <= 1e-10 * np.sqrt(_dot(u, u))
        new = np.where(known, 0.0, new / np.where(known, 1.0, length))
        self.directions.append(new)
        left = self.k - len(self.columns)
        column = _without(self.source.standard_normal(u.shape), self.directions)
        column += new * chi_numbers(self.source, max(left, 0), (len(u),), 1)
        self.columns.append(np.where(known | (left <= 0), 0.0, column))


class WholeGram:
    """Drawn whole: Z itself."""

    def __init__(self, source: np.random.Generator, k: int, n: int, size: int) -> None:
        self.z = source.standard_normal((n, size, k))

    def times(self, u: Array) -> Array:
        """Return Z Z^T u for u (n, size)."""
        return np.asarray((self.z @ (self.z.mT @ u[..., None]))[..., 0])


def _dot(a: Array, b: Array) -> Array:
    """Return inner products (n, 1)."""
    return np.asarray(np.einsum("ni,ni->n", a, b))[:, None]


def _without(vectors: Array, directions: list[Array]) -> Array:
    for direction in directions:
        vectors = vectors - direction * _dot(direction, vectors)
    return vectors
