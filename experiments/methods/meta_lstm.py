"""Meta-LSTM: learn where a network's weights start, and an LSTM that moves them from there.

Not here: the LSTM (learners/meta_lstm.py), and the network (models/task_conv4.py).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from experiments.config import ImageRun, MetaLstm
from experiments.data.batches import episode_images
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table, training_sampler
from experiments.descent import descend
from experiments.evaluate import accuracy_per_episode
from experiments.learners.meta_lstm import MetaLstmCell
from experiments.method import Resources
from experiments.methods.head import class_of_each
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

TASKS_AT_ONCE = 4  # while testing: the LSTM's states are many times the network's weights


def build(config: ImageRun, resources: Resources) -> "MetaLstmLearning":
    """Return the untrained method of a config."""
    return MetaLstmLearning(config, open_table(config.data, resources.data_dir), resources.device)


class MetaLstmLearning:
    """The cell's first state c_0 is learned together with the LSTM; all weights of the network are in it."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, MetaLstm)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.n_way = config.evaluation.n_way
        self.train_sampler = training_sampler(
            table, config, n_way=self.n_way, k_shot=method.train_k_shot, n_query=method.train_n_query
        )
        self.sampler = evaluation_sampler(table, config.evaluation)
        source = generator(config.seed, "weights")
        image, down = table.image_shape, method.down
        spread = 1 / math.sqrt(feature_count(method.filters, image, down))
        first = initial_weights(method.filters, self.n_way, spread, source, image, down)
        self.shapes = {name: weight.shape for name, weight in first.items()}
        self.network = nn.ParameterDict({"start": torch.cat([weight.flatten() for weight in first.values()])})
        self.cell = MetaLstmCell(method.hidden_size, source)
        self.learned = [*self.network.to(device).parameters(), *self.cell.to(device).parameters()]
        self.optimizer = torch.optim.Adam(self.learned, lr=method.lr)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per training episode; return loss and accuracy per step."""
        steps = range(start, start + count)
        drawn = episode_images(self.train_sampler, "train", steps, self.config.jitter, self.seed)
        losses, accuracies = zip(*(self._step(images) for _, images in drawn), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, images: Tensor) -> tuple[Tensor, Tensor]:
        method = self.config
        parts = images.to(self.device).split(self.train_sampler.sizes, dim=2)
        support, query = (part.flatten(1, 2) for part in parts)  # (1, images, *image)
        labels, truth = (class_of_each(images.flatten(2), self.n_way) for images in (support, query))
        logits = self.answers(support, labels, query)
        loss = task_losses(logits, truth).mean()
        descend(loss, self.learned, self.optimizer, lr=method.lr, clip=method.clip)
        return loss.detach(), (logits.detach().argmax(-1) == truth).double().mean()

    def answers(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (tasks, queries, n_way) after the LSTM has moved the weights for each support."""
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

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, after as many steps of the LSTM as in training."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the pixels (batch, d) of images (batch, *image): all features depend on the task."""
        return images.flatten(1).to(self.device)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of the weights adapted to each support."""
        image = self.table.image_shape
        at_once = as_many(TASKS_AT_ONCE, image)
        images = (pixels.unflatten(-1, image).split(at_once) for pixels in (support, query))
        with torch.no_grad():
            parts = [self.answers(examples, labels, each) for examples, each in zip(*images, strict=True)]
        return torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return where tasks start, the LSTM and the optimiser."""
        return {
            "network": self.network.state_dict(),
            "cell": self.cell.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what state_dict returns."""
        self.network.load_state_dict(state["network"])
        self.cell.load_state_dict(state["cell"])
        self.optimizer.load_state_dict(state["optimizer"])
