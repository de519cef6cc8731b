"""MyMethod: classify by the cosine to class means.

Try it:    fsrun run glyphs --method THIS_FILE:MyMethod --preset quick
Check it:  python -c 'from fsrun.testing import check_method; check_method("THIS_FILE:MyMethod")'
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from experiments.config import ImageRun
from experiments.config.training import Scheduled
from experiments.data.table import Table
from experiments.evaluate import backbone_embedding, class_means
from experiments.features.adapter import build_backbone
from experiments.methods.base import ImageMethod, Metrics, class_of_each, classified
from experiments.rng import generator


class MyMethod(ImageMethod[Any]):
    """Trains a network by episodes; a new task needs only the means of its classes."""

    class Config(Scheduled):
        """The options; `--set` changes them. Scheduled has lr, schedule, averaging and precision."""

        splits: ClassVar[tuple[str, ...]] = ("train",)  # of the classes that it learns from

        steps: int = 1000
        filters: int = 64
        train_n_way: int = 20
        train_n_query: int = 5
        scale: float = 10.0  # of the cosines in the softmax

        def images_per_class(self, k_shot: int) -> dict[str, int]:
            """Return the images of one class in a training episode."""
            return {"k_shot": k_shot, "train_n_query": self.train_n_query}

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {"steps": 200, "filters": 32}}
    saved = ("backbone", "optimizer")  # what a checkpoint holds

    def __init__(self, run: ImageRun, table: Table, device: torch.device) -> None:
        super().__init__(run, table, device)
        options = self.config
        self.backbone = build_backbone(table, options.filters, generator(run.seed, "weights")).to(device)
        self.learn(self.backbone.parameters(), options.lr)
        self.episodes = self.training_sampler(options.train_n_way, None, options.train_n_query)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return what a training step minimises: the cross-entropy of the queries of an episode."""
        drawn = self.episodes.sample("train", range(step, step + 1))
        support, query = (
            self.examples.pixels("train", part.flatten()) for part in (drawn.support, drawn.query)
        )
        both = self.backbone(torch.cat((support, query)).to(self.device))
        examples, questions = both.split([len(support), len(query)])
        classes = self.config.train_n_way
        logits = self.logits(examples[None], class_of_each(examples, classes), questions[None])[0]
        return classified(logits, class_of_each(questions, classes))

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.backbone, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of features (episodes, images, d) and labels (images,)."""
        means = normalize(class_means(support, labels), dim=-1)
        logits: Tensor = self.config.scale * normalize(query, dim=-1) @ means.mT
        return logits
