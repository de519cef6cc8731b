"""Episodes as sequences: in which order images are shown, and the labels that come with them.

Not here: which images are in an episode (episodes.py).
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad


def in_rounds(labels: Tensor, count: int, source: torch.Generator) -> Tensor:
    """Return `count` orders (count, images) of images with sorted labels (images,).

    Each order has one image of every class, shuffled, then the next one of every class, and so on.
    """
    turn = torch.arange(len(labels)) - torch.searchsorted(labels, labels)  # of an image within its class
    return (turn + torch.rand(count, len(labels), generator=source)).argsort(1)


def renamed_and_shuffled(
    index: Tensor, names: int, sources: Iterable[torch.Generator]
) -> tuple[Tensor, Tensor]:
    """Return the images (episodes, ways, instances) of each episode in random order, and their labels.

    Both (episodes, ways * instances). Labels are drawn anew for each episode, of `names` that there are.
    """
    ways, instances = index.shape[1:]
    chosen, orders = [], []
    for source in sources:
        chosen.append(torch.randperm(names, generator=source)[:ways])
        orders.append(torch.randperm(ways * instances, generator=source))
    order = torch.stack(orders)
    return index.flatten(1).gather(1, order), torch.stack(chosen).gather(1, order // instances)


def with_late_labels(features: Tensor, labels: Tensor, names: int) -> Tensor:
    """Append to each element the label of the one before, zeros to the first.

    features (batch, length, d), labels (batch, length) -> (batch, length, d + names).
    """
    late = pad(one_hot(labels, names), (0, 0, 1, -1))
    return torch.cat((features, late.to(features)), dim=-1)


def presentations(labels: Tensor) -> Tensor:
    """Return how often each element's class was there before it: (batch, length) -> same."""
    same = labels[:, :, None] == labels[:, None, :]
    return same.tril(-1).sum(-1)
