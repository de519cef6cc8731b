"""Images to learn from: the classes of some splits, their mirror images as further classes, all changed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.config import Jitter
from experiments.data.augment import jitter
from experiments.data.episodes import Episodes
from experiments.data.table import Table


@dataclass(frozen=True)
class TrainingClasses:
    """The classes of some splits, in order; with `mirrored` as many mirror images come behind them."""

    table: Table
    splits: tuple[str, ...]
    mirrored: bool
    amounts: Jitter

    @property
    def each(self) -> int:
        """How many images every class has at least."""
        return min(self.table.per_class(split) for split in self.splits)

    @property
    def unmirrored(self) -> int:
        """How many classes there are without the mirror images."""
        return sum(self.table.class_count(split) for split in self.splits)

    @property
    def count(self) -> int:
        """How many classes there are."""
        return self.unmirrored * (2 if self.mirrored else 1)

    def draw(self, ways: int, images: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return class and drawer (ways * images,) of so many different images of each of some classes."""
        classes = torch.randperm(self.count, generator=source)[:ways]
        drawers = torch.rand(ways, self.each, generator=source).argsort(1)[:, :images]
        return classes.repeat_interleave(images), drawers.flatten()

    def images(self, classes: Tensor, drawers: Tensor, source: torch.Generator) -> Tensor:
        """Return images (n, *image_shape) of classes (n,) by drawers (n,), changed at random."""
        images = self._upright(classes % self.unmirrored, drawers)
        if self.mirrored:
            turned_over = (classes >= self.unmirrored)[:, None, None, None]
            images = torch.where(turned_over, images.flip(-1), images)
        return jitter(images, source, self.amounts)

    def _upright(self, classes: Tensor, drawers: Tensor) -> Tensor:
        size = (len(classes), *self.table.image_shape)
        images = torch.empty(size, device=self.table.device)
        first = 0
        for split in self.splits:
            chosen = (classes >= first) & (classes < first + self.table.class_count(split))
            index = (classes[chosen] - first) * self.table.per_class(split) + drawers[chosen]
            images[chosen] = self.table.pixels(split, index)
            first += self.table.class_count(split)
        return images


def episodes_in_batch(
    classes: int, images: int, n_way: int, shots: int, count: int, source: torch.Generator
) -> Episodes:
    """Return episodes of the images of one batch, which lie class by class, `images` of each class.

    An episode has n_way different classes and uses every image of them once: `shots` in the support, the
    others as queries. Indices (count, n_way, shots) and (count, n_way, images - shots) are into the batch.
    """
    chosen = torch.rand(count, classes, generator=source).argsort(1)[:, :n_way, None]
    order = torch.rand(count, n_way, images, generator=source).argsort(-1)
    support, query = (chosen * images + order).split([shots, images - shots], dim=-1)
    return Episodes(support, query)
