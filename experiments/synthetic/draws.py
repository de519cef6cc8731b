"""The random numbers of the compiled recursion, addressed by seed and task.

Not here: what is done with them (kernel.py), and whole batches (sampler.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.config import SyntheticRun
from experiments.rng import seed_of

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
