"""The CNN baseline: a softmax classifier of the training classes, put to a task it was not made for.

Not here: the training of the classifier (models/classifier.py).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, linear, normalize, pad

from experiments.config import Cnn, ImageRun
from experiments.data.batches import class_batch
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table
from experiments.evaluate import accuracy_per_episode, backbone_embedding, evaluating
from experiments.method import Resources
from experiments.methods.head import head_gradient
from experiments.methods.pixel_knn import nearest_logits
from experiments.models.classifier import SoftmaxClassifier
from experiments.rng import generator


def build(config: ImageRun, resources: Resources) -> "CnnBaseline":
    """Return the untrained method of a config."""
    return CnnBaseline(config, open_table(config.data, resources.data_dir), resources.device)


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


class CnnBaseline:
    """Learns the training classes by heart; meets a task by its features, or is fitted to its support."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, Cnn)
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
        )

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per batch of images; return loss and accuracy per step."""
        rows = [self._step(step) for step in range(start, start + count)]
        return {name: torch.stack([row[name] for row in rows]) for name in ("train/loss", "train/accuracy")}

    def _step(self, step: int) -> dict[str, Tensor]:
        source = generator(self.seed, "batch", step)
        images, classes = class_batch(self.table, "train", self.config.batch_size, self.config.jitter, source)
        return self.classifier.step(images.to(self.device), classes.to(self.device))

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, with running statistics in batch normalisation."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return what does not depend on the task: features (batch, d), or pixels for fine-tuning."""
        if self.config.test == "fine-tune":
            return images.flatten(1).to(self.device)
        features = backbone_embedding(self.classifier.backbone, self.device)(images)
        by_cosine = self.config.test == "nearest" and self.config.distance == "cosine"
        return normalize(features, dim=-1) if by_cosine else features

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) by the configured recipe."""
        method = self.config
        if method.test == "nearest":
            return nearest_logits(support, labels, query)
        if method.test == "linear":
            return fitted_logits(support, labels, query, method.fit_steps, method.fit_lr)
        backbone = self.classifier.backbone
        with evaluating(backbone):
            shape = self.table.image_shape
            tasks = zip(support.unflatten(-1, shape), query.unflatten(-1, shape), strict=True)
            return torch.stack(
                [
                    fine_tuned_logits(backbone, examples, labels, questions, method.fit_steps, method.fit_lr)
                    for examples, questions in tasks
                ]
            )

    def state_dict(self) -> dict[str, Any]:
        """Return classifier and optimiser."""
        return self.classifier.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over classifier and optimiser."""
        self.classifier.load_state_dict(state)
