"""Which classes a numbered episode has, found again from its number alone: without images, and without torch.

Not here: drawing episodes with their images (episodes.py), whose random numbers these are.
"""

from dataclasses import dataclass

import numpy as np

from experiments.config import EpisodeEvaluation
from experiments.config.image_sets import AnyImageData
from experiments.rng import seed_of
from experiments.splits.omniglot import TURNS

Classes = np.typing.NDArray[np.int64]

_MANTISSA = 53  # bits of a number in [0, 1)


@dataclass(frozen=True)
class Drawing:
    """How numbered episodes draw their classes: all that these depend on.

    `turned`: each quarter turn of a character is one of the `count` classes.
    """

    count: int
    turned: bool
    n_way: int
    split: str
    seed: int

    def classes(self, episodes: int) -> Classes:
        """Return the classes (episodes, n_way) of the first episodes, in no order."""
        first = self.count - self.n_way  # of those whose numbers are the largest
        rows = [self._uniform(index).argpartition(first)[first:] for index in range(episodes)]
        return np.stack(rows) if rows else np.empty((0, self.n_way), np.int64)

    def characters(self, classes: Classes) -> Classes:
        """Return the character of each class: quarter turns are classes of their own, and look much alike."""
        return classes % (self.count // TURNS) if self.turned else classes

    def _uniform(self, index: int) -> np.typing.NDArray[np.float64]:
        """Return the first random numbers of an episode (count,), as torch's generator makes them.

        Both are the Mersenne Twister, seeded by 32 bits; torch puts two of its words together, the first on
        top, and takes the last 53 bits.
        """
        seed = seed_of("evaluation", self.seed, self.split, index)
        words = np.random.RandomState(seed % 2**32).bytes(8 * self.count)
        pairs = np.frombuffer(words, "<u4").reshape(self.count, 2).astype(np.uint64)
        whole = ((pairs[:, 0] << np.uint64(32)) | pairs[:, 1]) & np.uint64(2**_MANTISSA - 1)
        return whole.astype(np.float64) * 2.0**-_MANTISSA


def drawing_of(data: AnyImageData, asked: EpisodeEvaluation) -> Drawing | None:
    """Return how test episodes draw their classes; None where not from all classes of images alike."""
    if data.holds_features or asked.sampling != "mixed":
        return None
    turned = getattr(data, "rotations", False)
    return Drawing(data.class_count(asked.split), turned, asked.n_way, asked.split, asked.seed)
