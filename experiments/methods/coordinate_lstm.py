"""The coordinate-wise LSTM as the optimiser of a whole network, a task's support being what it minimises.

Not here: the LSTM (learners/coordinate_lstm.py), and its use on W_fc alone (fastslow.py).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from experiments.config import ImageRun, LearnedOptimiser
from experiments.data.batches import episode_images
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table, training_sampler
from experiments.descent import descend
from experiments.evaluate import accuracy_per_episode
from experiments.learners.coordinate_lstm import CoordinateLstm, State
from experiments.method import Resources
from experiments.methods.head import class_of_each
from experiments.models.conv4 import as_many
from experiments.models.task_conv4 import (
    Weights,
    feature_count,
    for_each_task,
    initial_weights,
    query_logits,
    task_logits,
    task_losses,
)
from experiments.rng import generator

TASKS_AT_ONCE = 2  # while testing: the LSTM's states are 80 times the network's weights

States = list[State | None]  # of each learner


def build(config: ImageRun, resources: Resources) -> "LearnedOptimisation":
    """Return the untrained method of a config."""
    return LearnedOptimisation(config, open_table(config.data, resources.data_dir), resources.device)


def groups(names: list[str], *, separate: bool) -> list[list[str]]:
    """Return the weights that each learner moves: all of them, or the head apart from the rest."""
    if not separate:
        return [names]
    head = ["head", "bias"]
    return [[name for name in names if name not in head], head]


class LearnedOptimisation:
    """phi, the LSTM's weights, is learned over tasks; no weight of the network is, unless its start is."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, LearnedOptimiser)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.n_way = config.evaluation.n_way
        self.train_sampler = training_sampler(
            table, config, n_way=self.n_way, k_shot=method.train_k_shot, n_query=method.train_n_query
        )
        self.sampler = evaluation_sampler(table, config.evaluation)
        self.start = nn.ParameterDict(self._drawn("weights")).to(device)  # where the tasks of the test start
        self.start.requires_grad_(method.start == "learned")
        self.groups = groups(list(self.start), separate=method.separate)
        source = generator(config.seed, "learner")
        self.learners = nn.ModuleList(
            CoordinateLstm(method.hidden_size, method.layers, method.output_scale, method.skip_lr, source)
            for _ in self.groups
        ).to(device)
        learned_start = self.start.values() if method.start == "learned" else ()
        self.learned = [*self.learners.parameters(), *learned_start]
        self.optimizer = torch.optim.Adam(self.learned, lr=method.lr)

    def _drawn(self, *key: str | int) -> Weights:
        """Return random weights of one network."""
        filters, down = self.config.filters, self.config.down
        source, image = generator(self.seed, *key), self.table.image_shape
        spread = 1 / math.sqrt(feature_count(filters, image, down))
        return initial_weights(filters, self.n_way, spread, source, image, down)

    # ------------------------------------------------------------ training

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Meet one new task per step; return the queries' loss and accuracy after its last inner step."""
        steps = range(start, start + count)
        drawn = episode_images(self.train_sampler, "train", steps, self.config.jitter, self.seed)
        losses, accuracies = zip(*(self._task(step, images) for step, images in drawn), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _task(self, step: int, images: Tensor) -> tuple[Tensor, Tensor]:
        method = self.config
        parts = images.to(self.device).split(self.train_sampler.sizes, dim=2)
        support, query = (part.flatten(1, 2) for part in parts)  # (1, images, *image)
        labels, truth = (class_of_each(images.flatten(2), self.n_way) for images in (support, query))
        weights, states = self._first(step), self._no_states()
        logits, losses = query.new_empty(0), []
        for inner in range(1, method.inner_steps + 1):
            weights, states = self.inner_step(weights, states, support, labels)
            if method.judged == "every-step" or inner == method.inner_steps:
                logits = query_logits(weights, support, query, method.batch_norm, method.down)
                losses.append(task_losses(logits, truth).sum())
            if inner == method.inner_steps or inner % (method.unroll or method.inner_steps) == 0:
                last = losses[-1].detach()
                descend(
                    torch.stack(losses).sum(), self.learned, self.optimizer, lr=method.lr, clip=method.clip
                )
                weights, states, losses = _cut(weights), [_cut_state(state) for state in states], []
        return last, (logits.detach().argmax(-1) == truth).double().mean()

    def _first(self, step: int) -> Weights:
        """Return where a training task starts: (1, *shape) each."""
        if self.config.start == "learned":
            return for_each_task(dict(self.start), 1)
        drawn = self._drawn("start", step)
        return for_each_task({name: weight.to(self.device) for name, weight in drawn.items()}, 1)

    def _no_states(self) -> States:
        return [None] * len(self.groups)

    def inner_step(
        self, weights: Weights, states: States, support: Tensor, labels: Tensor
    ) -> tuple[Weights, States]:
        """Return weights and states after one update of all layers, functions of phi and the weights before.

        support (tasks, images, *image). The gradient is an input of the LSTM and not differentiated.
        """
        gradients = self._gradients(weights, support, labels)
        moved, following = dict(weights), []
        for names, learner, state in zip(self.groups, self.learners, states, strict=True):
            flat = torch.cat([gradients[name].flatten(1) for name in names], dim=1)  # (tasks, coordinates)
            update, state_after = learner(flat, state)
            following.append(state_after)
            pieces = update.split([gradients[name][0].numel() for name in names], dim=1)
            for name, piece in zip(names, pieces, strict=True):
                moved[name] = weights[name] + piece.view_as(gradients[name])
        return moved, following

    def _gradients(self, weights: Weights, support: Tensor, labels: Tensor) -> Weights:
        with torch.enable_grad():
            here = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            losses = task_losses(task_logits(here, support, support.shape[1], self.config.down), labels)
            gradients = torch.autograd.grad(losses.sum(), list(here.values()))
        return dict(zip(here, gradients, strict=True))

    # ------------------------------------------------------------ testing

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, after as many inner steps as in training; all start alike."""
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
            parts = [self._answers(examples, labels, each) for examples, each in zip(*images, strict=True)]
        return torch.cat(parts)

    def _answers(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        weights, states = for_each_task(dict(self.start), len(support)), self._no_states()
        for _ in range(self.config.inner_steps):
            weights, states = self.inner_step(weights, states, support, labels)
        return query_logits(weights, support, query, self.config.batch_norm, self.config.down)

    def state_dict(self) -> dict[str, Any]:
        """Return where tasks start, the LSTMs and the optimiser."""
        return {
            "start": self.start.state_dict(),
            "learners": self.learners.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what state_dict returns."""
        self.start.load_state_dict(state["start"])
        self.learners.load_state_dict(state["learners"])
        self.optimizer.load_state_dict(state["optimizer"])


def _cut(weights: Weights) -> Weights:
    """Return the same numbers, no longer functions of anything."""
    return {name: weight.detach() for name, weight in weights.items()}


def _cut_state(state: State | None) -> State | None:
    return None if state is None else [(hidden.detach(), memory.detach()) for hidden, memory in state]
