"""The four-block convolutional backbone of the one-shot literature.

Not here: heads, which belong to the methods.
"""

import math

import torch
from torch import Tensor, nn

from experiments.config import ImageShape

GREY_28: ImageShape = (1, 28, 28)
REDUCTION = 16  # of height and width by the four poolings


def as_many(most: int, image: ImageShape) -> int:
    """Return how many tasks or images of a size take the memory that `most` take at 28x28; at least 1."""
    return max(1, most * math.prod(GREY_28[1:]) // math.prod(image[1:]))


def _block(inputs: int, filters: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, filters, kernel_size=3, padding=1),
        nn.BatchNorm2d(filters),
        nn.MaxPool2d(2),  # before ReLU, which then has a quarter of the work: the values are the same
        nn.ReLU(),
    )


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, batch normalisation, 2x2 max-pooling and ReLU.

    Images (batch, *image) become features (batch, features): one number for each filter of 28x28 images, 25
    of 84x84 ones. Source: Vinyals et al. 2016, used by the paper in section 4.2 with 64 filters.
    """

    def __init__(self, filters: int, generator: torch.Generator, image: ImageShape = GREY_28) -> None:
        super().__init__()
        channels, height, width = image
        self.features = filters * (height // REDUCTION) * (width // REDUCTION)
        self.blocks = nn.Sequential(_block(channels, filters), *(_block(filters, filters) for _ in range(3)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(module.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (batch, features) of images (batch, *image)."""
        features: Tensor = self.blocks(images.contiguous(memory_format=torch.channels_last))
        return features.flatten(1)
