"""Training images: of one numbered episode, or of a random batch of classes.

Not here: which images those are in an episode (episodes.py), and how they are changed (augment.py).
"""

import torch
from torch import Tensor

from experiments.config import Jitter
from experiments.data.augment import jitter
from experiments.data.episodes import EpisodeSampler
from experiments.data.images import ImageTable
from experiments.rng import Key, generator


def episode_images(
    sampler: EpisodeSampler, split: str, numbers: range, amounts: Jitter, seed: Key
) -> tuple[Tensor, Tensor]:
    """Return support (episodes, n_way, k_shot, *image) and query (episodes, n_way, n_query, *image)."""
    drawn = sampler.sample(split, numbers)
    index = torch.cat((drawn.support, drawn.query), dim=-1)
    source = generator(seed, "jitter", numbers.start)
    images = jitter(sampler.table.pixels(split, index.flatten()), source, amounts)
    support, query = images.unflatten(0, index.shape).split([sampler.k_shot, sampler.n_query], dim=2)
    return support, query


def class_batch(
    table: ImageTable, split: str, size: int, amounts: Jitter, source: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return images (size, *image_shape) drawn from all of a split, and the class of each."""
    index = torch.randint(table.count(split), (size,), generator=source)
    return jitter(table.pixels(split, index), source, amounts), index // table.per_class(split)
