"""The four-block network with weights of its own for each of many tasks, all computed side by side.

Not here: how the weights of a task are found (methods/maml.py, methods/meta_lstm.py).
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, cross_entropy, max_pool2d, relu

from experiments.config.adapting import BatchStatistics

Weights = dict[str, Tensor]
Down = Literal["stride", "pool"]  # what halves the maps

BLOCKS = 4
NORMALISATION = frozenset({f"{kind}{block}" for kind in ("scale", "shift") for block in range(BLOCKS)})
_EPSILON = 1e-5


def initial_weights(filters: int, n_way: int, head_spread: float, generator: torch.Generator) -> Weights:
    """Return one network's first weights: Xavier for convolutions, N(0, head_spread^2) for the head.

    Convolutions have no bias: batch normalisation would take it away again.
    """
    weights: Weights = {}
    for block in range(BLOCKS):
        inputs = filters if block else 1
        bound = math.sqrt(6 / (9 * (inputs + filters)))
        weights[f"conv{block}"] = (torch.rand(filters, inputs, 3, 3, generator=generator) * 2 - 1) * bound
        weights[f"scale{block}"] = torch.ones(filters)
        weights[f"shift{block}"] = torch.zeros(filters)
    weights["head"] = head_spread * torch.randn(n_way, filters, generator=generator)
    weights["bias"] = torch.zeros(n_way)
    return weights


def for_each_task(weights: Weights, tasks: int) -> Weights:
    """Return the same weights for so many tasks, without copying them."""
    return {name: weight.expand(tasks, *weight.shape) for name, weight in weights.items()}


def task_logits(weights: Weights, images: Tensor, seen: int, down: Down) -> Tensor:
    """Return logits (tasks, images, n_way) of images (tasks, images, 1, 28, 28).

    Every weight has a first dimension of tasks. Batch normalisation uses the statistics of the first `seen`
    images of each task.
    """
    tasks, _, _, *size = images.shape
    maps = images.transpose(0, 1).reshape(-1, tasks, *size)  # a group of channels for each task
    for block in range(BLOCKS):
        kernels = weights[f"conv{block}"].flatten(0, 1)
        maps = conv2d(maps, kernels, padding=1, stride=2 if down == "stride" else 1, groups=tasks)
        maps = _normalised(maps, seen, weights[f"scale{block}"].flatten(), weights[f"shift{block}"].flatten())
        maps = relu(maps if down == "stride" else max_pool2d(maps, 2))
    features = maps.mean((2, 3)).unflatten(1, (tasks, -1)).transpose(0, 1)  # (tasks, images, filters)
    logits: Tensor = features @ weights["head"].mT + weights["bias"][:, None]
    return logits


def query_logits(
    weights: Weights, support: Tensor, query: Tensor, statistics: BatchStatistics, down: Down
) -> Tensor:
    """Return logits (tasks, queries, n_way), normalised by statistics of the queries or of the support."""
    if statistics == "queries":
        return task_logits(weights, query, query.shape[1], down)
    both = torch.cat((support, query), dim=1)
    return task_logits(weights, both, support.shape[1], down)[:, support.shape[1] :]


def task_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy (tasks,) of logits (tasks, images, n_way), labels (images,)."""
    return cross_entropy(logits.mT, labels.expand(len(logits), -1), reduction="none").mean(1)


def _normalised(maps: Tensor, seen: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Return maps (images, channels, h, w), each channel at mean 0, variance 1 over the seen images."""
    if seen == len(maps):
        return batch_norm(maps, None, None, scale, shift, training=True, eps=_EPSILON)
    variance, mean = torch.var_mean(maps[:seen], (0, 2, 3), correction=0)
    factor = scale * (variance + _EPSILON).rsqrt()
    return maps * factor[:, None, None] + (shift - mean * factor)[:, None, None]
