"""Matching networks: a query's label is the support's labels, weighted by attention."""

import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss, normalize

from experiments.config import ImageRun, MatchingNetConfig
from experiments.data.images import ImageTable
from experiments.data.training import TrainingClasses
from experiments.evaluate import backbone_embedding
from experiments.methods.base import (
    ImageMethod,
    Metrics,
    Scale,
    class_of_each,
    each_in_turn,
    share_right,
    truth_in_turn,
)
from experiments.models.full_context import FullContext
from experiments.models.precision import training_forward
from experiments.rng import generator


def label_log_probabilities(support: Tensor, labels: Tensor, query: Tensor, scale: float | Tensor) -> Tensor:
    """Return log P(y | q), P(y | q) = sum over x_i of class y of softmax_i(scale cos(f(q), g(x_i))).

    support (episodes, images, d), labels (images,), query (episodes, queries, d) ->
    (episodes, queries, n_way). Source: Vinyals et al. 2016, equations 1 and 2; scale 1 there.
    """
    cosines = normalize(query, dim=-1) @ normalize(support, dim=-1).mT
    attention = (scale * cosines).softmax(-1)  # (episodes, queries, images)
    shares = attention.new_zeros(*attention.shape[:-1], int(labels.max()) + 1)
    return shares.index_add(-1, labels, attention).clamp_min(torch.finfo(shares.dtype).tiny).log()


class MatchingNet(ImageMethod[MatchingNetConfig]):
    """Backbone, and full context where asked for, are trained end to end on episodes.

    Source: Vinyals et al. 2016.
    """

    saved = ("network", "measured", "scale", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        weights = generator(run.seed, "weights")
        backbone = self.new_backbone(method.filters, weights)
        self.network = nn.ModuleDict({"backbone": backbone})
        if method.fce:
            self.network["context"] = FullContext(backbone.features, method.fce_steps, weights)
        self.network.to(device)
        self.measured = self.averaged(self.network, method.averaging)
        self.forward = training_forward(backbone, method, device)
        self.scale = Scale(method.scale).to(device) if method.learned_scale else None
        learned = [*self.network.parameters(), *(self.scale.parameters() if self.scale else ())]
        self.learn(learned, method.lr, clip=method.clip, decay=method.weight_decay)
        self.classes = TrainingClasses(self.examples, ("train",), method.mirrored, method.jitter)
        self.episodes = self.training_episodes(
            method.jitter, method.train_n_way, method.train_k_shot, method.train_n_query
        )

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of a batch: of an episode's queries, or of each image by all others."""
        method = self.config
        if method.train_images:
            images = self.class_images(self.classes, method.train_n_way, method.train_images, step)
            every = self.forward(images).unflatten(0, (-1, method.train_images))  # (n_way, images, d)
            ways = torch.arange(len(every), device=self.device)
            answers = [
                self._log_probabilities(self.network, support[None], ways, queries[None], ways)[0]
                for support, queries in each_in_turn(every)
            ]
            logits, truth = torch.cat(answers), truth_in_turn(every)
        else:
            support, query = (part.flatten(0, 2) for part in self.episodes(step))
            features = self.forward(torch.cat((support, query)).to(self.device))[None]
            examples, questions = features.split([len(support), len(query)], dim=1)
            labels, truth = (class_of_each(part, method.train_n_way) for part in (examples, questions))
            order = torch.randperm(len(support), generator=generator(self.seed, "order", step))
            logits = self._log_probabilities(self.network, examples, labels, questions, order)[0]
        loss = nll_loss(logits, truth)
        return loss, {"train/loss": loss.detach(), "train/accuracy": share_right(logits, truth)}

    def _log_probabilities(
        self, network: nn.Module, support: Tensor, labels: Tensor, query: Tensor, order: Tensor
    ) -> Tensor:
        """Return log P (episodes, queries, n_way); `order` is that in which the support is read."""
        order = order.to(support.device)
        support, labels = support[:, order], labels[order]
        if self.config.fce:
            support, query = network.get_submodule("context")(support, query)
        scale = self.config.scale if self.scale is None else self.scale()
        return label_log_probabilities(support, labels, query, scale)

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image), without context."""
        return backbone_embedding(self.measured.get_submodule("backbone"), self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return log P (episodes, queries, n_way); the support is read in an order fixed by its size."""
        order = torch.randperm(len(labels), generator=generator("order", len(labels)))
        with torch.no_grad():
            return self._log_probabilities(self.measured, support, labels, query, order)
