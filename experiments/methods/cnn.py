"""The CNN baseline: a softmax classifier of the training classes, put to a task it was not made for."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, linear, normalize, pad

from experiments.config import CnnConfig, ImageRun, ShrinkingConfig
from experiments.data.batches import class_batch
from experiments.data.images import ImageTable
from experiments.evaluate import backbone_embedding, evaluating
from experiments.methods.base import ImageMethod, Metrics, share_right
from experiments.methods.pixel_knn import nearest_logits
from experiments.models.conv4 import Conv4
from experiments.models.linear_head import head_gradient
from experiments.models.precision import training_forward
from experiments.models.weights import draw_weights
from experiments.rng import generator

Classifying = TypeVar("Classifying", CnnConfig, ShrinkingConfig)


def fitted_logits(support: Tensor, labels: Tensor, query: Tensor, steps: int, lr: float) -> Tensor:
    """Return the logits of a linear classifier fitted to each support from zero by gradient descent.

    support (episodes, images, d), labels (images,), query (episodes, queries, d) ->
    (episodes, queries, n_way).
    """
    examples, questions = (pad(features, (0, 1), value=1.0) for features in (support, query))  # for the bias
    theta = examples.new_zeros(len(examples), int(labels.max()) + 1, examples.shape[-1])
    for _ in range(steps):
        theta = theta - lr * head_gradient(examples, labels, theta)
    return questions @ theta.mT


def fine_tuned_logits(
    backbone: nn.Module, support: Tensor, labels: Tensor, query: Tensor, steps: int, lr: float
) -> Tensor:
    """Return logits (queries, n_way) after all layers and a new classifier were fitted to one support.

    support (images, *image), labels (images,), query (queries, *image). The backbone must be in
    evaluation mode, and keeps its weights. Source: "Baseline-finetune" of Ravi & Larochelle 2017.
    """
    weights = {name: each.detach().requires_grad_() for name, each in backbone.named_parameters()}
    with torch.no_grad():
        features = backbone(support[:1])
    head = features.new_zeros(int(labels.max()) + 1, features.shape[1], requires_grad=True)
    for _ in range(steps):
        with torch.enable_grad():
            loss = cross_entropy(linear(functional_call(backbone, weights, (support,)), head), labels)
            *gradients, of_head = torch.autograd.grad(loss, [*weights.values(), head])
        moved = zip(weights.items(), gradients, strict=True)
        weights = {name: (each - lr * gradient).detach().requires_grad_() for (name, each), gradient in moved}
        head = (head - lr * of_head).detach().requires_grad_()
    with torch.no_grad():
        return linear(functional_call(backbone, weights, (query,)), head)


class SoftmaxClassifier(ImageMethod[Classifying]):
    """Conv4 and a softmax over all training classes, trained by Adam on cross-entropy plus a penalty."""

    saved = ("network", "measured", "optimizer")
    table: ImageTable

    def __init__(
        self, run: ImageRun, table: ImageTable, device: torch.device, *, head_decay: float = 0.0
    ) -> None:
        super().__init__(run, table, device)
        method = self.config
        weights = generator(run.seed, "weights")
        self.backbone = Conv4(method.filters, weights, table.image_shape).to(device)
        self.forward = training_forward(self.backbone, method, device)
        self.head = nn.Linear(self.backbone.features, table.class_count("train")).to(device)
        draw_weights(self.head, weights)
        self.network = nn.ModuleDict({"backbone": self.backbone, "head": self.head})
        self.measured = self.averaged(self.network, method.averaging)
        self.learn(self.network.parameters(), method.lr)
        groups: list[dict[str, Any]] = [
            {"params": [*self.backbone.parameters(), self.head.bias]},
            {"params": [self.head.weight], "weight_decay": head_decay},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=method.lr)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the loss of a batch of images drawn from all training classes."""
        method, source = self.config, generator(self.seed, "batch", step)
        images, classes = class_batch(self.table, "train", method.batch_size, method.jitter, source)
        features, classes = self.forward(images.to(self.device)), classes.to(self.device)
        logits = self.head(features)
        penalty = self.penalty(features, logits, classes)
        loss = cross_entropy(logits, classes) + penalty
        return loss, {
            "train/loss": loss.detach(),
            "train/penalty": penalty.detach(),
            "train/accuracy": share_right(logits, classes),
        }

    def penalty(self, features: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
        """Return what is minimised besides: of features (batch, d), logits and classes (batch,)."""
        return features.new_zeros(())


class Cnn(SoftmaxClassifier[CnnConfig]):
    """Learns the training classes by heart; meets a task by its features, or is fitted to its support."""

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of a batch of images."""
        loss, metrics = super().loss(step)
        return loss, {name: value for name, value in metrics.items() if name != "train/penalty"}

    def embed(self, images: Tensor) -> Tensor:
        """Return what does not depend on the task: features (batch, d), or pixels for fine-tuning."""
        if self.config.test == "fine-tune":
            return super().embed(images)
        features = backbone_embedding(self.measured.get_submodule("backbone"), self.device)(images)
        by_cosine = self.config.test == "nearest" and self.config.distance == "cosine"
        return normalize(features, dim=-1) if by_cosine else features

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) by the configured recipe."""
        method, shape = self.config, self.table.image_shape
        if method.test == "nearest":
            return nearest_logits(support, labels, query)
        if method.test == "linear":
            return fitted_logits(support, labels, query, method.fit_steps, method.fit_lr)
        backbone = self.measured.get_submodule("backbone")
        with evaluating(backbone):
            answers = [
                fine_tuned_logits(backbone, shown, labels, asked, method.fit_steps, method.fit_lr)
                for shown, asked in zip(support.unflatten(-1, shape), query.unflatten(-1, shape), strict=True)
            ]
        return torch.stack(answers)
