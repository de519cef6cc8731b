"""Pairs of images of the same and of different classes, and which classes are easily taken for each other.

Not here: episodes (episodes.py), and what is learned from pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.data.images import ImageTable
from experiments.splits.omniglot import TURNS


@dataclass(frozen=True)
class Pairs:
    """Image indices of pairs: first and second int64 (pairs,), same bool (pairs,)."""

    first: Tensor
    second: Tensor
    same: Tensor


def kin(table: ImageTable, split: str) -> Tensor:
    """Return a number for each class of a split (n_classes,): equal within one alphabet turned alike.

    All are equal where nothing is known of which classes are alike.
    """
    if table.alphabet_of is None:
        return torch.zeros(table.class_count(split), dtype=torch.int64)
    characters, turns = table.splits[split].unbind(1)
    return table.alphabet_of[characters] * TURNS + turns


def other_of_its_kind(classes: Tensor, kinds: Tensor, source: torch.Generator) -> Tensor:
    """Return for each class (n,) another one of the same kind, or any other where there is none.

    kinds: int64 (n_classes,).
    """
    order = kinds.argsort(stable=True)
    place = order.argsort()[classes]  # where each class lies in the order
    ordered = kinds[order]
    mine = kinds[classes]
    start = torch.searchsorted(ordered, mine)
    size = torch.searchsorted(ordered, mine, right=True) - start
    alone = size == 1
    start, size = start.masked_fill(alone, 0), size.masked_fill(alone, len(kinds))
    draw = torch.rand(len(classes), generator=source, dtype=torch.float64)
    onwards = 1 + (draw * (size - 1)).long()  # 1 .. size - 1
    return order[start + (place - start + onwards) % size]


def draw_pairs(
    kinds: Tensor, drawers: int, count: int, hard_negatives: float, source: torch.Generator
) -> Pairs:
    """Return pairs, every other one of the same class, drawn by different drawers.

    hard_negatives: the share of the unlike pairs that lies within one kind (see `kin`).
    """
    first = torch.randint(len(kinds), (count,), generator=source)
    same = torch.arange(count) % 2 == 0
    near = other_of_its_kind(first, kinds, source)
    far = other_of_its_kind(first, torch.zeros_like(kinds), source)
    hard = torch.rand(count, generator=source) < hard_negatives
    second = torch.where(same, first, torch.where(hard, near, far))
    drawer = torch.rand(count, drawers, generator=source).argsort(1)[:, :2]
    return Pairs(first * drawers + drawer[:, 0], second * drawers + drawer[:, 1], same)
