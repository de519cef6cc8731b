"""Pre-training of the backbone and a softmax classifier on the base classes.

Not here: what is done with the backbone afterwards (fastslow.py).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from experiments.config import ImageRun, Pretrain
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table
from experiments.evaluate import backbone_embedding, embed_episodes, episode_accuracy, evaluating
from experiments.method import Resources
from experiments.methods.protonet import prototype_logits
from experiments.models.conv4 import Conv4
from experiments.rng import generator

COSINE_SCALE = 20.0  # logits of the cosine classifier lie in [-20, 20]


def build(config: ImageRun, resources: Resources) -> "Pretraining":
    """Return the untrained method of a config."""
    table = open_table(config.data, resources.data_dir)
    return Pretraining(config, table, resources.device)


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Return the learning rate of a step: linear to the peak over a quarter, then cosine to 0."""
    warm = max(1, steps // 4)
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class Pretraining:
    """Ordinary supervised training on C_base (paper section 4.2); measured by nearest class mean, cosine."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, Pretrain)
        self.config = config.method
        self.table = table
        self.device = device
        self.sampler = evaluation_sampler(table, config.evaluation)
        weights = generator(self.config.seed, "weights")
        self.backbone = Conv4(self.config.filters, weights).to(device)
        classes = table.class_count("base")
        self.classifier = nn.Parameter(torch.empty(classes, self.config.filters, device=device))
        initial = torch.randn(classes, self.config.filters, generator=weights) / math.sqrt(
            self.config.filters
        )
        self.classifier.data.copy_(initial)
        self.optimizer = torch.optim.AdamW(
            [*self.backbone.parameters(), self.classifier], weight_decay=self.config.weight_decay
        )

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per batch of base images; return loss and accuracy per step."""
        losses, accuracies = zip(*(self._step(step) for step in range(start, start + count)), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int) -> tuple[Tensor, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(step, self.config.steps, self.config.lr)
        source = generator(self.config.seed, "batch", step)
        images_in_base = self.table.class_count("base") * self.table.drawers
        index = torch.randint(images_in_base, (self.config.batch_size,), generator=source)
        images = jitter(self.table.pixels("base", index), source, self.config.jitter)
        logits = self._logits(self.backbone(images.to(self.device)))
        truth = (index // self.table.drawers).to(self.device)
        loss = cross_entropy(logits, truth)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(-1) == truth).double().mean()

    def _logits(self, features: Tensor) -> Tensor:
        if self.config.classifier == "linear":
            return linear(features, self.classifier)
        return COSINE_SCALE * linear(normalize(features, dim=-1), normalize(self.classifier, dim=-1))

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return the accuracy per episode of the nearest class mean by cosine, nothing adapted."""
        embed = backbone_embedding(self.backbone, self.device)
        with evaluating(self.backbone):
            support, query = embed_episodes(
                self.table,
                split,
                self.sampler.sample(split, episodes),
                lambda images: normalize(embed(images), dim=-1),
            )
        return {"accuracy": episode_accuracy(prototype_logits(support, query))}

    def state_dict(self) -> dict[str, Any]:
        """Return backbone, classifier and optimiser."""
        return {
            "backbone": self.backbone.state_dict(),
            "classifier": self.classifier.detach(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over backbone, classifier and optimiser."""
        self.backbone.load_state_dict(state["backbone"])
        self.classifier.data.copy_(state["classifier"])
        self.optimizer.load_state_dict(state["optimizer"])
