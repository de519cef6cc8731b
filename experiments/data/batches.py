"""Training images: of numbered episodes, or of a random batch of classes.

Not here: which images those are in an episode (episodes.py), and how they are changed (augment.py).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from experiments.config import Jitter
from experiments.data.augment import jitter
from experiments.data.episodes import EpisodeSampler
from experiments.data.images import ImageTable
from experiments.rng import Key, generator

_TOGETHER = 2**19  # numbers in the images that are looked up together: 2 MiB, so that they stay in a cache


def episode_images(
    sampler: EpisodeSampler, split: str, steps: range, amounts: Jitter, seed: Key, episodes: int = 1
) -> Iterator[tuple[int, Tensor]]:
    """Yield each step and its images (episodes, n_way, k_shot + n_query, *image), the support's first.

    Episodes are numbered through from step 0. Those of a few steps are drawn and looked up together, which
    takes a fraction of the time; they do not depend on which steps these are.
    """
    shape = (episodes, sampler.n_way, sum(sampler.sizes), *sampler.table.image_shape)
    together = max(1, _TOGETHER // math.prod(shape))
    for begin in steps[::together]:
        some = range(begin, min(begin + together, steps.stop))
        drawn = sampler.sample(split, range(begin * episodes, some.stop * episodes))
        index = torch.cat((drawn.support, drawn.query), dim=2).flatten()
        images = sampler.table.pixels(split, index).chunk(len(some))
        for step, looked_up in zip(some, images, strict=True):
            source = generator(seed, "jitter", step * episodes)
            yield step, jitter(looked_up, source, amounts).view(shape)


def class_batch(
    table: ImageTable, split: str, size: int, amounts: Jitter, source: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return images (size, *image_shape) drawn from all of a split, and the class of each."""
    index = torch.randint(table.count(split), (size,), generator=source)
    return jitter(table.pixels(split, index), source, amounts), index // table.per_class(split)
