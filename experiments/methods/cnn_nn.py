"""The metric-learning CNN: the nearest support image by the cosine of pre-trained features.

Not here: the pre-training (pretrain.py), which fast/slow starts from too. Nothing is adapted.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from experiments.config import CnnNeighbour, ImageRun
from experiments.data.episodes import Sampler
from experiments.data.sources import evaluation_sampler, open_examples
from experiments.data.table import Table
from experiments.evaluate import accuracy_per_episode, backbone_embedding, nearest_of_class
from experiments.method import Resources, pretrained_state
from experiments.methods.objectives import COSINE_SCALE
from experiments.models.adapter import build_backbone
from experiments.rng import generator


def build(config: ImageRun, resources: Resources) -> "FeatureNeighbour":
    """Return the method of a config, with the features of its pre-training."""
    assert isinstance(config.method, CnnNeighbour)
    table = open_examples(config.data, resources.data_dir)
    filters = config.method.pretrain.filters if config.method.pretrain else 64
    backbone = build_backbone(table, filters, generator(config.seed, "weights"))
    pretrained = pretrained_state(config, resources)
    if pretrained is not None:
        backbone.load_state_dict(pretrained["backbone"])
    return FeatureNeighbour(
        backbone.to(resources.device), table, evaluation_sampler(table, config.evaluation), resources.device
    )


class FeatureNeighbour:
    """1-nearest-neighbour by cosine on frozen features: what the paper's Figure 5 compares with."""

    def __init__(self, backbone: nn.Module, table: Table, sampler: Sampler, device: torch.device) -> None:
        self.backbone = backbone
        self.table = table
        self.sampler = sampler
        self.device = device

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Do nothing: the config allows no steps."""
        return {}

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image), at length 1."""
        return normalize(backbone_embedding(self.backbone, self.device)(images), dim=-1)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): the cosine of the nearest image of each class, scaled."""
        return COSINE_SCALE * nearest_of_class(query @ support.mT, labels)

    def state_dict(self) -> dict[str, Any]:
        """Return the backbone, so that the checkpoint is a model."""
        return {"backbone": self.backbone.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the backbone."""
        self.backbone.load_state_dict(state["backbone"])
