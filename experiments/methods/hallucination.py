"""Hallucination: a support is filled up with examples made up by analogy to the base classes.

Not here: the network that makes them up (models/analogies.py), and the features (shrinking.py).
"""

from typing import Any

import torch
from torch import Tensor, nn

from experiments.config import Shrinking
from experiments.descent import descend
from experiments.models.analogies import AnalogyGenerator, analogy_loss, draw_analogies
from experiments.rng import Key, generator

BATCH = 128  # analogies


class Hallucinator:
    """Learns to make up examples from fixed features, and fills supports up with them."""

    def __init__(self, method: Shrinking, features: int, seed: Key, device: torch.device) -> None:
        self.method = method
        self.seed = seed
        self.generator = AnalogyGenerator(features, generator(seed, "analogies")).to(device)
        self.sgd = torch.optim.SGD(
            self.generator.parameters(), method.generator_lr, momentum=0.9, dampening=0.9, weight_decay=1e-4
        )

    def step(self, step: int, base: Tensor, head: nn.Linear) -> dict[str, Tensor]:
        """Take one step on analogies between the base features (classes, drawers, d); return its loss.

        The rate falls tenfold after each third of the generator's steps.
        """
        wanted = draw_analogies(base, BATCH, generator(self.seed, "analogy", step))
        loss = analogy_loss(self.generator(wanted.a1, wanted.b1, wanted.b2), wanted, head)
        done = 1 - (self.method.steps - step) / self.method.generator_steps
        descend(
            loss, self.generator.parameters(), self.sgd, lr=self.method.generator_lr * 0.1 ** int(3 * done)
        )
        return {"train/loss": loss.detach()}

    def fill_up(self, support: Tensor, labels: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Return support (episodes, more images, d) and labels with as many of each class as configured.

        Every task gets the same random seeds and base pairs, so that no task depends on another.
        """
        source = generator("made up", len(labels))
        missing = (self.method.hallucinate - labels.bincount().cpu()).clamp_min(0)
        made_labels = torch.arange(len(missing)).repeat_interleave(missing)
        likely = torch.rand(len(made_labels), len(labels), generator=source)
        seeds = likely.masked_fill(labels.cpu() != made_labels[:, None], -1).argmax(1)
        classes = torch.randint(len(base), (len(made_labels), 1), generator=source)
        pair = torch.rand(len(made_labels), base.shape[1], generator=source).argsort(1)[:, :2]
        first, second = base[classes, pair].expand(len(support), -1, -1, -1).unbind(2)
        with torch.no_grad():
            made = self.generator(support[:, seeds], first, second)
        return torch.cat((support, made), dim=1), torch.cat((labels, made_labels.to(labels)))

    def state_dict(self) -> dict[str, Any]:
        """Return generator and optimiser."""
        return {"generator": self.generator.state_dict(), "sgd": self.sgd.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over generator and optimiser."""
        self.generator.load_state_dict(state["generator"])
        self.sgd.load_state_dict(state["sgd"])
