"""Theta' where a backbone has seen the images: an adapter of its features, its last block, or all of it.

Not here: the backbone itself (backbones.py).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from experiments.data.table import Table
from experiments.features.architectures import untrained
from experiments.features.backbone_weights import load_weights, read_weights
from experiments.features.cutting import cut_before
from experiments.features.table import FeatureTable, StoredTail
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


class LastBlock(nn.Module):
    """The last block of a backbone, or all of it, which begins with the weights it has there.

    Kept inputs (batch, *shape), images where it is all, become features (batch, d), brought to one length.
    """

    def __init__(self, block: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.block = block
        with torch.no_grad():
            self.features = block.eval()(torch.zeros(1, *shape)).shape[1]

    def forward(self, kept: Tensor) -> Tensor:
        """Return the features (batch, d)."""
        return LENGTH * normalize(self.block(kept), dim=-1)


class Pretrained(nn.Module):
    """The backbone of a pre-training, its features brought to one length, as pre-training compared them.

    Images (batch, *image) become features (batch, d). Frozen it never changes, statistics included, and
    takes features that it made of images as they are.
    """

    def __init__(self, backbone: Conv4 | Adapter | LastBlock, *, frozen: bool) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(not frozen)
        self.features = backbone.features
        self.frozen = frozen
        self.train(self.training)

    def train(self, mode: bool = True) -> "Pretrained":
        """Have batch normalisation use the statistics of the batch, but for a frozen backbone."""
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (batch, d)."""
        if self.frozen and images.ndim == 2:
            return images
        return LENGTH * normalize(self.backbone(images), dim=-1)


def last_block(stored: StoredTail) -> LastBlock:
    """Return the last block that a table goes on with; DataError where its weights are damaged."""
    kept = stored.kept
    _, block = cut_before(untrained(kept.architecture).eval(), kept.part, kept.architecture)
    load_weights(block, read_weights(stored.weights), stored.weights, f"{kept.part} of {kept.architecture}")
    return LastBlock(block, kept.shape)


def build_backbone(table: Table, filters: int, source: torch.Generator) -> Conv4 | Adapter | LastBlock:
    """Return theta' as it begins for what a table holds: conv4 for images, for features an adapter of them.

    Where inputs of a backbone's last block are kept, it is that block.
    """
    if isinstance(table, FeatureTable) and table.tail is not None:
        return last_block(table.tail)
    shape = table.image_shape
    if len(shape) == 1:
        return Adapter(shape[0])
    channels, height, width = shape
    return Conv4(filters, source, (channels, height, width))


Backbone = Conv4 | Adapter | LastBlock | Pretrained
