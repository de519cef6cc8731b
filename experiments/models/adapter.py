"""What stands for theta' where images have become features already: an adapter that starts as the identity.

Not here: the backbone that made the features (backbones.py).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from experiments.data.table import Table
from experiments.models.conv4 import Conv4

LENGTH = 8.0  # of every feature before it is adapted: squared distances then suit a softmax over many classes


class Adapter(nn.Module):
    """Features (batch, d), brought to one length, plus a linear map of them that starts at zero."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.change = nn.Linear(features, features)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return the adapted features (batch, d)."""
        scaled = LENGTH * normalize(features, dim=-1)
        adapted: Tensor = scaled + self.change(scaled)
        return adapted


def build_backbone(table: Table, filters: int, source: torch.Generator) -> Conv4 | Adapter:
    """Return an untrained theta' for what a table holds: conv4 for images, an adapter for features."""
    shape = table.image_shape
    if len(shape) == 1:
        return Adapter(shape[0])
    channels, height, width = shape
    return Conv4(filters, source, (channels, height, width))
