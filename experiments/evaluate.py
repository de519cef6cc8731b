"""What the evaluation of every method shares: intervals, embeddings and accuracy per episode.

Not here: how a method classifies (methods/), and which episodes there are (data/episodes.py).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from experiments.config import Looks
from experiments.data.augment import look
from experiments.data.episodes import Episodes, Sampler
from experiments.data.table import Table
from experiments.events import Measurement

EMBED_BATCH = 64  # images: what lies between the layers stays in the cache of a CPU
KEPT_BYTES = 768 * 2**20  # the features of a split, of each image once
ONE_LOOK = Looks()
EVALUATION_BYTES = 64 * 2**20  # about what the episodes classified at once may take, the method's own aside


@runtime_checkable
class Recogniser(Protocol):
    """A trained method whose features do not depend on the task: what classifies any images at all."""

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image), on its device, without gradient."""

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) after the method has met each task's support.

        A method with fixed ways returns as many outputs as it has; it takes gradients it needs by itself.
        support (episodes, images, d), query (episodes, queries, d) as embed returns them; labels (images,)
        is sorted and holds every class 0 .. n_way - 1.
        """


def measure(name: str, values: Tensor) -> Measurement:
    """Return mean and 95 % interval (1.96 s / sqrt(n)) of one value per episode."""
    numbers = values.double()
    half = 1.96 * float(numbers.std(correction=1)) / math.sqrt(numbers.numel())
    return Measurement(name, float(numbers.mean()), half, tuple(numbers.tolist()))


def accuracy_per_episode(
    method: Recogniser,
    table: Table,
    sampler: Sampler,
    split: str,
    episodes: range,
    looks: Looks = ONE_LOOK,
) -> Tensor:
    """Return the accuracy (episodes,) of a method on numbered episodes.

    With several looks a query's class is that of the largest mean log-probability over the looks.

    Each image is embedded once, and only some episodes are in memory at a time: 1,692 ways are no more than
    20, but for the time.
    """
    features = [
        SplitFeatures(table, split, partial(_embedded_look, method, looks, number))
        for number in range(looks.count)
    ]
    labels = torch.arange(sampler.n_way).repeat_interleave(sampler.k_shot)
    return torch.cat(
        [
            _accuracy(method, features, sampler.sample(split, part), labels)
            for part in _parts(episodes, EVALUATION_BYTES // _bytes_per_episode(table, sampler, split))
        ]
    )


def accuracy_one_by_one(
    method: Recogniser,
    embed: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    table: Table,
    sampler: Sampler,
    split: str,
    episodes: range,
) -> Tensor:
    """Return the accuracy (episodes,) where features depend on the episode: embed(support, query) gives them.

    Both are batches of images, the support class by class.
    """
    labels = torch.arange(sampler.n_way).repeat_interleave(sampler.k_shot)
    accuracies = [torch.empty(0, dtype=torch.float64)]
    for number in episodes:
        drawn = sampler.sample(split, range(number, number + 1))
        images = (table.pixels(split, index.flatten()) for index in (drawn.support, drawn.query))
        support, query = embed(*images)
        logits = method.logits(support[None], labels.to(support.device), query[None])
        accuracies.append(episode_accuracy(logits.unflatten(1, drawn.query.shape[1:])))
    return torch.cat(accuracies)


def _embedded_look(method: Recogniser, looks: Looks, number: int, images: Tensor) -> Tensor:
    return method.embed(look(images, number, looks) if number else images)


def _accuracy(
    method: Recogniser, looks: Sequence["SplitFeatures"], episodes: Episodes, labels: Tensor
) -> Tensor:
    answers = []
    for features in looks:
        support, query = features(episodes.support.flatten(1)), features(episodes.query.flatten(1))
        answers.append(method.logits(support, labels.to(support.device), query))
    logits = answers[0]
    if len(answers) > 1:
        logits = torch.stack([answer.log_softmax(-1) for answer in answers]).mean(0)
    return episode_accuracy(logits.unflatten(1, episodes.query.shape[1:]))


def _parts(episodes: range, size: int) -> Iterator[range]:
    for start in range(0, len(episodes), max(size, 1)):
        yield episodes[start : start + max(size, 1)]


def _bytes_per_episode(table: Table, sampler: Sampler, split: str) -> int:
    """Return about what an episode takes: random numbers with their order, features, logits with a copy."""
    queries = sampler.n_way * sampler.n_query
    images = queries + sampler.n_way * sampler.k_shot
    numbers = table.class_count(split) + sampler.n_way * table.per_class(split)
    longest_feature = math.prod(table.image_shape)  # the pixels themselves
    return 16 * numbers + 4 * images * longest_feature + 8 * queries * sampler.n_way


class SplitFeatures:
    """The features of a split's images, each image embedded once, when it is first asked for.

    Only right where features do not depend on the episode. Where all of them would take too much memory, as
    the pixels of large images do, none is kept.
    """

    def __init__(self, table: Table, split: str, embed: Callable[[Tensor], Tensor]) -> None:
        self.table = table
        self.split = split
        self.embed = embed
        self.known = torch.zeros(table.count(split), dtype=torch.bool)
        self.features: Tensor | None = None  # (images, d), zero where not known

    def __call__(self, index: Tensor) -> Tensor:
        """Return the features (*index.shape, d) of images of the split."""
        asked = index.flatten().unique()
        fresh = asked[~self.known[asked]]
        for batch in fresh.split(EMBED_BATCH) if len(fresh) else ():
            embedded = self._embedded(batch)
            if len(self.known) * embedded[0].nbytes > KEPT_BYTES:
                return self._anew(index)
            self._put(batch, embedded)
        assert self.features is not None, "an index of no image"
        return self.features[index.to(self.features.device)]

    def _embedded(self, index: Tensor) -> Tensor:
        return self.embed(self.table.pixels(self.split, index))

    def _anew(self, index: Tensor) -> Tensor:
        asked, place = index.flatten().unique(return_inverse=True)
        features = torch.cat([self._embedded(batch) for batch in asked.split(EMBED_BATCH)])
        return features[place.view_as(index).to(features.device)]

    def _put(self, index: Tensor, embedded: Tensor) -> None:
        if self.features is None:
            self.features = embedded.new_zeros(len(self.known), embedded.shape[1])
        self.features[index.to(embedded.device)] = embedded
        self.known[index] = True


class EmbeddedTable:
    """A table of what a network that never changes makes of the images of another: features (d,).

    Each image is embedded when it is first asked for.
    """

    def __init__(self, table: Table, features: int, embed: Callable[[Tensor], Tensor]) -> None:
        self.table = table
        self.image_shape = (features,)
        self.embed = embed
        self._splits: dict[str, SplitFeatures] = {}

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self.table.device

    @property
    def drawers(self) -> int:
        """How many images of a class there can be."""
        return self.table.drawers

    def class_count(self, split: str) -> int:
        """Return how many classes the split has."""
        return self.table.class_count(split)

    def per_class(self, split: str) -> int:
        """Return how many images each class of the split has at least."""
        return self.table.per_class(split)

    def count(self, split: str) -> int:
        """Return how many images the split has."""
        return self.table.count(split)

    def pixels(self, split: str, index: Tensor) -> Tensor:
        """Return the features at an index of any shape: float32 (*index.shape, d)."""
        if split not in self._splits:
            self._splits[split] = SplitFeatures(self.table, split, self.embed)
        return self._splits[split](index)


def embed_episodes(
    table: Table, split: str, episodes: Episodes, embed: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return support (episodes, n_way, k_shot, d) and query (episodes, n_way, n_query, d) features.

    Each image is embedded once however many episodes use it: only right where features do not depend
    on the episode.
    """
    features = SplitFeatures(table, split, embed)
    return features(episodes.support), features(episodes.query)


