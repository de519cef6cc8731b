"""Feature shrinking: the CNN baseline with a penalty on its features, and if asked for, made-up examples."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from experiments.config import ImageRun, ShrinkingConfig
from experiments.data.images import ImageTable
from experiments.descent import descend
from experiments.evaluate import SplitFeatures, backbone_embedding
from experiments.methods.base import Metrics
from experiments.methods.cnn import SoftmaxClassifier, fitted_logits
from experiments.methods.pixel_knn import nearest_logits
from experiments.models.analogies import AnalogyGenerator, analogy_loss, draw_analogies
from experiments.rng import Key, generator

ANALOGIES = 128  # in a batch
ANALOGY_IMAGES = 20  # of a class: every pair of them is looked at


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


class Hallucinator:
    """Learns to make up examples from fixed features, and fills supports up with them."""

    def __init__(self, method: ShrinkingConfig, features: int, seed: Key, device: torch.device) -> None:
        self.method = method
        self.seed = seed
        self.generator = AnalogyGenerator(features, generator(seed, "analogies")).to(device)
        self.sgd = torch.optim.SGD(
            self.generator.parameters(), method.generator_lr, momentum=0.9, dampening=0.9, weight_decay=1e-4
        )

    def step(self, step: int, base: Tensor, head: nn.Linear) -> Metrics:
        """Take one step on analogies between the base features (classes, drawers, d); return its loss.

        The rate falls tenfold after each third of the generator's steps.
        """
        wanted = draw_analogies(base, ANALOGIES, generator(self.seed, "analogy", step))
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


class Shrinking(SoftmaxClassifier[ShrinkingConfig]):
    """Learns features that leave the classifier little to change, then a generator of examples on them.

    Source: Hariharan and Girshick 2017.
    """

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        decay = run.method.classifier_decay if isinstance(run.method, ShrinkingConfig) else 0.0
        super().__init__(run, table, device, head_decay=2 * decay)
        self.hallucinator = (
            Hallucinator(self.config, self.backbone.features, run.seed, device)
            if self.config.hallucinate
            else None
        )
        self._base: Tensor | None = None  # features of the training images, while the backbone stays as it is

    def step(self, step: int) -> Metrics:
        """Take one optimiser step, of the backbone first, then of the generator."""
        if self.hallucinator and step >= self.config.steps - self.config.generator_steps:
            head = self.measured.get_submodule("head")
            assert isinstance(head, nn.Linear)
            return self.hallucinator.step(step, self.base(), head)
        self._base = None
        return super().step(step)

    def penalty(self, features: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
        """Return the weighted penalty that a config names."""
        return self.config.penalty_weight * PENALTIES[self.config.penalty](features, logits, classes)

    def base(self) -> Tensor:
        """Return the features of training images (classes, each, d), of as many as analogies need."""
        if self._base is None:
            embed = backbone_embedding(self.measured.get_submodule("backbone"), self.device)
            features = SplitFeatures(self.table, "train", embed)
            every = torch.arange(self.table.count("train")).unflatten(0, (-1, self.table.per_class("train")))
            self._base = features(every[:, :ANALOGY_IMAGES])
        return self._base

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        features = backbone_embedding(self.measured.get_submodule("backbone"), self.device)(images)
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
        return {"classifier": super().state_dict()} | made_up

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what state_dict returns."""
        self._base = None
        super().load_state_dict(state["classifier"])
        if self.hallucinator:
            self.hallucinator.load_state_dict(state["hallucinator"])
