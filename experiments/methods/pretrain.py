"""Pre-training of the backbone on the base classes, by a softmax classifier or by episodes."""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from experiments.config import ImageRun, PretrainConfig
from experiments.config.training import scheduled
from experiments.data.images import ImageTable
from experiments.data.training import TrainingClasses
from experiments.datasets import open_table
from experiments.descent import descend
from experiments.evaluate import backbone_embedding, class_means
from experiments.method import Method, Resources
from experiments.methods.base import ImageMethod, Metrics, classified, each_in_turn, truth_in_turn
from experiments.methods.protonet import mean_logits
from experiments.models.average import follow
from experiments.models.conv4 import Conv4
from experiments.models.joint_norm import normalise_jointly
from experiments.models.linear_head import head_input
from experiments.models.precision import training_forward
from experiments.parallel import Leader, Together, distributed
from experiments.rng import generator
from experiments.team import Team

COSINE_SCALE = 20.0  # logits of a cosine lie in [-20, 20], where it is not learned

Classify = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Objective(Protocol):
    """Draws what a step learns from, and turns its features into logits."""

    def draw(self, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return class and drawer (images,) of each image of a step."""

    def __call__(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (decisions, choices) and which choice is right (decisions,)."""


class Softmax(nn.Module):
    """Every class has a weight vector; logits are products, or cosines, with all of them."""

    def __init__(
        self, config: PretrainConfig, classes: TrainingClasses, features: int, source: torch.Generator
    ) -> None:
        super().__init__()
        self.config = config
        self.each = classes.each
        initial = torch.randn(classes.count, features, generator=source)
        self.weight = nn.Parameter(initial / math.sqrt(features))

    def draw(self, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return class and drawer of images drawn at random."""
        index = torch.randint(len(self.weight) * self.each, (self.config.batch_size,), generator=source)
        return index // self.each, index % self.each

    def forward(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (images, n_classes) and the true classes."""
        if self.config.classifier == "linear":
            return linear(features, self.weight), classes
        cosine = linear(normalize(features, dim=-1), normalize(self.weight, dim=-1))
        return COSINE_SCALE * cosine, classes


class LeaveOneOut(nn.Module):
    """Episodes in which each image of a class is in turn the support that classifies all others.

    The logits are those of a nearest class mean: a learned scale times the product of what
    `features` makes of them. Source: Snell et al. 2017 with one shot, every image used both ways.
    """

    def __init__(self, config: PretrainConfig, classes: TrainingClasses) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.log_scale = nn.Parameter(torch.tensor(math.log(COSINE_SCALE)))

    def draw(self, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return class and drawer of train_images different images of train_n_way different classes."""
        return self.classes.draw(self.config.train_n_way, self.config.train_images, source)

    def forward(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (images * (train_images - 1), n_way), image by image, and the true positions."""
        how = self.config.features
        every = features.unflatten(0, (-1, self.config.train_images))  # (n_way, images, d)
        products = [
            head_input(queries, support, how) @ head_input(support, support, how).T
            for support, queries in each_in_turn(every)
        ]
        return self.log_scale.exp() * torch.cat(products), truth_in_turn(every)


class Pretrain(ImageMethod[PretrainConfig]):
    """Supervised training on C_base (paper section 4.2); measured by nearest class mean, cosine.

    `backbone` is what is measured and handed on; `network` is what is trained, the same unless averaged.
    """

    saved = ("backbone", "network", "objective", "optimizer")

    def __init__(
        self, run: ImageRun, table: ImageTable, device: torch.device, team: Team | None = None
    ) -> None:
        super().__init__(run, table, device)
        method, self.team = self.config, team
        self.seed = run.seed if method.seed is None else method.seed
        weights = generator(self.seed, "weights")
        self.network = Conv4(method.filters, weights, table.image_shape).to(device)
        copy = deepcopy(self.network).requires_grad_(False)
        if team is not None:
            team.require_images(method.images_a_step)
            normalise_jointly(self.network)
        self.forward = training_forward(self.network, method, device)
        self.backbone = copy if method.averaging else self.network
        splits = tuple(method.classes.split("+"))
        self.classes = TrainingClasses(table, splits, method.mirrored, method.jitter)
        self.objective: Softmax | LeaveOneOut = (
            Softmax(method, self.classes, self.network.features, weights)
            if method.objective == "softmax"
            else LeaveOneOut(method, self.classes)
        ).to(device)
        self.optimizer = torch.optim.AdamW(
            [*self.network.parameters(), *self.objective.parameters()], weight_decay=method.weight_decay
        )

    @classmethod
    def build(cls, run: ImageRun, resources: Resources) -> Method:
        """Return the untrained method; where several processes train, the first leads the others."""
        table, team = open_table(run.data, resources.data_dir), resources.team
        method = cls(run, table, resources.device, team)
        return Leader(method, team) if team is not None and team.leads else method

    def step(self, step: int) -> Metrics:
        """Take one optimiser step on a batch of base images."""
        method = self.config
        source = generator(self.seed, "batch", step)
        classes, drawers = self.objective.draw(source)
        images = self.classes.images(classes, drawers, source)
        loss, metrics = classified(*self.classify(images, classes))
        descend(loss, (), self.optimizer, lr=scheduled("one-cycle", method.lr, step, method.steps))
        if method.averaging:
            follow(self.backbone, self.network, method.averaging, step)
        return metrics

    @cached_property
    def classify(self) -> Classify:
        """Images and classes of a step -> logits and truth: here, or by all processes of a team."""
        if self.team is not None:
            return distributed(Together(self.network, self.objective, self.forward, self.team))
        return lambda images, classes: self.objective(
            self.forward(images.to(self.device)), classes.to(self.device)
        )

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image), at length 1."""
        return normalize(backbone_embedding(self.backbone, self.device)(images), dim=-1)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): how near each query is to each class mean."""
        return COSINE_SCALE / 2 * mean_logits(class_means(support, labels), query)
