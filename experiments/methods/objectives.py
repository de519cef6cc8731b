"""What pre-training minimises: each draws the images of a step and says how well they are classified.

Not here: the backbone and its optimiser (pretrain.py).
"""

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from experiments.config import Pretrain
from experiments.data.training import TrainingClasses
from experiments.methods.head import head_input

COSINE_SCALE = 20.0  # logits of a cosine lie in [-20, 20], where it is not learned


class Objective(Protocol):
    """Draws what a step learns from, and turns its features into logits."""

    def draw(self, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return class and drawer (images,) of each image of a step."""

    def __call__(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (decisions, choices) and which choice is right (decisions,)."""


class Softmax(nn.Module):
    """Every class has a weight vector; logits are products, or cosines, with all of them."""

    def __init__(
        self, config: Pretrain, classes: TrainingClasses, features: int, source: torch.Generator
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

    def __init__(self, config: Pretrain, classes: TrainingClasses) -> None:
        super().__init__()
        self.config = config
        self.n_classes = classes.count
        self.each = classes.each
        self.log_scale = nn.Parameter(torch.tensor(math.log(COSINE_SCALE)))

    def draw(self, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return class and drawer of train_images different images of train_n_way different classes."""
        ways, images = self.config.train_n_way, self.config.train_images
        classes = torch.randperm(self.n_classes, generator=source)[:ways]
        drawers = torch.rand(ways, self.each, generator=source).argsort(1)[:, :images]
        return classes.repeat_interleave(images), drawers.flatten()

    def forward(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (images * (train_images - 1), n_way), image by image, and the true positions."""
        images = self.config.train_images
        every = features.unflatten(0, (-1, images))  # (n_way, images, d)
        parts, ways = [], torch.arange(len(every), device=features.device)
        for chosen in range(images):
            support = every[:, chosen]
            others = torch.cat((every[:, :chosen], every[:, chosen + 1 :]), dim=1).flatten(0, 1)
            queries = head_input(others, support, self.config.features)
            parts.append(queries @ head_input(support, support, self.config.features).T)
        truth = ways.repeat_interleave(images - 1).repeat(images)
        return self.log_scale.exp() * torch.cat(parts), truth


def build_objective(
    config: Pretrain, classes: TrainingClasses, features: int, source: torch.Generator
) -> Softmax | LeaveOneOut:
    """Return the objective a config names, for so many features of an image."""
    if config.objective == "softmax":
        return Softmax(config, classes, features, source)
    return LeaveOneOut(config, classes)
