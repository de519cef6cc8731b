"""Prototypical networks: classify by the squared distance to class means."""

import torch
from torch import Tensor

from experiments.config import ImageRun, ProtoNetConfig
from experiments.data.table import Table
from experiments.evaluate import backbone_embedding, class_means
from experiments.methods.base import ImageMethod, Metrics, classified
from experiments.models.adapter import build_backbone
from experiments.models.precision import training_forward
from experiments.rng import generator


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


class ProtoNet(ImageMethod[ProtoNetConfig]):
    """Trains the backbone on many-way episodes; a new task needs only its class means.

    Source: Snell et al. 2017.
    """

    saved = ("backbone", "optimizer")

    def __init__(self, run: ImageRun, table: Table, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.drawn = self.training_episodes(
            method.jitter, method.train_n_way, method.train_k_shot, method.train_n_query
        )
        self.backbone = build_backbone(table, method.filters, generator(run.seed, "weights")).to(device)
        self.forward = training_forward(self.backbone, method, device)
        self.learn(self.backbone.parameters(), method.lr)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.lr * 0.5 ** (step // self.config.halve_lr_every)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of an episode's queries."""
        support, query = self.drawn(step)
        images = torch.cat((support, query), dim=2)[0]  # (n_way, images of each, *image)
        features = self.forward(images.flatten(0, 1).to(self.device)).unflatten(0, images.shape[:2])
        examples, questions = features.split([support.shape[2], query.shape[2]], dim=1)
        logits = prototype_logits(examples, questions)  # (n_way, n_query, n_way)
        truth = torch.arange(len(images), device=self.device).repeat_interleave(questions.shape[1])
        return classified(logits.flatten(0, 1), truth)

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.backbone, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): how near each query is to each class mean."""
        return mean_logits(class_means(support, labels), query)
