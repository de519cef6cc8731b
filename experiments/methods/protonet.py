"""Prototypical networks: classify by the squared distance to class means."""

import torch
from torch import Tensor

from experiments.config import ImageRun, ProtoNetConfig
from experiments.data.table import Table
from experiments.data.training import TrainingClasses
from experiments.evaluate import backbone_embedding, class_means
from experiments.methods.base import ImageMethod, Metrics, Scale, classified, each_in_turn, truth_in_turn
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

    saved = ("backbone", "network", "scale", "optimizer")

    def __init__(self, run: ImageRun, table: Table, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.network = self.new_backbone(method.filters, generator(run.seed, "weights")).to(device)
        self.backbone = self.averaged(self.network, method.averaging)  # what is measured
        self.forward = training_forward(self.network, method, device)
        self.scale = Scale(10 / self.network.features).to(device) if method.learned_scale else None
        learned = [*self.network.parameters(), *(self.scale.parameters() if self.scale else ())]
        self.learn(learned, method.lr, decay=method.weight_decay)
        self.classes = TrainingClasses(self.examples, ("train",), method.mirrored, method.jitter)
        self.episodes = self.training_episodes(
            method.jitter, method.train_n_way, method.train_k_shot, method.train_n_query
        )

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of a batch: of an episode's queries, or of each image by all others."""
        method = self.config
        if method.train_images:
            images = self.class_images(self.classes, method.train_n_way, method.train_images, step)
            every = self.forward(images).unflatten(0, (-1, method.train_images))  # (n_way, images, d)
            logits = torch.cat([mean_logits(support, queries) for support, queries in each_in_turn(every)])
            return classified(self._scaled(logits), truth_in_turn(every))
        support, query = self.episodes(step)
        images = torch.cat((support, query), dim=2)[0]  # (n_way, images of each, *image)
        features = self.forward(images.flatten(0, 1).to(self.device)).unflatten(0, images.shape[:2])
        examples, questions = features.split([support.shape[2], query.shape[2]], dim=1)
        logits = prototype_logits(examples, questions)  # (n_way, n_query, n_way)
        truth = torch.arange(len(images), device=self.device).repeat_interleave(questions.shape[1])
        return classified(self._scaled(logits.flatten(0, 1)), truth)

    def _scaled(self, logits: Tensor) -> Tensor:
        return logits if self.scale is None else self.scale() * logits

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.backbone, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): how near each query is to each class mean."""
        return mean_logits(class_means(support, labels), query)
