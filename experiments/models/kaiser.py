"""The convolutional encoder of the memory for rare events, larger than conv4 and without normalisation.

Not here: the memory (key_memory.py).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn


class KaiserEncoder(nn.Module):
    """Twice two 3x3 convolutions, ReLU and 2x2 max-pooling, then a linear layer (code of Kaiser et al.)."""

    def __init__(self, filters: int, features: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = [1, filters, filters, 2 * filters, 2 * filters]
        convolutions = [nn.Conv2d(*pair, kernel_size=3, padding=1) for pair in pairwise(widths)]
        self.convolutions = nn.ModuleList(convolutions)
        self.output = nn.Linear(7 * 7 * 2 * filters, features)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=0.1, a=-0.2, b=0.2, generator=generator)
            else:
                nn.init.zeros_(parameter)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (batch, features) of images (batch, 1, 28, 28)."""
        signal = images.contiguous(memory_format=torch.channels_last)
        for index, convolution in enumerate(self.convolutions):
            signal = convolution(signal).relu()
            if index % 2:
                signal = nn.functional.max_pool2d(signal, 2)
        features: Tensor = self.output(signal.flatten(1))
        return features
