"""Feature shrinking: the CNN baseline with a penalty on its features, and if asked for, made-up examples.

Not here: the classifier's training (models/classifier.py), and the made-up examples (hallucination.py).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from experiments.config import ImageRun, Shrinking
from experiments.data.batches import class_batch
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table
from experiments.evaluate import SplitFeatures, accuracy_per_episode, backbone_embedding
from experiments.method import Resources
from experiments.methods.cnn import fitted_logits
from experiments.methods.hallucination import Hallucinator
from experiments.methods.pixel_knn import nearest_logits
from experiments.models.classifier import SoftmaxClassifier
from experiments.rng import generator

ANALOGY_IMAGES = 20  # of a class: every pair of them is looked at


def build(config: ImageRun, resources: Resources) -> "FeatureShrinking":
    """Return the untrained method of a config."""
    return FeatureShrinking(config, open_table(config.data, resources.data_dir), resources.device)


def squared_gradient_magnitude(features: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """Return mean_i |p_i - y_i|^2 |phi_i|^2, the squared norm of each example's gradient of the classifier.

    features (batch, d), logits (batch, n_classes), classes (batch,). Source: Hariharan & Girshick 2017,
    section 3.3.
    """
    error = logits.softmax(-1) - one_hot(classes, logits.shape[1])
    return (error.square().sum(1) * features.square().sum(1)).mean()


def batch_gradient_magnitude(features: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """Return the squared norm of the whole batch's gradient of the classifier's weights."""
    error = logits.softmax(-1) - one_hot(classes, logits.shape[1])
    return (error.T @ features / len(features)).square().sum()


def half_squared_length(features: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """Return mean_i |phi_i|^2 / 2."""
    return features.square().sum(1).mean() / 2


PENALTIES = {
    "sgm": squared_gradient_magnitude,
    "batch-sgm": batch_gradient_magnitude,
    "l2": half_squared_length,
}


class FeatureShrinking:
    """Learns features that leave the classifier little to change, then the generator on them."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, Shrinking)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.sampler = evaluation_sampler(table, config.evaluation)
        self.classifier = SoftmaxClassifier(
            method.filters,
            table.class_count("train"),
            table.image_shape,
            method=method,
            lr=method.lr,
            seed=config.seed,
            device=device,
            decay=2 * method.classifier_decay,
        )
        self.hallucinator = (
            Hallucinator(method, self.classifier.backbone.features, config.seed, device)
            if method.hallucinate
            else None
        )
        self._base: Tensor | None = None  # features of the training images, while the backbone stays as it is

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per batch, of the backbone first, then of the generator.

        All steps are of the one or of the other, which report different metrics.
        """
        backbone_steps = self.config.steps - self.config.generator_steps
        rows = [
            self.hallucinator.step(step, self.base(), self.classifier.head)
            if self.hallucinator and step >= backbone_steps
            else self._backbone_step(step)
            for step in range(start, start + count)
        ]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _backbone_step(self, step: int) -> dict[str, Tensor]:
        method = self.config
        self._base = None
        images, classes = class_batch(
            self.table, "train", method.batch_size, method.jitter, generator(self.seed, "batch", step)
        )
        penalty = PENALTIES[method.penalty]
        return self.classifier.step(
            images.to(self.device),
            classes.to(self.device),
            lambda *seen: method.penalty_weight * penalty(*seen),
        )

    def base(self) -> Tensor:
        """Return the features of training images (classes, each, d), of as many as analogies need."""
        if self._base is None:
            embed = backbone_embedding(self.classifier.backbone, self.device)
            features = SplitFeatures(self.table, "train", embed)
            every = torch.arange(self.table.count("train")).unflatten(0, (-1, self.table.per_class("train")))
            self._base = features(every[:, :ANALOGY_IMAGES])
        return self._base

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, with running statistics in batch normalisation."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        features = backbone_embedding(self.classifier.backbone, self.device)(images)
        by_cosine = self.config.distance == "cosine" and not self.config.hallucinate
        return normalize(features, dim=-1) if by_cosine else features

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): nearest neighbour, or fitted to a larger support."""
        method = self.config
        if self.hallucinator is None:
            return nearest_logits(support, labels, query)
        support, labels = self.hallucinator.fill_up(support, labels, self.base())
        return fitted_logits(support, labels, query, method.fit_steps, method.fit_lr)

    def state_dict(self) -> dict[str, Any]:
        """Return the classifier, and the generator of examples where there is one, with their optimisers."""
        made_up = {"hallucinator": self.hallucinator.state_dict()} if self.hallucinator else {}
        return {"classifier": self.classifier.state_dict()} | made_up

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what state_dict returns."""
        self._base = None
        self.classifier.load_state_dict(state["classifier"])
        if self.hallucinator:
            self.hallucinator.load_state_dict(state["hallucinator"])
