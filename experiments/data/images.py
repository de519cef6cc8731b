"""A table of images in memory or memory-mapped, and the classes of each split in it.

Not here: how a data set gets onto the disk, and which images make an episode.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.config import ImageShape
from experiments.errors import ConfigError, DataError, unknown_name
from experiments.splits.omniglot import TURNS


@dataclass(frozen=True)
class ImageTable:
    """Images of things, as many of each, and which things, turned how, are the classes of each split.

    images: uint8 (things, each, height, width) in grey, ink = 255, or (things, each, 3, height, width).
    splits: name -> int64 (n_classes, 2), a row is (thing, quarter turns anticlockwise).
    places: name -> int64 (n_classes, images of each), where not all images of a thing are there: which are.
    alphabet_of: int64 (things,), the alphabet of each, where things are characters of alphabets.
    An image of a split is addressed by index = class * per_class(split) + number.
    """

    images: Tensor
    splits: Mapping[str, Tensor]
    places: Mapping[str, Tensor] | None = None
    alphabet_of: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self.images.device

    @property
    def drawers(self) -> int:
        """How many images of a thing there can be; of a character, how many drawers drew it."""
        return self.images.shape[1]

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height and width of an image."""
        *channels, height, width = self.images.shape[2:]
        return (channels[0] if channels else 1), height, width

    def per_class(self, split: str) -> int:
        """Return how many images each class of the split has."""
        return self.drawers if self.places is None else self.places[split].shape[1]

    def count(self, split: str) -> int:
        """Return how many images the split has."""
        return self.class_count(split) * self.per_class(split)

    def class_count(self, split: str) -> int:
        """Return how many classes the split has; ConfigError if there is no such split."""
        return len(self._classes(split))

    def alphabets(self, split: str) -> Tensor:
        """Return the alphabet of each class of a split (n_classes,), -1 for a class that is turned.

        Raises ConfigError if there is no such split, or there are no alphabets.
        """
        classes = self._classes(split)
        if self.alphabet_of is None:
            raise ConfigError("these images are of no alphabets: use sampling=mixed")
        return torch.where(classes[:, 1] == 0, self.alphabet_of[classes[:, 0]], -1)

    def pixels(self, split: str, index: Tensor) -> Tensor:
        """Return the images at an int64 index of any shape: float32 (*index.shape, *image_shape), ink = 1.

        The result is on the table's device. Of a memory-mapped table only these images are read.
        """
        flat = index.to(self.images.device).flatten()
        each = self.per_class(split)
        number, place = flat // each, flat % each
        things, turns = self._classes(split).index_select(0, number).unbind(1)
        if self.places is not None:
            place = self.places[split][number, place]
        # index_select copies whole images: many times as fast as indexing with brackets.
        rows = self.images.flatten(0, 1).index_select(0, things * self.drawers + place)
        if turns.any():
            rows = _turned(rows, turns)
        return (rows / 255).view(*index.shape, *self.image_shape)

    def to(self, device: torch.device | str) -> "ImageTable":
        """Return the table on another device; on the CPU a memory-mapped table stays memory-mapped."""
        splits = {name: classes.to(device) for name, classes in self.splits.items()}
        places = self.places and {name: each.to(device) for name, each in self.places.items()}
        return replace(self, images=self.images.to(device), splits=splits, places=places)

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
    """Open an images.npy as a memory-mapped uint8 tensor (things, each, [3,] height, width).

    The map is copy-on-write: a write to the tensor never reaches the file. Raises DataError if the file
    cannot be read as such an array.
    """
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): import the data set again") from error
    if array.dtype != np.uint8 or array.ndim not in (4, 5):
        raise DataError(f"{path} holds {array.dtype} of shape {array.shape}, not images: import it again")
    return torch.from_numpy(array)


def _turned(rows: Tensor, turns: Tensor) -> Tensor:
    """Return square images (n, ..., side, side), each turned by its number of quarter turns (n,)."""
    flat = rows.flatten(-2)
    sources = _sources(rows.shape[-1]).to(rows.device).index_select(0, turns)  # (n, side * side)
    if flat.ndim == 3:  # as for all channels
        sources = sources[:, None].expand_as(flat)
    return flat.gather(-1, sources).view_as(rows)


@cache
def _sources(side: int) -> Tensor:
    """Return for each number of quarter turns the pixel that comes to each place (TURNS, side * side)."""
    places = torch.arange(side * side).view(side, side)
    return torch.stack([torch.rot90(places, turn) for turn in range(TURNS)]).flatten(1)
