"""A table of features instead of images: memory-mapped shards, and the classes of each split in them.

Not here: how they are computed (embedding.py) or drawn (drawn.py), and the index (index.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.data.episodes import Episodes
from experiments.errors import ConfigError, DataError, unknown_name
from experiments.features.index import TAIL, FeatureClass, FeatureIndex, KeptPart
from experiments.rng import Key, generator

LEARNED_FROM = ("train", "base", "meta")  # of these every class has as many images
BLIND = ("val", "test")


@dataclass(frozen=True)
class SplitRows:
    """Where the images of a split lie: origin (n_classes,) of each class's first row, images (n_classes,)."""

    origin: Tensor
    images: Tensor

    @property
    def first(self) -> Tensor:
        """The index of each class's first image, and the number of all (n_classes + 1,)."""
        return torch.nn.functional.pad(self.images.cumsum(0), (1, 0))


@dataclass(frozen=True)
class StoredTail:
    """The last block of the backbone, which goes on from what the table holds: its weights, and its shape."""

    weights: Path
    kept: KeptPart


@dataclass(frozen=True)
class FeatureTable:
    """Features of images, addressed as an ImageTable's images are, but that classes may differ in size.

    shards: float16 (rows, *image_shape) each. splits: name -> where its images lie. In the splits that are
    learned from every class has as many images, so that index = class * per_class(split) + number there.
    """

    shards: Sequence["np.ndarray[Any, np.dtype[np.float16]]"]
    splits: Mapping[str, SplitRows]
    tail: StoredTail | None = None

    @property
    def device(self) -> torch.device:
        """Where the features lie."""
        return torch.device("cpu")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The length of a feature, or the shape of the last block's input where that is kept."""
        return tuple(self.shards[0].shape[1:])

    @property
    def drawers(self) -> int:
        """How many images of a class there can be."""
        return max(int(rows.images.max()) for rows in self.splits.values())

    def class_count(self, split: str) -> int:
        """Return how many classes the split has; ConfigError if there is no such split."""
        return len(self.rows(split).images)

    def per_class(self, split: str) -> int:
        """Return how many images each class of the split has at least."""
        return int(self.rows(split).images.min())

    def count(self, split: str) -> int:
        """Return how many images the split has."""
        return int(self.rows(split).images.sum())

    def pixels(self, split: str, index: Tensor) -> Tensor:
        """Return the features float32 (*index.shape, *image_shape) of images; only these are read."""
        rows = self.rows(split)
        flat = index.flatten().contiguous()
        first = rows.first
        chosen = torch.searchsorted(first, flat, right=True) - 1
        place = (rows.origin[chosen] + flat - first[chosen]).numpy()
        starts = np.cumsum([0, *(len(shard) for shard in self.shards)])
        shards = np.searchsorted(starts, place, side="right") - 1
        features = np.empty((len(flat), *self.image_shape), dtype=np.float32)
        for shard in np.unique(shards):
            here = shards == shard
            features[here] = self.shards[shard][place[here] - starts[shard]]
        return torch.from_numpy(features).view(*index.shape, *self.image_shape)

    def rows(self, split: str) -> SplitRows:
        """Return where the images of a split lie; ConfigError if there is no such split."""
        if split not in self.splits:
            raise unknown_name("split", split, self.splits)
        return self.splits[split]


@dataclass(frozen=True)
class UnevenSampler:
    """Draws n_way classes and k_shot + n_query different images of each, where classes differ in size.

    Episode i depends on (key, split, i), the three sizes and the sizes of the split's classes alone.
    """

    table: FeatureTable
    n_way: int
    k_shot: int
    n_query: int
    key: tuple[Key, ...]

    def sample(self, split: str, indices: range) -> Episodes:
        """Return the episodes with these numbers; ConfigError where there are too few classes or images."""
        rows = self.table.rows(split)
        if self.n_way > len(rows.images):
            raise ConfigError(
                f"n_way {self.n_way} is more than the {len(rows.images)} {split} classes: lower it"
            )
        index = torch.stack([self._episode(rows, generator(*self.key, split, each)) for each in indices])
        return Episodes(index[..., : self.k_shot], index[..., self.k_shot :])

    def _episode(self, rows: SplitRows, source: torch.Generator) -> Tensor:
        order = torch.rand(len(rows.images), generator=source, dtype=torch.float64)
        classes = order.topk(self.n_way).indices
        numbers = different(rows.images[classes], self.k_shot + self.n_query, source)
        return rows.first[classes, None] + numbers


def different(sizes: Tensor, count: int, source: torch.Generator) -> Tensor:
    """Return (n, count): different numbers below each of sizes (n,), in any order."""
    if int(sizes.min()) < count:
        raise ConfigError(
            f"a class has {int(sizes.min())} images, and an episode needs {count}: lower n_query"
        )
    uniform = torch.rand(len(sizes), count, generator=source, dtype=torch.float64)
    drawn = torch.empty(len(sizes), count, dtype=torch.int64)
    for column in range(count):
        rank = (uniform[:, column] * (sizes - column)).long()  # among the numbers that are left
        for taken in drawn[:, :column].sort(1).values.T:
            rank += rank >= taken
        drawn[:, column] = rank
    return drawn


def open_feature_table(folder: Path, index: FeatureIndex, train_images: int) -> FeatureTable:
    """Open the memory-mapped features in a folder.

    Of each class that is learned from the first train_images images are used; classes with fewer are not.
    Raises DataError where a shard is damaged or missing.
    """
    shards = [_open_shard(folder / file, (rows, *index.kept)) for file, rows in index.shards]
    splits = {}
    for split in (*LEARNED_FROM, *BLIND):
        used = list(_used(index.classes_of(split), split, train_images))
        if used:
            origin, images = zip(*used, strict=True)
            splits[split] = SplitRows(torch.tensor(origin), torch.tensor(images))
    return FeatureTable(shards, splits, StoredTail(folder / TAIL, index.tail) if index.tail else None)


def _used(classes: Sequence[FeatureClass], split: str, train_images: int) -> Iterator[tuple[int, int]]:
    for each in classes:
        if split in BLIND:
            yield each.first, each.images
        elif each.images >= train_images:
            yield each.first, train_images


def _open_shard(path: Path, shape: tuple[int, ...]) -> "np.ndarray[Any, np.dtype[np.float16]]":
    try:
        shard = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged or missing: embed the images again under another name") from error
    if shard.dtype != np.float16 or shard.shape != shape:
        raise DataError(f"{path} holds {shard.dtype} {shard.shape}, not features: embed the images again")
    checked: np.ndarray[Any, np.dtype[np.float16]] = shard
    return checked
