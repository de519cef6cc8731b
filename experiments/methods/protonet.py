"""Prototypical networks: classify by the squared distance to class means.

Not here: the backbone (models/) and the episodes (data/).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.config import ImageRun, ProtoNet
from experiments.data.batches import episode_images
from experiments.data.sources import evaluation_sampler, open_examples, training_sampler
from experiments.data.table import Table
from experiments.evaluate import accuracy_per_episode, backbone_embedding, class_means, episode_accuracy
from experiments.method import Resources
from experiments.models.adapter import build_backbone
from experiments.models.precision import training_forward
from experiments.rng import generator


def build(config: ImageRun, resources: Resources) -> "PrototypicalNet":
    """Return the untrained method of a config."""
    table = open_examples(config.data, resources.data_dir)
    return PrototypicalNet(config, table, resources.device)


def prototype_logits(support: Tensor, query: Tensor) -> Tensor:
    """Return minus the squared distance to each class mean, up to a constant per query.

    support (..., n_way, k_shot, d), query (..., n_way, n_query, d) -> (..., n_way, n_query, n_way).
    Source: Snell et al. 2017, equation 2; |q|^2 is left out, since softmax and argmax ignore it.
    """
    logits: Tensor = mean_logits(support.mean(-2), query.flatten(-3, -2)).unflatten(-2, query.shape[-3:-1])
    return logits


def mean_logits(means: Tensor, query: Tensor) -> Tensor:
    """Return the same of class means (..., n_way, d) and query (..., queries, d): (..., queries, n_way)."""
    logits: Tensor = 2 * query @ means.mT - means.square().sum(-1).unsqueeze(-2)
    return logits


class PrototypicalNet:
    """Trains the backbone on many-way episodes; a new task needs only its class means."""

    def __init__(self, config: ImageRun, table: Table, device: torch.device) -> None:
        assert isinstance(config.method, ProtoNet)
        self.config = config.method
        self.seed = config.seed
        self.device = device
        self.table = table
        self.train_sampler = training_sampler(
            table,
            config,
            n_way=self.config.train_n_way,
            k_shot=self.config.train_k_shot,
            n_query=self.config.train_n_query,
        )
        self.sampler = evaluation_sampler(table, config.evaluation)
        self.backbone = build_backbone(table, self.config.filters, generator(config.seed, "weights")).to(
            device
        )
        self.forward = training_forward(self.backbone, self.config, device)
        self.optimizer = torch.optim.Adam(self.backbone.parameters(), lr=self.config.lr)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per training episode; return loss and accuracy per step."""
        steps = range(start, start + count)
        drawn = episode_images(self.train_sampler, "train", steps, self.config.jitter, self.seed)
        losses, accuracies = zip(*(self._step(step, images[0]) for step, images in drawn), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int, images: Tensor) -> tuple[Tensor, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * 0.5 ** (step // self.config.halve_lr_every)
        features = self.forward(images.flatten(0, 1).to(self.device)).unflatten(0, images.shape[:2])
        support, query = features.split(self.train_sampler.sizes, dim=1)  # (n_way, images of each, d)
        logits = prototype_logits(support, query)  # (n_way, n_query, n_way)
        truth = torch.arange(len(images), device=self.device).repeat_interleave(query.shape[1])
        loss = cross_entropy(logits.flatten(0, 1), truth)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), episode_accuracy(logits.detach()[None])[0]

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, with running statistics in batch normalisation."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.backbone, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): how near each query is to each class mean."""
        return mean_logits(class_means(support, labels), query)

    def state_dict(self) -> dict[str, Any]:
        """Return backbone and optimiser."""
        return {"backbone": self.backbone.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over backbone and optimiser."""
        self.backbone.load_state_dict(state["backbone"])
        self.optimizer.load_state_dict(state["optimizer"])
