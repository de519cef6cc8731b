"""Meta networks: a task's gradients are turned into fast weights, picked for each query by attention."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from experiments.config import ImageRun, ImageShape, MetaNetConfig
from experiments.data.images import ImageTable
from experiments.data.training import TrainingClasses
from experiments.methods.base import ImageMethod, Metrics, class_of_each, share_right
from experiments.models.augmented import gradients_per_image, key, logits, slow_weights
from experiments.models.conv4 import as_many
from experiments.models.generators import FromOne, FromSequence, WeightGenerator
from experiments.models.precision import training_forward
from experiments.rng import generator

QUERIES_AT_ONCE = 100  # while testing: each has weights of its own


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


class Parts(nn.Module):
    """The slow weights of the embedding u and of the base network b, and what makes fast weights of both."""

    def __init__(self, method: MetaNetConfig, n_way: int, source: torch.Generator, image: ImageShape) -> None:
        super().__init__()
        self.embedding = slow_weights(method.filters, n_way, source, image)
        self.base = slow_weights(method.filters, n_way, source, image)
        self.of_task = WeightGenerator(FromSequence, method.hidden_size, source)
        self.of_example = WeightGenerator(FromOne, method.hidden_size, source)
        self.chunks = method.chunks if method.task_weights else None

    def learned(self, support: Tensor, labels: Tensor, order: Tensor) -> TaskWeights:
        """Return what a support (images, *image) tells; gradients are inputs, not differentiated.

        `order` shuffles the images before they are cut into chunks.
        """
        of_task = None
        if self.chunks is not None:
            order = order.to(support.device)
            gradients = gradients_per_image(support[order], labels[order], list(self.embedding))
            of_task = self.of_task(mean_of_chunks(gradients, self.chunks))
        of_example = self.of_example(gradients_per_image(support, labels, list(self.base)))
        return TaskWeights(of_task, of_example, key(support, list(self.embedding), of_task))

    def answers(self, learned: TaskWeights, query: Tensor) -> Tensor:
        """Return logits (queries, n_way) of images (queries, *image); no query sees another."""
        asked = key(query, list(self.embedding), learned.of_task)
        attention = (normalize(asked, dim=-1) @ normalize(learned.keys, dim=-1).mT).softmax(-1)
        return logits(query, list(self.base), mixed(attention, learned.of_example))

    def forward(self, support: Tensor, labels: Tensor, order: Tensor, query: Tensor) -> Tensor:
        """Return logits (queries, n_way) after a support."""
        return self.answers(self.learned(support, labels, order), query)


class MetaNet(ImageMethod[MetaNetConfig]):
    """An embedding u finds the examples a query is like, a base network b answers with their fast weights.

    Source: Munkhdalai and Yu 2017, Algorithm 1.
    """

    saved = ("parts", "measured_parts", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.drawn = self.training_episodes(method.jitter, self.n_way, None, method.train_n_query)
        self.classes = TrainingClasses(table, ("train",), method.mirrored, method.jitter)
        self.parts = Parts(method, self.n_way, generator(run.seed, "weights"), table.image_shape).to(device)
        self.answers = training_forward(self.parts, method, device)
        self.measured_parts = self.averaged(self.parts, method.averaging)
        self.learn(self.parts.parameters(), method.lr, clip=method.clip)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the summed loss of a task's queries; the mean is reported."""
        support, query = (part.flatten(0, -4) for part in self._task(step))
        order = torch.randperm(len(support), generator=generator(self.seed, "order", step))
        labels = class_of_each(support.flatten(1), self.n_way)
        answers = self.answers(support, labels, order, query)
        truth = class_of_each(answers, self.n_way)
        loss = cross_entropy(answers, truth)
        metrics = {"train/loss": loss.detach(), "train/accuracy": share_right(answers, truth)}
        return loss * len(query), metrics

    def _task(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the support and the queries (..., n_way, images, *image) of a step's task."""
        images = self.config.train_images
        if images is None:
            support, query = self.drawn(step)
            return support.to(self.device), query.to(self.device)
        drawn = self.class_images(self.classes, self.n_way, images, step).unflatten(0, (self.n_way, images))
        return drawn[:, : self.run.evaluation.k_shot], drawn[:, self.run.evaluation.k_shot :]

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way); the support's order, for chunks, is fixed by its size."""
        order = torch.randperm(len(labels), generator=generator("order", len(labels)))
        image = self.table.image_shape
        at_once = as_many(QUERIES_AT_ONCE, image)
        support, query = (pixels.unflatten(-1, image) for pixels in (support, query))
        answers = []
        with torch.no_grad():
            for examples, questions in zip(support, query, strict=True):
                learned = self.measured_parts.learned(examples, labels, order)
                parts = [self.measured_parts.answers(learned, part) for part in questions.split(at_once)]
                answers.append(torch.cat(parts))
        return torch.stack(answers)
