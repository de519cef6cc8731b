"""A memory of unit keys with a label each, written by rule: never by gradient (Kaiser et al. 2017).

Not here: what embeds an image (methods/rare_events.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

EMPTY = -1  # the label of a slot that nothing was written to
AGE_NOISE = 8.0  # slots of nearly the same age are overwritten in random order


@dataclass
class KeyMemory:
    """Keys (memories, slots, d), unit or zero; labels and ages (memories, slots). Several side by side."""

    keys: Tensor
    labels: Tensor
    ages: Tensor

    @classmethod
    def empty(cls, memories: int, slots: int, size: int, device: torch.device) -> "KeyMemory":
        """Return memories that nothing was written to."""
        return cls(
            torch.zeros(memories, slots, size, device=device),
            torch.full((memories, slots), EMPTY, device=device),
            torch.zeros(memories, slots, device=device),
        )

    def nearest(self, query: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
        """Return cosines and slots (memories, batch, n) of the n nearest keys, nearest first.

        query (memories, batch, d), unit vectors.
        """
        found = (query @ self.keys.mT).topk(min(neighbours, self.keys.shape[1]), dim=-1)
        return found.values, found.indices

    def labels_of(self, slots: Tensor) -> Tensor:
        """Return the labels of slots (memories, batch, n)."""
        return self.labels.gather(1, slots.flatten(1)).view(slots.shape)

    def newest_of(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slot last written with each label (memories, batch), and whether there is one."""
        same = self.labels[:, None] == labels[..., None]  # (memories, batch, slots)
        slot = torch.where(same, self.ages[:, None], torch.inf).argmin(-1)
        return slot, same.any(-1)

    def write(self, query: Tensor, labels: Tensor, slots: Tensor, noise: Tensor) -> None:
        """Take in queries (memories, batch, d) once answered; slots (memories, batch) are the nearest.

        A right one moves its slot's key towards itself; a wrong one overwrites an old slot, each its own.
        noise (memories, slots) in [-1, 1] decides between slots of nearly the same age. A label may occur
        once in a batch. Source: section 3, "Memory update".
        """
        query = query.detach()
        right = self.labels.gather(1, slots) == labels
        self.ages += 1
        spared = torch.where(right, -torch.inf, torch.inf)  # a slot in use just now is not overwritten
        old = (self.ages + AGE_NOISE * noise).scatter_reduce(1, slots, spared, "amin")
        oldest = old.topk(query.shape[1], dim=1).indices.gather(1, ((~right).cumsum(1) - 1).clamp_min(0))
        target = torch.where(right, slots, oldest)  # (memories, batch)
        rows = target[..., None].expand_as(query)
        merged = normalize(query + self.keys.gather(1, rows), dim=-1)
        self.keys.scatter_(1, rows, torch.where(right[..., None], merged, query))
        self.labels.scatter_(1, target, labels)
        self.ages.scatter_(1, target, 0.0)


def margin_loss(
    memory: KeyMemory, query: Tensor, labels: Tensor, found: tuple[Tensor, Tensor], margin: float
) -> Tensor:
    """Return the mean of max(0, s- - s+ + margin) of queries (memories, batch, d) (section 3, "The loss").

    s+ and s- are the largest cosines with a key of the same and of another label, among the neighbours that
    `nearest` found and the newest slot of the true label; 0 where there is no such key.
    """
    cosines, slots = found
    same = memory.labels_of(slots) == labels[..., None]  # (memories, batch, neighbours)
    newest, known = memory.newest_of(labels)
    hint = (query * memory.keys.gather(1, newest[..., None].expand_as(query))).sum(-1)
    positive = _largest(torch.cat((cosines, hint[..., None]), -1), torch.cat((same, known[..., None]), -1))
    return (_largest(cosines, ~same) - positive + margin).relu().mean()


def _largest(values: Tensor, among: Tensor) -> Tensor:
    """Return the largest of some values along the last dimension, 0 where there are none."""
    largest = values.masked_fill(~among, -torch.inf).amax(-1)
    return torch.where(among.any(-1), largest, 0.0)
