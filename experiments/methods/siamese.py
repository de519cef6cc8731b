"""Siamese networks: learn whether two images show the same thing, then compare query and support."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from experiments.config import ImageRun, SiameseConfig
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.data.pairs import draw_pairs, kin
from experiments.evaluate import backbone_embedding, nearest_of_class
from experiments.methods.base import ImageMethod, Metrics
from experiments.models.conv4 import Conv4
from experiments.models.koch import KochNet
from experiments.models.precision import training_forward
from experiments.models.weights import draw_weights
from experiments.rng import generator


def weighted_distances(query: Tensor, support: Tensor, weights: Tensor) -> Tensor:
    """Return sum_j weights_j |query_j - support_j| for all pairs: (episodes, queries, images).

    query (episodes, queries, d), support (episodes, images, d), weights (d,), which may be negative. Never
    holds all pairs' differences.
    """
    above, below = relu(weights), relu(-weights)
    return torch.cdist(query * above, support * above, p=1) - torch.cdist(query * below, support * below, p=1)


class Siamese(ImageMethod[SiameseConfig]):
    """Two copies of one network, and a weight for the difference of each feature (Koch et al. 2015)."""

    saved = ("network", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.kinds = kin(run.data, table, "train")
        weights = generator(run.seed, "weights")
        koch, image = method.network == "koch", table.image_shape
        self.twin = KochNet(weights, image) if koch else Conv4(method.filters, weights, image)
        self.comparison = nn.Linear(self.twin.features, 1)
        draw_weights(self.comparison, weights)
        self.network = nn.ModuleDict({"twin": self.twin, "comparison": self.comparison}).to(device)
        self.forward = training_forward(self.twin, method, device)
        self.learn(self.network.parameters(), method.lr, weight_decay=method.weight_decay)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.lr * 0.5 ** (step // self.config.halve_lr_every)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of a batch of pairs, alike or not."""
        method = self.config
        source = generator(self.seed, "pairs", step)
        each = self.table.per_class("train")
        pairs = draw_pairs(self.kinds, each, method.batch_size, method.hard_negatives, source)
        images = self.table.pixels("train", torch.cat((pairs.first, pairs.second)))
        first, second = self.forward(jitter(images, source, method.jitter).to(self.device)).chunk(2)
        logits = self.comparison((first - second).abs()).squeeze(1)
        same = pairs.same.to(self.device)
        loss = binary_cross_entropy_with_logits(logits, same.to(logits))
        right = ((logits.detach() > 0) == same).double().mean()
        return loss, {"train/loss": loss.detach(), "train/accuracy": right}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.twin, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return (episodes, queries, n_way): how surely the likest support image of a class is the same."""
        with torch.no_grad():
            alike = weighted_distances(query, support, self.comparison.weight[0]) + self.comparison.bias
        return nearest_of_class(alike, labels)
