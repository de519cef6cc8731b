"""Siamese networks: learn whether two images show the same thing, then compare query and support.

Not here: how pairs are drawn (data/pairs.py), and Koch's network (models/koch.py).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from experiments.config import ImageRun, Siamese
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.data.pairs import draw_pairs, kin
from experiments.data.sources import evaluation_sampler, open_table
from experiments.descent import descend
from experiments.evaluate import accuracy_per_episode, backbone_embedding, nearest_of_class
from experiments.method import Resources
from experiments.models.conv4 import Conv4
from experiments.models.koch import KochNet
from experiments.models.precision import training_forward
from experiments.models.weights import draw_weights
from experiments.rng import generator


def build(config: ImageRun, resources: Resources) -> "SiameseNet":
    """Return the untrained method of a config."""
    return SiameseNet(config, open_table(config.data, resources.data_dir), resources.device)


def weighted_distances(query: Tensor, support: Tensor, weights: Tensor) -> Tensor:
    """Return sum_j weights_j |query_j - support_j| for all pairs: (episodes, queries, images).

    query (episodes, queries, d), support (episodes, images, d), weights (d,), which may be negative. Never
    holds all pairs' differences.
    """
    above, below = relu(weights), relu(-weights)
    return torch.cdist(query * above, support * above, p=1) - torch.cdist(query * below, support * below, p=1)


class SiameseNet:
    """Two copies of one network, and a weight for the difference of each feature (Koch et al. 2015)."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, Siamese)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.kinds = kin(config.data, table, "train")
        self.sampler = evaluation_sampler(table, config.evaluation)
        weights = generator(config.seed, "weights")
        koch = method.network == "koch"
        image = table.image_shape
        self.twin = KochNet(weights, image) if koch else Conv4(method.filters, weights, image)
        self.comparison = nn.Linear(self.twin.features, 1)
        draw_weights(self.comparison, weights)
        self.network = nn.ModuleDict({"twin": self.twin, "comparison": self.comparison}).to(device)
        self.forward = training_forward(self.twin, method, device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=method.lr, weight_decay=method.weight_decay
        )

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per batch of pairs; return loss and share of pairs told rightly."""
        losses, accuracies = zip(*(self._step(step) for step in range(start, start + count)), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int) -> tuple[Tensor, Tensor]:
        method = self.config
        source = generator(self.seed, "pairs", step)
        pairs = draw_pairs(
            self.kinds, self.table.per_class("train"), method.batch_size, method.hard_negatives, source
        )
        images = self.table.pixels("train", torch.cat((pairs.first, pairs.second)))
        first, second = self.forward(jitter(images, source, method.jitter).to(self.device)).chunk(2)
        logits = self.comparison((first - second).abs()).squeeze(1)
        same = pairs.same.to(self.device)
        loss = binary_cross_entropy_with_logits(logits, same.to(logits))
        rate = method.lr * 0.5 ** (step // method.halve_lr_every)
        descend(loss, self.network.parameters(), self.optimizer, lr=rate)
        return loss.detach(), ((logits.detach() > 0) == same).double().mean()

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, with running statistics in batch normalisation."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features of images (batch, *image)."""
        return backbone_embedding(self.twin, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return (episodes, queries, n_way): how surely the likest support image of a class is the same."""
        with torch.no_grad():
            alike = weighted_distances(query, support, self.comparison.weight[0]) + self.comparison.bias
        return nearest_of_class(alike, labels)

    def state_dict(self) -> dict[str, Any]:
        """Return network and optimiser."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over network and optimiser."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
