"""Pixel-KNN: the nearest support image in pixel space, the floor of Table 2."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.config import PixelKnnConfig
from experiments.evaluate import nearest_of_class
from experiments.methods.base import ImageMethod


def nearest_logits(support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    """Return minus the squared distance to the nearest support image of each class.

    support (episodes, images, d), labels (images,), query (episodes, queries, d) ->
    (episodes, queries, n_way).
    """
    return -nearest_of_class(-torch.cdist(query, support), labels).square()


class PixelKnn(ImageMethod[PixelKnnConfig]):
    """1-nearest-neighbour on the pixels; of drawings ink = 1 (paper Table 2, first row)."""

    def embed(self, images: Tensor) -> Tensor:
        """Return the pixels (batch, d) of images (batch, *image)."""
        flat = images.flatten(1)
        return normalize(flat, dim=-1) if self.config.distance == "cosine" else flat

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): how near the nearest image of each class is."""
        return nearest_logits(support, labels, query)
