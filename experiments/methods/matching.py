"""Matching networks: a query's label is the support's labels, weighted by attention.

Not here: full context embeddings (models/full_context.py).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss, normalize

from experiments.config import ImageRun, MatchingNet
from experiments.data.batches import episode_images
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table, training_sampler
from experiments.descent import descend
from experiments.evaluate import accuracy_per_episode, backbone_embedding
from experiments.method import Resources
from experiments.methods.head import class_of_each
from experiments.models.conv4 import Conv4
from experiments.models.full_context import FullContext
from experiments.models.precision import training_forward
from experiments.rng import generator


def build(config: ImageRun, resources: Resources) -> "Matching":
    """Return the untrained method of a config."""
    return Matching(config, open_table(config.data, resources.data_dir), resources.device)


def label_log_probabilities(support: Tensor, labels: Tensor, query: Tensor, scale: float) -> Tensor:
    """Return log P(y | q), P(y | q) = sum over x_i of class y of softmax_i(scale cos(f(q), g(x_i))).

    support (episodes, images, d), labels (images,), query (episodes, queries, d) ->
    (episodes, queries, n_way). Source: Vinyals et al. 2016, equations 1 and 2; scale 1 there.
    """
    cosines = normalize(query, dim=-1) @ normalize(support, dim=-1).mT
    attention = (scale * cosines).softmax(-1)  # (episodes, queries, images)
    shares = attention.new_zeros(*attention.shape[:-1], int(labels.max()) + 1)
    return shares.index_add(-1, labels, attention).clamp_min(torch.finfo(shares.dtype).tiny).log()


class Matching:
    """Backbone, and full context where asked for, are trained end to end on episodes."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, MatchingNet)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.train_sampler = training_sampler(
            table, config, n_way=method.train_n_way, k_shot=method.train_k_shot, n_query=method.train_n_query
        )
        self.sampler = evaluation_sampler(table, config.evaluation)
        weights = generator(config.seed, "weights")
        backbone = Conv4(method.filters, weights, table.image_shape)
        self.network = nn.ModuleDict({"backbone": backbone})
        if method.fce:
            self.network["context"] = FullContext(backbone.features, method.fce_steps, weights)
        self.network.to(device)
        self.forward = training_forward(backbone, method, device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=method.lr)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per training episode; return loss and accuracy per step."""
        steps = range(start, start + count)
        drawn = episode_images(self.train_sampler, "train", steps, self.config.jitter, self.seed)
        losses, accuracies = zip(*(self._step(step, images) for step, images in drawn), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int, images: Tensor) -> tuple[Tensor, Tensor]:
        method = self.config
        support, query = (part.flatten(0, 2) for part in images.split(self.train_sampler.sizes, dim=2))
        features = self.forward(torch.cat((support, query)).to(self.device))[None]
        examples, questions = features.split([len(support), len(query)], dim=1)
        labels, truth = (class_of_each(part, method.train_n_way) for part in (examples, questions))
        order = torch.randperm(len(support), generator=generator(self.seed, "order", step))
        logits = self._log_probabilities(examples, labels, questions, order)[0]
        loss = nll_loss(logits, truth)
        rate = method.lr * 0.5 ** (step // method.halve_lr_every)
        descend(loss, self.network.parameters(), self.optimizer, lr=rate, clip=method.clip)
        return loss.detach(), (logits.detach().argmax(-1) == truth).double().mean()

    def _log_probabilities(self, support: Tensor, labels: Tensor, query: Tensor, order: Tensor) -> Tensor:
        """Return log P (episodes, queries, n_way); `order` is that in which the support is read."""
        order = order.to(support.device)
        support, labels = support[:, order], labels[order]
        if "context" in self.network:
            support, query = self.network["context"](support, query)
        return label_log_probabilities(support, labels, query, self.config.scale)

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, with running statistics in batch normalisation."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image), without context."""
        return backbone_embedding(self.network["backbone"], self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return log P (episodes, queries, n_way); the support is read in an order fixed by its size."""
        order = torch.randperm(len(labels), generator=generator("order", len(labels)))
        with torch.no_grad():
            return self._log_probabilities(support, labels, query, order)

    def state_dict(self) -> dict[str, Any]:
        """Return network and optimiser."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over network and optimiser."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
