"""Temporal convolutions: the support as a sequence of images and labels, the query as its next element.

Not here: the network over the sequence (models/snail.py).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, pad

from experiments.config import ImageRun, Snail
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table, training_sampler
from experiments.descent import descend, scheduled
from experiments.evaluate import accuracy_per_episode, backbone_embedding
from experiments.method import Resources
from experiments.methods.head import class_of_each
from experiments.models import snail
from experiments.models.conv4 import Conv4
from experiments.models.precision import training_forward
from experiments.models.weights import draw_weights
from experiments.rng import generator

EPISODES_AT_ONCE = 50  # while testing: bounds the memory of the channels


def build(config: ImageRun, resources: Resources) -> "TemporalConvolution":
    """Return the untrained method of a config."""
    return TemporalConvolution(config, open_table(config.data, resources.data_dir), resources.device)


def body(method: Snail, n_way: int, k_shot: int, source: torch.Generator) -> nn.Module:
    """Return the network over sequences of up to n_way * most_shots examples and a query."""
    length = n_way * method.most_shots(k_shot) + 1
    dilations = snail.dilation_series(length, printed=method.dilations == "printed")
    kind = snail.Snail if method.variant == "snail" else snail.Tcml
    return kind(method.embedding_size + n_way, n_way, dilations, method.dense_filters, source)


def sequence(support: Tensor, labels: Tensor, order: Tensor, n_way: int) -> Tensor:
    """Return the labelled support in a given order.

    support (episodes, images, d), labels (images,), order (episodes, images), each row a permutation ->
    (episodes, images, d + n_way).
    """
    examples = support.gather(1, order[..., None].expand_as(support))
    return torch.cat((examples, one_hot(labels[order], n_way).to(support)), dim=-1)


class TemporalConvolution:
    """Encoder and sequence network are trained end to end; a new task is one pass over its support."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, Snail)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.n_way = config.evaluation.n_way
        self.most_shots = method.most_shots(config.evaluation.k_shot)
        self.train_sampler = training_sampler(
            table, config, n_way=self.n_way, k_shot=self.most_shots, n_query=1
        )
        self.sampler = evaluation_sampler(table, config.evaluation)
        weights = generator(config.seed, "weights")
        conv4 = Conv4(method.filters, weights, table.image_shape)
        self.encoder = nn.Sequential(conv4, nn.Linear(conv4.features, method.embedding_size)).to(device)
        draw_weights(self.encoder[1], weights)
        self.forward = training_forward(self.encoder, method, device)
        self.body = body(method, self.n_way, config.evaluation.k_shot, weights).to(device)
        self.parameters = [*self.encoder.parameters(), *self.body.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=method.lr)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per batch of episodes; return loss and accuracy per step."""
        losses, accuracies = zip(*(self._step(step) for step in range(start, start + count)), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int) -> tuple[Tensor, Tensor]:
        method = self.config
        support_index, query_index, truth = self._episodes(step)
        index = torch.cat((support_index.flatten(1), query_index), dim=1)  # (episodes, images)
        source = generator(self.seed, "jitter", step)
        images = jitter(self.table.pixels("train", index.flatten()), source, method.jitter)
        features = self.forward(images.to(self.device)).view(*index.shape, -1)
        examples, query = features.split([support_index[0].numel(), query_index.shape[1]], dim=1)
        order = torch.rand(examples.shape[:2], generator=generator(self.seed, "order", step)).argsort(1)
        logits = self._answers(examples, class_of_each(examples, self.n_way), query, order)
        truth = truth.to(self.device).flatten()
        loss = cross_entropy(logits.flatten(0, 1), truth)
        rate = scheduled(method.schedule, method.lr, step, method.steps)
        descend(loss, self.parameters, self.optimizer, lr=rate)
        return loss.detach(), (logits.detach().flatten(0, 1).argmax(-1) == truth).double().mean()

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

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, with running statistics in batch normalisation."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

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

    def state_dict(self) -> dict[str, Any]:
        """Return encoder, sequence network and optimiser."""
        return {
            "encoder": self.encoder.state_dict(),
            "body": self.body.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over encoder, sequence network and optimiser."""
        self.encoder.load_state_dict(state["encoder"])
        self.body.load_state_dict(state["body"])
        self.optimizer.load_state_dict(state["optimizer"])
