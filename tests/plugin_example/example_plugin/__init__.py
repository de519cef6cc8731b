"""What somebody else offers: class means on a network that learns nothing, and a data set of finches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.config import ImageRun
from experiments.config.training import Training
from experiments.data.table import Table
from experiments.evaluate import backbone_embedding, class_means
from experiments.features.adapter import build_backbone
from experiments.methods.base import ImageMethod
from experiments.rng import generator


class RandomFeatures(ImageMethod[Any]):
    """Compares images by the features of a network as it begins."""

    class Config(Training):
        """Its options."""

        filters: int = 8

    experiments = ("glyphs",)

    def __init__(self, run: ImageRun, table: Table, device: torch.device) -> None:
        super().__init__(run, table, device)
        source = generator(run.seed, "weights")
        self.backbone = build_backbone(table, self.config.filters, source).to(device)

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.backbone, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way)."""
        return -torch.cdist(query, class_means(support, labels))


def finches(path: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield the class of each picture below a folder, and its file: the class begins the file's name."""
    assert path is not None
    for file in sorted(path.glob("*.png")):
        yield file.stem.partition("-")[0], file
