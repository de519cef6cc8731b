"""Meta networks: a task's gradients are turned into fast weights, picked for each query by attention.

Not here: the two networks (models/augmented.py) and what makes fast weights (models/generators.py).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from experiments.config import ImageRun, MetaNet
from experiments.data.batches import episode_images
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table, training_sampler
from experiments.descent import descend
from experiments.evaluate import accuracy_per_episode
from experiments.method import Resources
from experiments.methods.head import class_of_each
from experiments.models.augmented import gradients_per_image, key, logits, slow_weights
from experiments.models.conv4 import as_many
from experiments.models.generators import FromOne, FromSequence, WeightGenerator
from experiments.rng import generator

QUERIES_AT_ONCE = 100  # while testing: each has weights of its own


def build(config: ImageRun, resources: Resources) -> "MetaNetworks":
    """Return the untrained method of a config."""
    return MetaNetworks(config, open_table(config.data, resources.data_dir), resources.device)


@dataclass(frozen=True)
class TaskWeights:
    """What the support of a task tells: fast weights of u, fast weights of b for each image, and keys.

    of_task: tensors shaped like u's weights, None for none; of_example: like b's, with a first dimension of
    images; keys (images, filters).
    """

    of_task: list[Tensor] | None
    of_example: list[Tensor]
    keys: Tensor


def mean_of_chunks(gradients: list[Tensor], chunks: int) -> list[Tensor]:
    """Return the mean gradient (chunks, *shape) of consecutive parts of the images (images, *shape)."""
    return [torch.stack([part.mean(0) for part in each.chunk(chunks)]) for each in gradients]


def mixed(attention: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """Return for each query its mixture of the examples' weights.

    attention (queries, examples), weights (examples, *shape) each -> (queries, *shape) each.
    """
    return [(attention @ each.flatten(1)).unflatten(1, each.shape[1:]) for each in weights]


class MetaNetworks:
    """An embedding u finds the examples a query is like, a base network b answers with their fast weights."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, MetaNet)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.n_way = config.evaluation.n_way
        self.train_sampler = training_sampler(
            table, config, n_way=self.n_way, k_shot=None, n_query=method.train_n_query
        )
        self.sampler = evaluation_sampler(table, config.evaluation)
        source = generator(config.seed, "weights")
        self.embedding = slow_weights(method.filters, self.n_way, source, table.image_shape).to(device)
        self.base = slow_weights(method.filters, self.n_way, source, table.image_shape).to(device)
        self.of_task = WeightGenerator(FromSequence, method.hidden_size, source).to(device)
        self.of_example = WeightGenerator(FromOne, method.hidden_size, source).to(device)
        self.parts = nn.ModuleDict(
            {name: getattr(self, name) for name in ("embedding", "base", "of_task", "of_example")}
        )
        self.optimizer = torch.optim.Adam(self.parts.parameters(), lr=method.lr)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per task; return loss and accuracy per step."""
        steps = range(start, start + count)
        drawn = episode_images(self.train_sampler, "train", steps, self.config.jitter, self.seed)
        losses, accuracies = zip(*(self._step(step, images) for step, images in drawn), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int, images: Tensor) -> tuple[Tensor, Tensor]:
        method = self.config
        parts = images.to(self.device).split(self.train_sampler.sizes, dim=2)
        support, query = (part.flatten(0, 2) for part in parts)
        order = torch.randperm(len(support), generator=generator(self.seed, "order", step))
        labels = class_of_each(support.flatten(1), self.n_way)
        answers = self._answers(self._learned(support, labels, order), query)
        truth = class_of_each(answers, self.n_way)
        loss = cross_entropy(answers, truth)
        summed = loss * len(query)
        descend(summed, self.parts.parameters(), self.optimizer, lr=method.lr, clip=method.clip)
        return loss.detach(), (answers.detach().argmax(-1) == truth).double().mean()

    def _learned(self, support: Tensor, labels: Tensor, order: Tensor) -> TaskWeights:
        """Return what a support (images, *image) tells; gradients are inputs, not differentiated.

        `order` shuffles the images before they are cut into chunks.
        """
        of_task = None
        if self.config.task_weights:
            order = order.to(self.device)
            gradients = gradients_per_image(support[order], labels[order], list(self.embedding))
            of_task = self.of_task(mean_of_chunks(gradients, self.config.chunks))
        of_example = self.of_example(gradients_per_image(support, labels, list(self.base)))
        return TaskWeights(of_task, of_example, key(support, list(self.embedding), of_task))

    def _answers(self, learned: TaskWeights, query: Tensor) -> Tensor:
        """Return logits (queries, n_way) of images (queries, *image); no query sees another."""
        asked = key(query, list(self.embedding), learned.of_task)
        attention = (normalize(asked, dim=-1) @ normalize(learned.keys, dim=-1).mT).softmax(-1)
        return logits(query, list(self.base), mixed(attention, learned.of_example))

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the pixels (batch, d) of images (batch, *image): all features depend on the task."""
        return images.flatten(1).to(self.device)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way); the support's order, for chunks, is fixed by its size."""
        order = torch.randperm(len(labels), generator=generator("order", len(labels)))
        image = self.table.image_shape
        at_once = as_many(QUERIES_AT_ONCE, image)
        support, query = (pixels.unflatten(-1, image) for pixels in (support, query))
        answers = []
        with torch.no_grad():
            for examples, questions in zip(support, query, strict=True):
                learned = self._learned(examples, labels, order)
                parts = [self._answers(learned, part) for part in questions.split(at_once)]
                answers.append(torch.cat(parts))
        return torch.stack(answers)

    def state_dict(self) -> dict[str, Any]:
        """Return the slow weights, what makes the fast ones, and the optimiser."""
        return {"parts": self.parts.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the slow weights, what makes the fast ones, and the optimiser."""
        self.parts.load_state_dict(state["parts"])
        self.optimizer.load_state_dict(state["optimizer"])
