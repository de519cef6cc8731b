"""Episodes within one alphabet, one person's drawings of its characters against another's.

Not here: episodes that mix all classes of a split (episodes.py). Source: Lake et al. 2015, whose 20 tests of
20 characters are of this kind; people err in them in about 4.5 of 100 trials.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.data.episodes import Episodes, EpisodeSampler
from experiments.data.images import ImageTable
from experiments.errors import ConfigError
from experiments.rng import Key, generator


@dataclass(frozen=True)
class AlphabetSampler:
    """Draws an alphabet, n_way of its characters, and k_shot + n_query different drawers of all of them.

    The first k_shot drawers are the support of every class, the others its queries. Alphabets that have
    fewer than n_way characters in the split are never drawn, the others equally often; all are upright.
    Episode i depends on (key, split, i), the three sizes and the split's alphabets alone. Raises ConfigError
    when there are too few drawers or a size is not positive.
    """

    table: ImageTable
    n_way: int
    k_shot: int
    n_query: int
    key: tuple[Key, ...]

    def __post_init__(self) -> None:
        EpisodeSampler(self.table, self.n_way, self.k_shot, self.n_query, self.key)  # refuses such sizes

    def sample(self, split: str, indices: range) -> Episodes:
        """Return the episodes with these numbers, in this order.

        Raises ConfigError when the split is unknown or no alphabet in it has n_way characters.
        """
        alphabets = self._alphabets(split)
        episodes = [self._episode(alphabets, generator(*self.key, split, index)) for index in indices]
        index = (
            torch.stack(episodes)
            if episodes
            else torch.empty(0, self.n_way, self.k_shot + self.n_query, dtype=torch.int64)
        )
        return Episodes(index[..., : self.k_shot], index[..., self.k_shot :])

    def _alphabets(self, split: str) -> list[Tensor]:
        """Return the classes of each alphabet that has enough of them, in the order of the alphabets."""
        alphabet_of = self.table.alphabets(split)
        sizes = alphabet_of[alphabet_of >= 0].bincount()
        enough = (sizes >= self.n_way).nonzero().squeeze(1)
        if not len(enough):
            largest = int(sizes.max()) if len(sizes) else 0
            raise ConfigError(
                f"n_way {self.n_way} is more than the {largest} characters of the largest alphabet of split "
                f"{split!r}: lower n_way"
            )
        return [(alphabet_of == alphabet).nonzero().squeeze(1) for alphabet in enough.tolist()]

    def _episode(self, alphabets: list[Tensor], source: torch.Generator) -> Tensor:
        """Return image indices (n_way, k_shot + n_query) of one episode."""
        classes = alphabets[int(torch.randint(len(alphabets), (), generator=source))]
        chosen = classes[torch.randperm(len(classes), generator=source)[: self.n_way]]
        drawers = torch.randperm(self.table.drawers, generator=source)[: self.k_shot + self.n_query]
        return chosen[:, None] * self.table.drawers + drawers
