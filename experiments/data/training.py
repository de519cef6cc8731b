"""Images to learn from: a split's classes, their mirror images as further classes, each image changed.

Not here: which classes and drawers a step draws (methods/), and how an image is changed (augment.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.config import Jitter
from experiments.data.augment import jitter
from experiments.data.images import ImageTable


@dataclass(frozen=True)
class TrainingClasses:
    """The classes of a split; with `mirrored` those from half of the count on are mirror images."""

    table: ImageTable
    split: str
    mirrored: bool
    amounts: Jitter

    @property
    def count(self) -> int:
        """How many classes there are."""
        return self.table.class_count(self.split) * (2 if self.mirrored else 1)

    def images(self, classes: Tensor, drawers: Tensor, source: torch.Generator) -> Tensor:
        """Return images (n, 1, 28, 28) of classes (n,) by drawers (n,), changed at random."""
        unmirrored = self.table.class_count(self.split)
        images = self.table.pixels(self.split, classes % unmirrored * self.table.drawers + drawers)
        turned_over = (classes >= unmirrored)[:, None, None, None]
        if self.mirrored:
            images = torch.where(turned_over, images.flip(-1), images)
        return jitter(images, source, self.amounts)
