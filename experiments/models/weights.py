"""First weights of linear and convolutional layers, drawn from a keyed random source.

Not here: layers that start otherwise; they say so themselves.
"""

import math

import torch
from torch import nn


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every linear and convolutional layer inside: U(-b, b), b = 1 / sqrt(inputs of one output)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, layer.bias):
                if parameter is not None:
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)
