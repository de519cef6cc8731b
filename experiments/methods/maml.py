"""MAML: learn weights from which a few gradient steps on a support lead to a good classifier of its task."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from experiments.config import ImageRun, MamlConfig
from experiments.config.training import scheduled
from experiments.data.images import ImageTable
from experiments.methods.base import ImageMethod, Metrics, class_of_each, share_right
from experiments.models.conv4 import as_many
from experiments.models.task_conv4 import (
    NORMALISATION,
    Down,
    Weights,
    feature_count,
    for_each_task,
    initial_weights,
    query_logits,
    task_logits,
    task_losses,
)
from experiments.rng import generator

TASKS_AT_ONCE = 25  # while testing


def step_shares(step: int, inner_steps: int, multi_step: int) -> list[float]:
    """Return how much the loss after each inner step counts: all alike at first, in the end the last alone.

    Source: the multi-step loss of Antoniou et al. 2019, section 4; the share moves over in a straight line.
    """
    early = max(0.0, 1 - step / multi_step) / inner_steps if multi_step else 0.0
    return [early] * (inner_steps - 1) + [1 - early * (inner_steps - 1)]


def head_spread(features: int, n_way: int, down: Down) -> float:
    """Return the standard deviation of the head's first weights.

    1 on the mean of each map, Xavier's on whole maps: with 1 these 800 features of a photograph would answer
    before they are asked. Source: the released code of Finn et al. 2017, for Omniglot and MiniImageNet.
    """
    return 1.0 if down == "stride" else math.sqrt(2 / (features + n_way))


class Maml(ImageMethod[MamlConfig]):
    """The weights are where every task starts; scale and shift of batch normalisation stay the same in it."""

    saved = ("start", "rates", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.drawn = self.training_episodes(
            method.jitter, self.n_way, method.train_k_shot, method.train_n_query, method.episodes_per_step
        )
        source = generator(run.seed, "weights")
        image, down = table.image_shape, method.down
        spread = head_spread(feature_count(method.filters, image, down), self.n_way, down)
        start = initial_weights(method.filters, self.n_way, spread, source, image, down)
        self.start = nn.ParameterDict(start).to(device)
        adapted = [name for name in start if name not in NORMALISATION]
        rates = torch.full((len(adapted), method.inner_steps), method.inner_lr)
        self.rates = nn.ParameterDict(zip(adapted, rates.clone().unbind(), strict=True)).to(device)
        self.rates.requires_grad_(method.learned_rates)
        self.learn([*self.start.values(), *(self.rates.values() if method.learned_rates else ())], method.lr)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return scheduled(self.config.schedule, self.lr, step, self.config.steps)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the loss of a batch of tasks after they have adapted."""
        support, query = (part.to(self.device).flatten(1, 2) for part in self.drawn(step))
        shares = step_shares(step, self.config.inner_steps, self.config.multi_step)
        loss, logits = self.outer_loss(support, query, shares)
        right = share_right(logits, class_of_each(logits, self.n_way))
        return loss, {"train/loss": loss.detach(), "train/accuracy": right}

    def outer_loss(self, support: Tensor, query: Tensor, shares: list[float]) -> tuple[Tensor, Tensor]:
        """Return the mean loss of the queries, a function of start and rates, and their last logits.

        support and query (tasks, images, *image).
        """
        logits = support.new_empty(0)
        loss = support.new_zeros(())
        labels, truth = (class_of_each(images.flatten(2), self.n_way) for images in (support, query))
        adapted = self._adapted(support, labels, len(shares), differentiable=True)
        for share, weights in zip(shares, adapted, strict=True):
            if share:
                logits = query_logits(weights, support, query, self.config.batch_norm, self.config.down)
                loss = loss + share * task_losses(logits, truth).mean()
        return loss, logits.detach()

    def _adapted(
        self, support: Tensor, labels: Tensor, steps: int, *, differentiable: bool
    ) -> Iterator[Weights]:
        """Yield each task's weights after each gradient step on its support (tasks, images, *image).

        differentiable: as functions of start and rates; in first order the gradients are constants in them.
        """
        weights = for_each_task(dict(self.start), len(support))
        if not differentiable:
            weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        for step in range(steps):
            losses = task_losses(task_logits(weights, support, support.shape[1], self.config.down), labels)
            gradients = torch.autograd.grad(
                losses.sum(),  # tasks share nothing, so each gets its own gradient
                [weights[name] for name in self.rates],
                create_graph=differentiable and not self.config.first_order,
            )
            weights = dict(weights)
            for (name, rates), gradient in zip(self.rates.items(), gradients, strict=True):
                rate = rates[step] if self.config.learned_rates else self.config.inner_lr
                moved = weights[name] - rate * gradient
                weights[name] = moved if differentiable else moved.detach().requires_grad_()
            yield weights

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of the weights adapted to each support."""
        image, steps = self.table.image_shape, self.config.test_steps or self.config.inner_steps
        at_once = as_many(TASKS_AT_ONCE, image)
        parts = []
        for shown, asked in zip(support.split(at_once), query.split(at_once), strict=True):
            examples, questions = shown.unflatten(-1, image), asked.unflatten(-1, image)
            with torch.enable_grad():
                *_, weights = self._adapted(examples, labels, steps, differentiable=False)
            with torch.no_grad():
                parts.append(
                    query_logits(weights, examples, questions, self.config.batch_norm, self.config.down)
                )
        return torch.cat(parts)
