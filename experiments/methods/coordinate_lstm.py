"""The coordinate-wise LSTM as the optimiser of a whole network, a task's support being what it minimises."""

import math

import torch
from torch import Tensor, nn

from experiments.config import ImageRun, LearnedOptimiserConfig
from experiments.data.images import ImageTable
from experiments.descent import descend
from experiments.learners.coordinate_lstm import CoordinateLstm, State
from experiments.methods.base import ImageMethod, Metrics, class_of_each, share_right
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


def groups(names: list[str], *, separate: bool) -> list[list[str]]:
    """Return the weights that each learner moves: all of them, or the head apart from the rest."""
    if not separate:
        return [names]
    head = ["head", "bias"]
    return [[name for name in names if name not in head], head]


class LearnedOptimiser(ImageMethod[LearnedOptimiserConfig]):
    """phi, the LSTM's weights, is learned over tasks; no weight of the network is, unless its start is.

    Source: Andrychowicz et al. 2016.
    """

    saved = ("start", "learners", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.drawn = self.training_episodes(
            method.jitter, self.n_way, method.train_k_shot, method.train_n_query
        )
        self.start = nn.ParameterDict(self._drawn_weights("weights")).to(device)  # of the tasks of a test
        self.start.requires_grad_(method.start == "learned")
        self.groups = groups(list(self.start), separate=method.separate)
        source = generator(run.seed, "learner")
        self.learners = nn.ModuleList(
            CoordinateLstm(method.hidden_size, method.layers, method.output_scale, method.skip_lr, source)
            for _ in self.groups
        ).to(device)
        learned_start = self.start.values() if method.start == "learned" else ()
        self.learn([*self.learners.parameters(), *learned_start], method.lr, clip=method.clip)

    def _drawn_weights(self, *key: str | int) -> Weights:
        """Return random weights of one network."""
        filters, down = self.config.filters, self.config.down
        source, image = generator(self.seed, *key), self.table.image_shape
        spread = 1 / math.sqrt(feature_count(filters, image, down))
        return initial_weights(filters, self.n_way, spread, source, image, down)

    # ------------------------------------------------------------ training

    def step(self, step: int) -> Metrics:
        """Meet one new task, with a step of phi after each unroll; report its queries after the last."""
        method = self.config
        support, query = (part.to(self.device).flatten(1, 2) for part in self.drawn(step))
        labels, truth = (class_of_each(images.flatten(2), self.n_way) for images in (support, query))
        weights, states = self._first(step), self._no_states()
        logits, losses, last = query.new_empty(0), [], query.new_zeros(())
        for inner in range(1, method.inner_steps + 1):
            weights, states = self.inner_step(weights, states, support, labels)
            if method.judged == "every-step" or inner == method.inner_steps:
                logits = query_logits(weights, support, query, method.batch_norm, method.down)
                losses.append(task_losses(logits, truth).sum())
            if inner == method.inner_steps or inner % (method.unroll or method.inner_steps) == 0:
                last, loss = losses[-1].detach(), torch.stack(losses).sum()
                descend(loss, self.learned, self.optimizer, lr=self.lr, clip=self.clip)
                # What follows is a function of phi anew, not of the steps before.
                weights = {name: weight.detach() for name, weight in weights.items()}
                states = [state and [(h.detach(), c.detach()) for h, c in state] for state in states]
                losses = []
        return {"train/loss": last, "train/accuracy": share_right(logits, truth)}

    def _first(self, step: int) -> Weights:
        """Return where a training task starts: (1, *shape) each."""
        if self.config.start == "learned":
            return for_each_task(dict(self.start), 1)
        drawn = self._drawn_weights("start", step)
        return for_each_task({name: weight.to(self.device) for name, weight in drawn.items()}, 1)

    def _no_states(self) -> States:
        return [None] * len(self.groups)

    def inner_step(
        self, weights: Weights, states: States, support: Tensor, labels: Tensor
    ) -> tuple[Weights, States]:
        """Return weights and states after one update of all layers, functions of phi and the weights before.

        support (tasks, images, *image). The gradient is an input of the LSTM and not differentiated.
        """
        with torch.enable_grad():
            here = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            losses = task_losses(task_logits(here, support, support.shape[1], self.config.down), labels)
            found = torch.autograd.grad(losses.sum(), list(here.values()))
        gradients = dict(zip(here, found, strict=True))
        moved, following = dict(weights), []
        for names, learner, state in zip(self.groups, self.learners, states, strict=True):
            flat = torch.cat([gradients[name].flatten(1) for name in names], dim=1)  # (tasks, coordinates)
            update, state_after = learner(flat, state)
            following.append(state_after)
            pieces = update.split([gradients[name][0].numel() for name in names], dim=1)
            for name, piece in zip(names, pieces, strict=True):
                moved[name] = weights[name] + piece.view_as(gradients[name])
        return moved, following

    # ------------------------------------------------------------ testing

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) after the inner steps of training; all start alike."""
        image = self.table.image_shape
        at_once = as_many(TASKS_AT_ONCE, image)
        tasks = zip(support.split(at_once), query.split(at_once), strict=True)
        with torch.no_grad():
            return torch.cat(
                [
                    self._answers(shown.unflatten(-1, image), labels, asked.unflatten(-1, image))
                    for shown, asked in tasks
                ]
            )

    def _answers(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        weights, states = for_each_task(dict(self.start), len(support)), self._no_states()
        for _ in range(self.config.inner_steps):
            weights, states = self.inner_step(weights, states, support, labels)
        return query_logits(weights, support, query, self.config.batch_norm, self.config.down)
