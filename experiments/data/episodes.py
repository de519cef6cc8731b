"""Episodes addressed by number: which images are support and query of episode i.

Not here: the pixels, see images.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from experiments.data.table import Table
from experiments.errors import ConfigError
from experiments.rng import Key, seed_of

_CHUNK = 256  # episodes sampled at once: their random numbers stay in the cache


@dataclass(frozen=True)
class Episodes:
    """Image indices of some episodes; an image's label is its position along n_way.

    support: int64 (episodes, n_way, k_shot); query: int64 (episodes, n_way, n_query).
    """

    support: Tensor
    query: Tensor


class Sampler(Protocol):
    """Draws numbered episodes; the same number is always the same episode."""

    @property
    def n_way(self) -> int:
        """Classes of an episode."""

    @property
    def k_shot(self) -> int:
        """Support images of each class."""

    @property
    def n_query(self) -> int:
        """Query images of each class."""

    def sample(self, split: str, indices: range) -> Episodes:
        """Return the episodes with these numbers, in this order; ConfigError where there are none such."""


@dataclass(frozen=True)
class EpisodeSampler:
    """Draws n_way classes and k_shot + n_query different drawings of each.

    Episode i depends on (key, split, i), the three sizes and the split's numbers of classes and images alone.
    Raises ConfigError when a class has too few drawings or a size is not positive.
    """

    table: Table
    n_way: int
    k_shot: int
    n_query: int
    key: tuple[Key, ...]

    def __post_init__(self) -> None:
        if min(self.n_way, self.k_shot, self.n_query) < 1:
            raise ConfigError(
                f"n_way {self.n_way}, k_shot {self.k_shot}, n_query {self.n_query}: each must be at least 1"
            )
        self._check_images(self.table.drawers)

    def sample(self, split: str, indices: range) -> Episodes:
        """Return the episodes with these numbers, in this order.

        Raises ConfigError when the split is unknown, has fewer than n_way classes or too few images of each.
        """
        n_classes, each = self.table.class_count(split), self.table.per_class(split)
        self._check_images(each)
        if self.n_way > n_classes:
            raise ConfigError(
                f"n_way {self.n_way} is more than the {n_classes} classes of split {split!r}: lower n_way"
            )
        index = torch.empty(len(indices), self.n_way, self.k_shot + self.n_query, dtype=torch.int64)
        for start in range(0, len(indices), _CHUNK):
            chunk = indices[start : start + _CHUNK]
            index[start : start + _CHUNK] = self._draw(
                self._uniform(split, chunk, n_classes, each), n_classes, each
            )
        return Episodes(*index.split(self.sizes, dim=2))

    @property
    def sizes(self) -> tuple[int, int]:
        """Support and query images of each class."""
        return self.k_shot, self.n_query

    def _check_images(self, each: int) -> None:
        if self.k_shot + self.n_query > each:
            raise ConfigError(
                f"k_shot {self.k_shot} + n_query {self.n_query} is more than the {each} images a class has: "
                "lower one of them"
            )

    def _uniform(self, split: str, indices: range, n_classes: int, each: int) -> Tensor:
        """Return each episode's own random numbers in [0, 1): (episodes, n_classes + n_way * each)."""
        # float64, because a tie (likely in float32 over many episodes) would sort as the machine likes.
        numbers = torch.empty(len(indices), n_classes + self.n_way * each, dtype=torch.float64)
        for row, source in zip(numbers, self._generators(split, indices), strict=True):
            row.uniform_(generator=source)
        return numbers

    def _generators(self, split: str, indices: range) -> Iterator[torch.Generator]:
        source = torch.Generator()  # one for all, for none is needed once its numbers are drawn
        return (source.manual_seed(seed_of(*self.key, split, index)) for index in indices)

    def _draw(self, numbers: Tensor, n_classes: int, each: int) -> Tensor:
        """Turn random numbers into image indices (episodes, n_way, k_shot + n_query)."""
        classes = numbers[:, :n_classes].topk(self.n_way, dim=1).indices  # (episodes, n_way), all different
        per_class = numbers[:, n_classes:].view(len(numbers), self.n_way, each)
        drawers = per_class.topk(sum(self.sizes), dim=2, largest=False).indices  # in rising order
        return classes[..., None] * each + drawers
