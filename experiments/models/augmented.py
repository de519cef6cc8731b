"""A convolutional network run with two sets of weights at once: slow ones, and fast ones beside them.

Not here: where fast weights come from (generators.py, methods/metanet.py).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, max_pool2d, unfold

from experiments.config import ImageShape
from experiments.models.conv4 import GREY_28

CONVOLUTIONS = 5  # 28 -> 14 -> 7 -> 4 -> 2 -> 1 pixels, 84 -> 42 -> 21 -> 11 -> 6 -> 3

# Five convolutions (filters, channels, 3, 3), a hidden layer (filters, d) and an output layer (n_way,
# filters), or the same with a first dimension: a set of weights for each image of the batch. No biases.
Weights = Sequence[Tensor]


def slow_weights(
    filters: int, n_way: int, generator: torch.Generator, image: ImageShape = GREY_28
) -> nn.ParameterList:
    """Return first weights that keep the scale of what passes through ReLU layers."""
    channels, height, width = image
    left = math.ceil(height / 2**CONVOLUTIONS) * math.ceil(
        width / 2**CONVOLUTIONS
    )  # pixels after all poolings
    shapes = [(filters, channels, 3, 3), *[(filters, filters, 3, 3)] * (CONVOLUTIONS - 1)]
    layers = [torch.empty(shape) for shape in (*shapes, (filters, filters * left), (n_way, filters))]
    for weight in layers:
        nn.init.normal_(weight, std=math.sqrt(2 / weight[0].numel()), generator=generator)
    return nn.ParameterList(layers)


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """Return the 3x3 convolution of images (batch, channels, height, width), padded by 1.

    weight (filters, channels, 3, 3), or (batch, filters, channels, 3, 3).
    """
    if weight.ndim == 4:
        return conv2d(images, weight, padding=1)
    patches = unfold(images, 3, padding=1)  # (batch, channels * 9, height * width)
    return (weight.flatten(2) @ patches).view(len(images), -1, *images.shape[2:])


def connect(features: Tensor, weight: Tensor) -> Tensor:
    """Return the linear map of features (batch, d) by weight (outputs, d) or (batch, outputs, d)."""
    if weight.ndim == 2:
        return features @ weight.mT
    return (weight @ features[..., None]).squeeze(-1)


def hidden(images: Tensor, slow: Weights, fast: Weights | None = None) -> Tensor:
    """Return what the convolutions make of images (batch, *image): (batch, d), d = filters for 28x28.

    Where there are fast weights a layer is relu(slow) + relu(fast), both of the same input
    (section 3.3, "Layer augmentation").
    """
    for index in range(CONVOLUTIONS):
        signal = convolve(images, slow[index]).relu()
        if fast is not None:
            signal = signal + convolve(images, fast[index]).relu()
        images = max_pool2d(signal, 2, ceil_mode=True)
    return images.flatten(1)


def key(images: Tensor, slow: Weights, fast: Weights | None = None) -> Tensor:
    """Return the embedding (batch, filters) of images: the hidden layer, without its ReLU."""
    features = hidden(images, slow, fast)
    signal = connect(features, slow[CONVOLUTIONS])
    return signal if fast is None else signal + connect(features, fast[CONVOLUTIONS])


def logits(images: Tensor, slow: Weights, fast: Weights | None = None) -> Tensor:
    """Return logits (batch, n_way); slow and fast ones are added."""
    features = hidden(images, slow, fast)
    signal = connect(features, slow[CONVOLUTIONS]).relu()
    if fast is None:
        return connect(signal, slow[-1])
    signal = signal + connect(features, fast[CONVOLUTIONS]).relu()
    return connect(signal, slow[-1]) + connect(signal, fast[-1])


def gradients_per_image(images: Tensor, labels: Tensor, weights: Weights) -> list[Tensor]:
    """Return dL_i/dW of each image's own cross-entropy, (batch, *W.shape) for each weight W; constants."""
    copies = [weight.detach().expand(len(images), *weight.shape).requires_grad_() for weight in weights]
    with torch.enable_grad():
        loss = cross_entropy(logits(images, copies), labels, reduction="sum")
    return list(torch.autograd.grad(loss, copies))
