"""Temporal convolutions: the support as a sequence of images and labels, the query as its next element."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from experiments.config import ImageRun, SnailConfig
from experiments.config.training import scheduled
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.evaluate import backbone_embedding
from experiments.methods.base import ImageMethod, Metrics, class_of_each, classified
from experiments.models import snail
from experiments.models.precision import training_forward
from experiments.models.weights import draw_weights
from experiments.rng import generator

EPISODES_AT_ONCE = 50  # while testing: bounds the memory of the channels


def sequence(support: Tensor, labels: Tensor, order: Tensor, n_way: int) -> Tensor:
    """Return the labelled support in a given order.

    support (episodes, images, d), labels (images,), order (episodes, images), each row a permutation ->
    (episodes, images, d + n_way).
    """
    examples = support.gather(1, order[..., None].expand_as(support))
    return torch.cat((examples, one_hot(labels[order], n_way).to(support)), dim=-1)


class Snail(ImageMethod[SnailConfig]):
    """Encoder and sequence network are trained end to end; a new task is one pass over its support.

    Source: Mishra et al. 2018, section 3; with variant=tcml their report of 2017, without attention.
    """

    saved = ("encoder", "body", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.most_shots = method.most_shots(run.evaluation.k_shot)
        self.train_sampler = self.training_sampler(self.n_way, self.most_shots, 1)
        weights = generator(run.seed, "weights")
        conv4 = self.new_backbone(method.filters, weights)
        self.encoder = nn.Sequential(conv4, nn.Linear(conv4.features, method.embedding_size)).to(device)
        draw_weights(self.encoder[1], weights)
        self.forward = training_forward(self.encoder, method, device)
        longest = self.n_way * self.most_shots + 1  # the support and a query
        dilations = snail.dilation_series(longest, printed=method.dilations == "printed")
        body = snail.Snail if method.variant == "snail" else snail.Tcml
        inputs = method.embedding_size + self.n_way
        self.body = body(inputs, self.n_way, dilations, method.dense_filters, weights).to(device)
        self.learn([*self.encoder.parameters(), *self.body.parameters()], method.lr)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return scheduled(self.config.schedule, self.lr, step, self.config.steps)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the cross-entropy of the queries of a batch of episodes, each the end of its sequence."""
        support_index, query_index, truth = self._episodes(step)
        index = torch.cat((support_index.flatten(1), query_index), dim=1)  # (episodes, images)
        source = generator(self.seed, "jitter", step)
        images = jitter(self.examples.pixels("train", index.flatten()), source, self.config.jitter)
        features = self.forward(images.to(self.device)).view(*index.shape, -1)
        examples, query = features.split([support_index[0].numel(), query_index.shape[1]], dim=1)
        order = torch.rand(examples.shape[:2], generator=generator(self.seed, "order", step)).argsort(1)
        logits = self._answers(examples, class_of_each(examples, self.n_way), query, order)
        return classified(logits.flatten(0, 1), truth.to(self.device).flatten())

    def _episodes(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a step's image indices of support and query, and the class of each query.

        Shapes (episodes, n_way, k_shot), (episodes, queries), (episodes, queries).
        """
        count = self.config.episodes_per_step
        drawn = self.train_sampler.sample("train", range(step * count, (step + 1) * count))
        source = generator(self.seed, "task", step)
        shots = self.most_shots
        if self.config.train_shots == "1-5":
            shots = int(torch.randint(1, shots + 1, (), generator=source))
        classes = torch.rand(count, self.n_way, generator=source).argsort(1)
        asked = classes[:, :1] if self.config.train_queries == "one" else classes
        return drawn.support[..., :shots], drawn.query.squeeze(-1).gather(1, asked), asked

    def _answers(self, support: Tensor, labels: Tensor, query: Tensor, order: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of features, each support shown in its own order."""
        shown = sequence(support, labels, order.to(support.device), self.n_way)
        logits: Tensor = self.body(shown, pad(query, (0, self.n_way)))  # a query has no label
        return logits

    def embed(self, images: Tensor) -> Tensor:
        """Return what the sequence network sees of images (batch, *image)."""
        return backbone_embedding(self.encoder, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way); the support is shown in an order fixed by its size."""
        order = torch.randperm(len(labels), generator=generator("order", len(labels)))
        orders = order.expand(len(support), -1)
        parts = zip(*(each.split(EPISODES_AT_ONCE) for each in (support, query, orders)), strict=True)
        with torch.no_grad():
            return torch.cat([self._answers(part, labels, asked, order) for part, asked, order in parts])
