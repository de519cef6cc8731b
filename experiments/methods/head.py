"""The fast module, W_fc: where it starts for a task, what it sees of the features, and its gradient.

Not here: how it is learned for a task (fastslow.py).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from experiments.config import Features
from experiments.evaluate import class_means

AT_ONCE = 2048  # images


class Start(nn.Module):
    """theta_0 of a task: zeros (Lemma 1), or the class means of the support times one learned scale.

    The scale is shared by all classes, so that no class is favoured.
    """

    def __init__(self, how: Literal["zeros", "means"], scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale)) if how == "means" else None

    def set_scale(self, scale: Tensor) -> None:
        """Let the scale start elsewhere, where there is one."""
        if self.scale is not None:
            self.scale.data.copy_(scale)

    def forward(self, support: Tensor, labels: Tensor) -> Tensor:
        """Return theta_0 (..., n_way, d + 1) for support (..., images, d + 1) of labels (images,)."""
        means = class_means(support, labels)
        return torch.zeros_like(means) if self.scale is None else self.scale * means


def head_input(features: Tensor, support: Tensor, how: Features) -> Tensor:
    """Return what classifies the features (..., batch, d) of a task with these support features.

    raw: as they are; unit: at length 1; centred: at length 1 after the support's mean is taken away.
    """
    if how == "centred":
        features = features - support.mean(-2, keepdim=True)
    return features if how == "raw" else normalize(features, dim=-1)


def head_gradient(features: Tensor, labels: Tensor, theta: Tensor) -> Tensor:
    """Return dL/dtheta of the mean cross-entropy of softmax(features theta^T), in closed form.

    features (..., batch, d + 1), labels (batch,), theta (..., n_way, d + 1) -> like theta. Without gradients
    only AT_ONCE images are classified at a time: at ten thousand classes their errors would be gigabytes.
    """
    if features.requires_grad or theta.requires_grad:
        true = labels[:, None] == torch.arange(theta.shape[-2], device=labels.device)  # (batch, n_way)
        probabilities = (features @ theta.mT).softmax(-1)
        total = torch.where(true, probabilities - 1, probabilities).mT @ features
    else:
        parts = zip(features.split(AT_ONCE, dim=-2), labels.split(AT_ONCE), strict=True)
        total = sum((_error(*part, theta).mT @ part[0] for part in parts), torch.zeros_like(theta))
    return total / features.shape[-2]


def _error(features: Tensor, labels: Tensor, theta: Tensor) -> Tensor:
    """Return what each class's probability is too large by, (..., batch, n_way)."""
    error = (features @ theta.mT).softmax(-1)
    error[..., torch.arange(len(labels), device=labels.device), labels] -= 1
    return error


def class_of_each(images: Tensor, n_way: int) -> Tensor:
    """Return labels (batch,) of images (..., batch, d) that lie class by class, as many of each."""
    return torch.arange(n_way, device=images.device).repeat_interleave(images.shape[-2] // n_way)
