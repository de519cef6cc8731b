"""A table of images in memory or memory-mapped, and the classes of each split in it.

Not here: how a data set gets onto the disk, and which images make an episode.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.data.protocols import TURNS
from experiments.errors import DataError, unknown_name


@dataclass(frozen=True)
class ImageTable:
    """Images of characters by many drawers, and which of them, turned how, are the classes of each split.

    images: uint8 (characters, drawers, 28, 28), ink = 255.
    splits: name -> int64 (n_classes, 2), a row is (character, quarter turns anticlockwise).
    An image of a split is addressed by index = class * drawers + drawer.
    """

    images: Tensor
    splits: Mapping[str, Tensor]

    @property
    def drawers(self) -> int:
        """How many drawers drew each character."""
        return self.images.shape[1]

    def class_count(self, split: str) -> int:
        """Return how many classes the split has; ConfigError if there is no such split."""
        return len(self._classes(split))

    def pixels(self, split: str, index: Tensor) -> Tensor:
        """Return the images at an int64 index of any shape: float32 (*index.shape, 1, 28, 28), ink = 1.

        The result is on the table's device.
        """
        flat = index.to(self.images.device).flatten()
        classes = self._classes(split)[flat // self.drawers]  # (n, 2)
        rows = self.images.flatten(0, 1)[classes[:, 0] * self.drawers + flat % self.drawers]  # (n, 28, 28)
        if classes[:, 1].any():
            _turn_in_place(rows, classes[:, 1])
        return (rows / 255).view(*index.shape, 1, *rows.shape[1:])

    def to(self, device: torch.device | str) -> "ImageTable":
        """Return the table on another device; on the CPU a memory-mapped table stays memory-mapped."""
        splits = {name: classes.to(device) for name, classes in self.splits.items()}
        return replace(self, images=self.images.to(device), splits=splits)

    def _classes(self, split: str) -> Tensor:
        if split not in self.splits:
            raise unknown_name("split", split, self.splits)
        return self.splits[split]


def split_classes(characters: Iterable[int], *, rotations: bool) -> Tensor:
    """Return a split's rows (character, quarter turns) as int64 (n_classes, 2), turn-major.

    All upright classes come first, so that a class has the same number with and without rotations.
    """
    numbers = list(characters)
    turns = range(TURNS if rotations else 1)
    return torch.tensor([(number, turn) for turn in turns for number in numbers], dtype=torch.int64).view(
        -1, 2
    )


def open_images(path: Path) -> Tensor:
    """Open an images.npy as a memory-mapped uint8 tensor (characters, drawers, height, width).

    The map is copy-on-write: a write to the tensor never reaches the file. Raises DataError if the file
    cannot be read as such an array.
    """
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): import the data set again") from error
    if array.dtype != np.uint8 or array.ndim != 4:
        raise DataError(f"{path} holds {array.dtype} of shape {array.shape}, not images: import it again")
    return torch.from_numpy(array)


def _turn_in_place(rows: Tensor, turns: Tensor) -> None:
    """Turn each image of rows (n, height, width) by its number of quarter turns (n,)."""
    for turn in range(1, TURNS):
        chosen = (turns == turn).nonzero().squeeze(1)
        rows[chosen] = torch.rot90(rows[chosen], turn, dims=(1, 2))
