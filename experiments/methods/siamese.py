"""Siamese networks: learn whether two images show the same thing, then compare query and support."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus

from experiments.config import ImageRun, SiameseConfig
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.data.pairs import draw_pairs, kin
from experiments.data.training import TrainingClasses
from experiments.evaluate import backbone_embedding, nearest_of_class
from experiments.methods.base import ImageMethod, Metrics
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


def share(right: Tensor) -> Tensor:
    """Return the share () of answers (pairs,) that are right."""
    return right.double().mean()


class Siamese(ImageMethod[SiameseConfig]):
    """Two copies of one network, and a weight for the difference of each feature (Koch et al. 2015)."""

    saved = ("network", "measured", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.kinds = kin(table, "train")
        weights = generator(run.seed, "weights")
        koch = method.network == "koch"
        twin = KochNet(weights, table.image_shape) if koch else self.new_backbone(method.filters, weights)
        self.comparison = nn.Linear(twin.features, 1)
        draw_weights(self.comparison, weights)
        self.network = nn.ModuleDict({"twin": twin, "comparison": self.comparison}).to(device)
        self.measured = self.averaged(self.network, method.averaging)
        self.forward = training_forward(twin, method, device)
        self.learn(self.network.parameters(), method.lr, weight_decay=method.weight_decay)
        self.classes = TrainingClasses(self.examples, ("train",), method.mirrored, method.jitter)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of pairs of images, alike or not."""
        source = generator(self.seed, "pairs", step)
        return self._loss_of_all_pairs(source) if self.config.train_images else self._loss_of_pairs(source)

    def _loss_of_pairs(self, source: torch.Generator) -> tuple[Tensor, Metrics]:
        """Return the loss of a batch of pairs in which no image is used twice, as the source draws them."""
        method, each = self.config, self.table.per_class("train")
        pairs = draw_pairs(self.kinds, each, method.batch_size, method.hard_negatives, source)
        images = self.examples.pixels("train", torch.cat((pairs.first, pairs.second)))
        first, second = self.forward(jitter(images, source, method.jitter).to(self.device)).chunk(2)
        logits = self.comparison((first - second).abs()).squeeze(1)
        same = pairs.same.to(self.device)
        loss = binary_cross_entropy_with_logits(logits, same.to(logits))
        right = share((logits > 0) == same)
        return loss, {"train/loss": loss.detach(), "train/accuracy": right}

    def _loss_of_all_pairs(self, source: torch.Generator) -> tuple[Tensor, Metrics]:
        """Return the loss of all pairs of the images of some classes, each image embedded once.

        Like and unlike pairs weigh the same, however many there are. Among the unlike ones those that look
        most alike to the network count for more: softmax over their logits, for a share of the weight.
        """
        images, labels = self.batch(source)
        features = self.forward(images)
        logits = self.comparison((features[:, None] - features).abs())[..., 0]  # (images, images)
        same = labels[:, None] == labels
        alike = same & ~torch.eye(len(labels), dtype=torch.bool, device=self.device)
        likest = logits.detach().masked_fill(same, -torch.inf).softmax(1)
        unlike = softplus(logits[~same]).mean()
        hardest = (likest * softplus(logits)).sum(1).mean()
        loss = (softplus(-logits[alike]).mean() + unlike.lerp(hardest, self.config.hard_negatives)) / 2
        right = (share(logits[alike] > 0) + share(logits[~same] <= 0)) / 2
        return loss, {"train/loss": loss.detach(), "train/accuracy": right}

    def batch(self, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return images (n_way * images, *image), class by class, and the class of each."""
        classes = self._classes(source)
        drawers = torch.rand(len(classes), self.classes.each, generator=source).argsort(1)
        drawers = drawers[:, : self.config.train_images]
        labels = classes[:, None].expand_as(drawers).flatten()
        images = self.classes.images(labels, drawers.flatten(), source)
        return images.to(self.device), labels.to(self.device)

    def _classes(self, source: torch.Generator) -> Tensor:
        """Return different classes: half of a batch in groups that are hard to tell apart, the rest any."""
        groups = 4
        first = torch.randint(len(self.kinds), (groups,), generator=source)
        likeness = torch.rand(groups, len(self.kinds), generator=source)
        likeness += self.kinds[first][:, None] == self.kinds
        near = likeness.topk(self.config.train_n_way // (2 * groups), dim=1).indices.flatten().unique()
        others = torch.randperm(self.classes.count, generator=source)
        others = others[~torch.isin(others, near)]
        return torch.cat((near, others[: self.config.train_n_way - len(near)]))

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.measured.get_submodule("twin"), self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return (episodes, queries, n_way): how surely the likest support image of a class is the same."""
        weight, bias = self.measured.get_submodule("comparison").parameters()
        with torch.no_grad():
            alike = weighted_distances(query, support, weight[0]) + bias
        return nearest_of_class(alike, labels)
