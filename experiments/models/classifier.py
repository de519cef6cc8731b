"""A backbone with a linear classifier of all training classes, trained together.

Not here: what a method does with the features for a new task.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.config import Accelerated, ImageShape
from experiments.descent import descend
from experiments.models.conv4 import Conv4
from experiments.models.precision import training_forward
from experiments.models.weights import draw_weights
from experiments.rng import Key, generator

Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]  # (features, logits, classes) -> ()


def no_penalty(features: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """Return 0."""
    return features.new_zeros(())


class SoftmaxClassifier:
    """Conv4 and softmax, trained by Adam at a constant rate on cross-entropy plus a penalty.

    `decay` times half the squared norm of the classifier's weights is part of the loss.
    """

    def __init__(
        self,
        filters: int,
        classes: int,
        image: ImageShape,
        *,
        method: Accelerated,
        lr: float,
        seed: Key,
        device: torch.device,
        decay: float = 0.0,
    ) -> None:
        weights = generator(seed, "weights")
        self.lr = lr
        self.backbone = Conv4(filters, weights, image).to(device)
        self.forward = training_forward(self.backbone, method, device)
        self.head = nn.Linear(self.backbone.features, classes).to(device)
        draw_weights(self.head, weights)
        self.network = nn.ModuleDict({"backbone": self.backbone, "head": self.head})
        groups: list[dict[str, Any]] = [
            {"params": [*self.backbone.parameters(), self.head.bias]},
            {"params": [self.head.weight], "weight_decay": decay},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=lr)

    def step(self, images: Tensor, classes: Tensor, penalty: Penalty = no_penalty) -> dict[str, Tensor]:
        """Take one step on images (batch, *image) of classes (batch,); return loss, penalty, accuracy."""
        features = self.forward(images)
        logits = self.head(features)
        extra = penalty(features, logits, classes)
        loss = cross_entropy(logits, classes) + extra
        descend(loss, self.network.parameters(), self.optimizer, lr=self.lr)
        accuracy = (logits.detach().argmax(-1) == classes).double().mean()
        return {"train/loss": loss.detach(), "train/penalty": extra.detach(), "train/accuracy": accuracy}

    def state_dict(self) -> dict[str, Any]:
        """Return network and optimiser."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over network and optimiser."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
