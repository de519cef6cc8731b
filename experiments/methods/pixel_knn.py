"""Pixel-KNN: the nearest support image in pixel space, the floor of Table 2.

Not here: anything that is trained.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.config import ImageRun, PixelKnn
from experiments.data.episodes import EpisodeSampler
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table
from experiments.evaluate import embed_episodes, episode_accuracy
from experiments.method import Resources


def build(config: ImageRun, resources: Resources) -> "PixelNeighbour":
    """Return the method of a config."""
    assert isinstance(config.method, PixelKnn)
    table = open_table(config.data, resources.data_dir)
    return PixelNeighbour(config.method, table, evaluation_sampler(table, config.evaluation))


def nearest_logits(support: Tensor, query: Tensor) -> Tensor:
    """Return minus the squared distance to the nearest support image of each class.

    support (episodes, n_way, k_shot, d), query (episodes, n_way, n_query, d) ->
    (episodes, n_way, n_query, n_way).
    """
    episodes, n_way, k_shot, _ = support.shape
    distance = torch.cdist(query.flatten(1, 2), support.flatten(1, 2))  # (episodes, queries, n_way * k_shot)
    nearest = distance.view(episodes, -1, n_way, k_shot).amin(-1)
    return -nearest.square().view(episodes, n_way, -1, n_way)


class PixelNeighbour:
    """1-nearest-neighbour on 28x28 pixels, ink = 1 (paper Table 2, first row)."""

    def __init__(self, config: PixelKnn, table: ImageTable, sampler: EpisodeSampler) -> None:
        self.config = config
        self.table = table
        self.sampler = sampler

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Do nothing: the config allows no steps."""
        return {}

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode."""
        parts = [range(first, min(first + 100, episodes.stop)) for first in episodes[::100]]
        return {"accuracy": torch.cat([self._accuracy(split, part) for part in parts])}

    def _accuracy(self, split: str, part: range) -> Tensor:
        """Return the accuracy of a block of episodes; blocks keep the pixels in memory few."""
        support, query = embed_episodes(self.table, split, self.sampler.sample(split, part), self._flat)
        return episode_accuracy(nearest_logits(support, query))

    def _flat(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return normalize(flat, dim=-1) if self.config.distance == "cosine" else flat

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing over."""
