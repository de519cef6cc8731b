"""Examples made up by analogy: as b1 is to b2 in a base class, so is the seed a1 to a new example.

Not here: the features that analogies are drawn between, and what is done with the made-up ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from experiments.models.weights import draw_weights

HIDDEN = 512
LIKENESS = 10.0  # weight of the mean squared error beside the classifier's loss


class AnalogyGenerator(nn.Module):
    """G(a1, b1, b2) -> a2 of Hariharan & Girshick 2017; features, after a ReLU, are never negative."""

    def __init__(self, size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3 * size, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, size), nn.ReLU(),
        )  # fmt: skip
        draw_weights(self, generator)

    def forward(self, seed: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Return the made-up examples, all of shape (..., d)."""
        made: Tensor = self.layers(torch.cat((seed, first, second), dim=-1))
        return made


@dataclass(frozen=True)
class Analogies:
    """Pairs of features a1 : a2 = b1 : b2, each (batch, d), and the class of a, (batch,)."""

    a1: Tensor
    a2: Tensor
    b1: Tensor
    b2: Tensor
    classes: Tensor


def draw_analogies(base: Tensor, size: int, source: torch.Generator) -> Analogies:
    """Return random pairs of one class with the pair of another that differs most in the same direction.

    base (classes, drawers, d). A pair and its reverse are both there, so the best cosine is never negative.
    """
    classes, drawers, _ = base.shape
    a = torch.randint(classes, (size,), generator=source)
    b = (a + 1 + torch.randint(classes - 1, (size,), generator=source)) % classes
    one, two = torch.rand(size, drawers, generator=source).argsort(1)[:, :2].unbind(1)
    a1, a2, others = base[a, one], base[a, two], base[b]  # others (size, drawers, d)
    changes = normalize(others[:, None] - others[:, :, None], dim=-1)  # [b1, b2]: from b1 to b2
    likeness = (changes @ (a2 - a1)[:, None, :, None]).flatten(1)  # (size, drawers * drawers)
    best = likeness.argmax(1).cpu()
    row = torch.arange(size)
    return Analogies(a1, a2, others[row, best // drawers], others[row, best % drawers], a)


def analogy_loss(made: Tensor, wanted: Analogies, head: nn.Linear) -> Tensor:
    """Return the loss of a made-up a2: that of the fixed classifier, and ten times its squared error."""
    logits = nn.functional.linear(made, head.weight.detach(), head.bias.detach())
    error = nn.functional.cross_entropy(logits, wanted.classes.to(made.device))
    return error + LIKENESS * mse_loss(made, wanted.a2)
