"""The four-block network with weights of its own for each of many tasks, all computed side by side.

Not here: how the weights of a task are found (methods/maml.py, methods/meta_lstm.py).
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, cross_entropy, max_pool2d, relu, unfold

from experiments.config import ImageShape
from experiments.config.adapting import BatchStatistics
from experiments.models.conv4 import GREY_28, REDUCTION

Weights = dict[str, Tensor]
Down = Literal["stride", "pool"]  # what halves the maps

BLOCKS = 4
NORMALISATION = frozenset({f"{kind}{block}" for kind in ("scale", "shift") for block in range(BLOCKS)})
_EPSILON = 1e-5


def initial_weights(
    filters: int,
    n_way: int,
    head_spread: float,
    generator: torch.Generator,
    image: ImageShape = GREY_28,
    down: Down = "stride",
) -> Weights:
    """Return one network's first weights: Xavier for convolutions, N(0, head_spread^2) for the head.

    Convolutions have no bias: batch normalisation would take it away again.
    """
    channels, *_ = image
    weights: Weights = {}
    for block in range(BLOCKS):
        inputs = filters if block else channels
        bound = math.sqrt(6 / (9 * (inputs + filters)))
        weights[f"conv{block}"] = (torch.rand(filters, inputs, 3, 3, generator=generator) * 2 - 1) * bound
        weights[f"scale{block}"] = torch.ones(filters)
        weights[f"shift{block}"] = torch.zeros(filters)
    features = feature_count(filters, image, down)
    weights["head"] = head_spread * torch.randn(n_way, features, generator=generator)
    weights["bias"] = torch.zeros(n_way)
    return weights


def feature_count(filters: int, image: ImageShape, down: Down) -> int:
    """Return how many features the head sees: one for each map with strides, all of each map with pooling."""
    _, height, width = image
    return filters * (height // REDUCTION) * (width // REDUCTION) if down == "pool" else filters


def for_each_task(weights: Weights, tasks: int) -> Weights:
    """Return the same weights for so many tasks, without copying them."""
    return {name: weight.expand(tasks, *weight.shape) for name, weight in weights.items()}


def task_logits(weights: Weights, images: Tensor, seen: int, down: Down) -> Tensor:
    """Return logits (tasks, images, n_way) of images (tasks, images, *image).

    Every weight has a first dimension of tasks. Batch normalisation uses the statistics of the first `seen`
    images of each task.
    """
    tasks = len(images)
    maps = _first_block(weights, images, seen, down)  # a group of channels for each task
    for block in range(1, BLOCKS):
        kernels = weights[f"conv{block}"].flatten(0, 1)
        maps = conv2d(maps, kernels, padding=1, stride=2 if down == "stride" else 1, groups=tasks)
        maps = _normalised(maps, seen, weights[f"scale{block}"].flatten(), weights[f"shift{block}"].flatten())
        maps = relu(maps if down == "stride" else max_pool2d(maps, 2))
    features = _features(maps.unflatten(1, (tasks, -1)), down).transpose(0, 1)  # (tasks, images, d)
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


def _first_block(weights: Weights, images: Tensor, seen: int, down: Down) -> Tensor:
    """Return maps (images, tasks * filters, h, w), convolved and normalised in one product.

    The first maps are linear in patches of the images, which nothing changes: so their mean and variance are
    those of the patches seen through the kernels. Normalising the kernels, some numbers each, instead of maps
    of hundreds is what makes second derivatives cheap where the maps are largest.
    """
    tasks, count, _, *size = images.shape
    stride = 2 if down == "stride" else 1
    patches = unfold(images.flatten(0, 1), 3, padding=1, stride=stride)
    patches = patches.unflatten(0, (tasks, count)).transpose(1, 2)  # (tasks, d, images, positions)
    known = patches[:, :, :seen].flatten(2)
    centre = known.mean(2, keepdim=True)
    spread = (known - centre) @ (known - centre).mT / known.shape[2]  # (tasks, d, d)
    kernels = weights["conv0"].flatten(2)  # (tasks, filters, d)
    variance = (kernels @ spread * kernels).sum(2)
    kernels = kernels * (weights["scale0"] * (variance + _EPSILON).rsqrt())[..., None]
    flat = torch.baddbmm(weights["shift0"][..., None], kernels, patches.flatten(2) - centre)
    height, width = (-(-side // stride) for side in size)
    maps = flat.view(tasks, -1, count, height, width).permute(2, 0, 1, 3, 4).flatten(1, 2)
    return relu(maps if down == "stride" else max_pool2d(maps, 2))


def _features(maps: Tensor, down: Down) -> Tensor:
    """Return features (images, tasks, d) of maps (images, tasks, filters, h, w).

    With strides the mean over each map, with pooling all of it, as the released code of Finn et al. 2017.
    """
    return maps.mean((3, 4)) if down == "stride" else maps.flatten(2)


def _normalised(maps: Tensor, seen: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Return maps (images, channels, h, w), each channel at mean 0, variance 1 over the seen images."""
    if seen == len(maps):
        return batch_norm(maps, None, None, scale, shift, training=True, eps=_EPSILON)
    variance, mean = torch.var_mean(maps[:seen], (0, 2, 3), correction=0)
    factor = scale * (variance + _EPSILON).rsqrt()
    return maps * factor[:, None, None] + (shift - mean * factor)[:, None, None]
