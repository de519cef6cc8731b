"""Training images: of numbered episodes, or of a random batch of classes."""

import math

import torch
from torch import Tensor

from experiments.config import Jitter
from experiments.data.augment import jitter
from experiments.data.episodes import EpisodeSampler
from experiments.data.images import ImageTable
from experiments.rng import Key, generator

_TOGETHER = 2**19  # numbers in the images that are looked up together: 2 MiB, so that they stay in a cache


class EpisodeImages:
    """The images of training episodes, so many for each step; episodes are numbered through from step 0.

    Those of a few steps are drawn and looked up together, which takes a fraction of the time. The images of a
    step do not depend on which steps these are.
    """

    def __init__(
        self, sampler: EpisodeSampler, split: str, amounts: Jitter, seed: Key, episodes: int = 1
    ) -> None:
        self.sampler = sampler
        self.split = split
        self.amounts = amounts
        self.seed = seed
        self.episodes = episodes
        self.shape = (episodes, sampler.n_way, sum(sampler.sizes), *sampler.table.image_shape)
        self._ahead = max(1, _TOGETHER // math.prod(self.shape))  # steps
        self._looked_up: dict[int, Tensor] = {}

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return support and query of a step, (episodes, n_way, k_shot or n_query, *image) each."""
        if step not in self._looked_up:
            steps = range(step, step + self._ahead)
            numbers = range(steps.start * self.episodes, steps.stop * self.episodes)
            drawn = self.sampler.sample(self.split, numbers)
            index = torch.cat((drawn.support, drawn.query), dim=2).flatten()
            looked_up = self.sampler.table.pixels(self.split, index).chunk(len(steps))
            self._looked_up = dict(zip(steps, looked_up, strict=True))
        source = generator(self.seed, "jitter", step * self.episodes)
        images = jitter(self._looked_up[step], source, self.amounts).view(self.shape)
        support, query = images.split(self.sampler.sizes, dim=2)
        return support, query


def class_batch(
    table: ImageTable, split: str, size: int, amounts: Jitter, source: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return images (size, *image_shape) drawn from all of a split, and the class of each."""
    index = torch.randint(table.count(split), (size,), generator=source)
    return jitter(table.pixels(split, index), source, amounts), index // table.per_class(split)
