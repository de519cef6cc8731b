"""Meta-LSTM: learn where a network's weights start, and an LSTM that moves them from there."""

import math

import torch
from torch import Tensor, nn

from experiments.config import ImageRun, MetaLstmConfig
from experiments.data.images import ImageTable
from experiments.learners.meta_lstm import MetaLstmCell
from experiments.methods.base import ImageMethod, Metrics, class_of_each, share_right
from experiments.models.conv4 import as_many
from experiments.models.task_conv4 import (
    Weights,
    feature_count,
    initial_weights,
    query_logits,
    task_logits,
    task_losses,
)
from experiments.rng import generator

TASKS_AT_ONCE = 4  # while testing: the LSTM's states are 40 times the network's weights


class MetaLstm(ImageMethod[MetaLstmConfig]):
    """The cell's first state c_0 is learned with the LSTM; it holds all weights of the network.

    Source: Ravi and Larochelle 2017, section 3.
    """

    saved = ("network", "cell", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.drawn = self.training_episodes(
            method.jitter, self.n_way, method.train_k_shot, method.train_n_query
        )
        source = generator(run.seed, "weights")
        image, down = table.image_shape, method.down
        spread = 1 / math.sqrt(feature_count(method.filters, image, down))
        first = initial_weights(method.filters, self.n_way, spread, source, image, down)
        self.shapes = {name: weight.shape for name, weight in first.items()}
        self.network = nn.ParameterDict({"start": torch.cat([weight.flatten() for weight in first.values()])})
        self.network.to(device)
        self.cell = MetaLstmCell(method.hidden_size, source).to(device)
        self.learn([*self.network.parameters(), *self.cell.parameters()], method.lr, clip=method.clip)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the loss of an episode's queries after the LSTM has moved the weights."""
        support, query = (part.to(self.device).flatten(1, 2) for part in self.drawn(step))
        labels, truth = (class_of_each(images.flatten(2), self.n_way) for images in (support, query))
        logits = self.answers(support, labels, query)
        loss = task_losses(logits, truth).mean()
        return loss, {"train/loss": loss.detach(), "train/accuracy": share_right(logits, truth)}

    def answers(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (tasks, queries, n_way) after the LSTM has moved the weights for each support.

        support and query (tasks, images, *image), labels (images,).
        """
        weights = self.network["start"].expand(len(support), -1)
        state = None
        for _ in range(self.config.inner_steps):
            gradient, losses = self.gradient(weights, support, labels)
            weights, state = self.cell(weights, gradient, losses, state)
        return query_logits(self.by_name(weights), support, query, self.config.batch_norm, self.config.down)

    def gradient(self, weights: Tensor, support: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradient (tasks, coordinates) and loss (tasks,) on the support, constants to the LSTM."""
        with torch.enable_grad():
            here = weights.detach().requires_grad_()
            logits = task_logits(self.by_name(here), support, support.shape[1], self.config.down)
            losses = task_losses(logits, labels)
            (gradient,) = torch.autograd.grad(losses.sum(), here)
        return gradient, losses.detach()

    def by_name(self, weights: Tensor) -> Weights:
        """Return weights (tasks, coordinates) as those of each layer."""
        parts = weights.split([shape.numel() for shape in self.shapes.values()], dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.unflatten(1, tuple(shape)) for (name, shape), part in named}

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of the weights adapted to each support."""
        image = self.table.image_shape
        at_once = as_many(TASKS_AT_ONCE, image)
        tasks = zip(support.split(at_once), query.split(at_once), strict=True)
        with torch.no_grad():
            return torch.cat(
                [
                    self.answers(shown.unflatten(-1, image), labels, asked.unflatten(-1, image))
                    for shown, asked in tasks
                ]
            )
