"""The convolutional network of Koch et al. 2015, for images four times as wide as those of 28 pixels.

Not here: how two of its features are compared (methods/siamese.py).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from experiments.config import ImageShape
from experiments.models.conv4 import GREY_28

SIZE = 105  # pixels, as Omniglot was drawn
FEATURES = 4096


class KochNet(nn.Module):
    """Images (batch, *image), enlarged to 105 pixels, become sigmoid features (batch, 4096)."""

    features = FEATURES

    def __init__(self, generator: torch.Generator, image: ImageShape = GREY_28) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(image[0], 64, 10), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 7), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(128, 128, 4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(128, 256, 4), nn.ReLU(),
        )  # fmt: skip
        self.output = nn.Linear(256 * 6 * 6, FEATURES)
        for layer in (*self.convolutions, self.output):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spread = 0.2 if isinstance(layer, nn.Linear) else 0.01
                nn.init.normal_(layer.weight, 0.0, spread, generator=generator)
                assert layer.bias is not None
                nn.init.normal_(layer.bias, 0.5, 0.01, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (batch, 4096) of images (batch, *image)."""
        large = interpolate(images, size=SIZE, mode="bilinear", align_corners=False)
        features: Tensor = self.output(self.convolutions(large).flatten(1))
        return features.sigmoid()
