"""A linear classifier over features: what it sees of them, and its gradient in closed form."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.config import Features

AT_ONCE = 2048  # images


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
        total = torch.zeros_like(theta)
        for seen, classes in zip(features.split(AT_ONCE, dim=-2), labels.split(AT_ONCE), strict=True):
            error = (seen @ theta.mT).softmax(-1)  # what each probability is too large by
            error[..., torch.arange(len(classes), device=labels.device), classes] -= 1
            total = total + error.mT @ seen
    return total / features.shape[-2]
