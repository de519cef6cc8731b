"""The four-block convolutional backbone of the one-shot literature.

Not here: heads, which belong to the methods.
"""

import torch
from torch import Tensor, nn


def _block(inputs: int, filters: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, filters, kernel_size=3, padding=1),
        nn.BatchNorm2d(filters),
        nn.MaxPool2d(2),  # before ReLU, which then has a quarter of the work: the values are the same
        nn.ReLU(),
    )


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, batch normalisation, 2x2 max-pooling and ReLU.

    Images (batch, 1, 28, 28) become features (batch, filters). Source: Vinyals et al. 2016, used by
    the paper in section 4.2 with 64 filters.
    """

    def __init__(self, filters: int, generator: torch.Generator) -> None:
        super().__init__()
        self.filters = filters
        self.blocks = nn.Sequential(_block(1, filters), *(_block(filters, filters) for _ in range(3)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(module.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (batch, filters) of images (batch, 1, 28, 28)."""
        features: Tensor = self.blocks(images.contiguous(memory_format=torch.channels_last))
        return features.flatten(1)
