"""Pixel-KNN: the nearest support image in pixel space, the floor of Table 2.

Not here: anything that is trained.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.config import ImageRun, PixelKnn
from experiments.data.episodes import Sampler
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table
from experiments.evaluate import accuracy_per_episode, nearest_of_class
from experiments.method import Resources


def build(config: ImageRun, resources: Resources) -> "PixelNeighbour":
    """Return the method of a config."""
    assert isinstance(config.method, PixelKnn)
    table = open_table(config.data, resources.data_dir)
    return PixelNeighbour(config.method, table, evaluation_sampler(table, config.evaluation))


def nearest_logits(support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    """Return minus the squared distance to the nearest support image of each class.

    support (episodes, images, d), labels (images,), query (episodes, queries, d) ->
    (episodes, queries, n_way).
    """
    return -nearest_of_class(-torch.cdist(query, support), labels).square()


class PixelNeighbour:
    """1-nearest-neighbour on the pixels; of drawings ink = 1 (paper Table 2, first row)."""

    def __init__(self, config: PixelKnn, table: ImageTable, sampler: Sampler) -> None:
        self.config = config
        self.table = table
        self.sampler = sampler

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Do nothing: the config allows no steps."""
        return {}

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the pixels (batch, d) of images (batch, *image)."""
        flat = images.flatten(1)
        return normalize(flat, dim=-1) if self.config.distance == "cosine" else flat

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): how near the nearest image of each class is."""
        return nearest_logits(support, labels, query)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing over."""
