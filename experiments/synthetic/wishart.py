"""X X^T of many batches at once, as much of it as is looked at (numpy).

Not here: the compiled form that training uses (kernel.py).
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.synthetic.draws import chi_numbers

Array = NDArray[np.float64]


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
