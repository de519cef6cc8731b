"""Which classes a numbered episode has, found again from its number alone: without images, and without torch.

Not here: drawing episodes with their images (episodes.py), whose random numbers these are.
"""

from collections.abc import Iterator

import numpy as np

from experiments.config import EpisodeEvaluation
from experiments.config.image_sets import AnyImageData
from experiments.data.protocols import TURNS
from experiments.rng import seed_of

Classes = np.typing.NDArray[np.int64]

_MANTISSA = 53  # bits of a number in [0, 1)


def episode_classes(data: AnyImageData, asked: EpisodeEvaluation, episodes: int) -> Classes | None:
    """Return the classes (episodes, n_way) of the first episodes asked for, numbered as in their split.

    They come in no order. None where episodes are drawn otherwise than from all classes of images.
    """
    if data.holds_features or asked.sampling != "mixed":
        return None
    count = data.class_count(asked.split)
    rows = [
        numbers.argpartition(count - asked.n_way)[count - asked.n_way :]
        for numbers in _uniform(asked, count, episodes)
    ]
    return np.stack(rows) if rows else np.empty((0, asked.n_way), np.int64)


def one_of_turns(data: AnyImageData, split: str, classes: Classes) -> Classes:
    """Return the character of each class of a split: its quarter turns are classes, and look much alike."""
    turned = getattr(data, "rotations", False)
    return classes % (data.class_count(split) // TURNS) if turned else classes


def _uniform(asked: EpisodeEvaluation, count: int, episodes: int) -> Iterator[np.typing.NDArray[np.float64]]:
    """Yield the first `count` random numbers of each episode, as torch's generator makes them from its seed.

    Both are the Mersenne Twister, seeded by 32 bits; torch puts two of its words together, the first on top.
    """
    for index in range(episodes):
        seed = seed_of("evaluation", asked.seed, asked.split, index)
        words = np.frombuffer(np.random.RandomState(seed % 2**32).bytes(8 * count), "<u4").astype(np.uint64)
        whole = (words[::2] << np.uint64(32)) | words[1::2]
        yield (whole & np.uint64(2**_MANTISSA - 1)).astype(np.float64) * 2.0**-_MANTISSA