def backbone_embedding(backbone: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return images (batch, *image) -> features with running statistics and no gradient."""

    def embed(images: Tensor) -> Tensor:
        with evaluating(backbone), torch.no_grad():
            features: Tensor = backbone(images.to(device))
        return features

    return embed


class evaluating:  # noqa: N801 (reads as a statement: with evaluating(backbone))
    """Put modules in evaluation mode and give each its mode back afterwards."""

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = [module for root in modules for module in root.modules()]

    def __enter__(self) -> None:
        self.modes = [module.training for module in self.modules]
        for module in self.modules:
            module.training = False

    def __exit__(self, *_: object) -> None:
        for module, mode in zip(self.modules, self.modes, strict=True):
            module.training = mode


def class_means(support: Tensor, labels: Tensor) -> Tensor:
    """Return the mean (..., n_way, d) of each class of support (..., images, d), labels (images,)."""
    counts = labels.bincount()
    sums = support.new_zeros(*support.shape[:-2], len(counts), support.shape[-1])
    return sums.index_add_(-2, labels, support) / counts[:, None]


def nearest_of_class(closeness: Tensor, labels: Tensor) -> Tensor:
    """Return (..., queries, n_way): the largest of closeness (..., queries, images) among each class."""
    shape = (*closeness.shape[:-1], int(labels[-1]) + 1)
    least = closeness.new_full(shape, -math.inf)
    return least.scatter_reduce_(-1, labels.expand_as(closeness), closeness, "amax")


def episode_accuracy(logits: Tensor) -> Tensor:
    """Return accuracy (episodes,) of logits (episodes, n_way, n_query, n_way), true class = position."""
    truth = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1)
    return (logits.argmax(-1) == truth).double().mean((1, 2)).cpu()
