"""What methods ask of a table of images, or of features of images.

Not here: the tables (images.py, features.py).
"""

from typing import Protocol

import torch
from torch import Tensor


class Table(Protocol):
    """Images or features of the classes of some splits, addressed by numbers."""

    @property
    def device(self) -> torch.device:
        """Where they lie."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image, or the length of a feature alone."""

    @property
    def drawers(self) -> int:
        """How many images of a class there can be."""

    def class_count(self, split: str) -> int:
        """Return how many classes the split has."""

    def per_class(self, split: str) -> int:
        """Return how many images each class of the split has at least."""

    def count(self, split: str) -> int:
        """Return how many images the split has."""

    def pixels(self, split: str, index: Tensor) -> Tensor:
        """Return the images or features at an index of any shape: float32 (*index.shape, *image_shape)."""
