"""The metric-learning CNN: nearest neighbour on pre-trained features of length 1."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.config import CnnNeighbourConfig, ImageRun
from experiments.data.table import Table
from experiments.evaluate import backbone_embedding, class_means, nearest_of_class
from experiments.features.adapter import build_backbone
from experiments.methods.base import ImageMethod
from experiments.methods.cnn import fitted_logits
from experiments.methods.pretrain import COSINE_SCALE
from experiments.methods.protonet import mean_logits
from experiments.rng import generator


class CnnNeighbour(ImageMethod[CnnNeighbourConfig]):
    """Nearest neighbour on frozen features; by the nearest image it is what Figure 5 compares with."""

    saved = ("backbone",)

    def __init__(self, run: ImageRun, table: Table, device: torch.device) -> None:
        super().__init__(run, table, device)
        filters = self.config.pretrain.filters if self.config.pretrain else 64
        self.backbone = build_backbone(table, filters, generator(run.seed, "weights")).to(device)

    def start_from(self, pretrained: dict[str, Any]) -> None:
        """Take over the backbone."""
        self.backbone.load_state_dict(pretrained["backbone"])

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image), at length 1."""
        return normalize(backbone_embedding(self.backbone, self.device)(images), dim=-1)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): by each class's nearest image, mean, or weights."""
        if self.config.test == "mean":
            return COSINE_SCALE / 2 * mean_logits(class_means(support, labels), query)
        if self.config.test == "linear":
            return fitted_logits(support, labels, query, self.config.fit_steps, self.config.fit_lr)
        return COSINE_SCALE * nearest_of_class(query @ support.mT, labels)
