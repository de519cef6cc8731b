"""MAML: learn weights from which a few gradient steps on a support lead to a good classifier of its task.

Not here: the network (models/task_conv4.py).
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from experiments.config import ImageRun, Maml
from experiments.data.batches import episode_images
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table, training_sampler
from experiments.descent import descend, scheduled
from experiments.evaluate import accuracy_per_episode
from experiments.method import Resources
from experiments.methods.head import class_of_each
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


def build(config: ImageRun, resources: Resources) -> "ModelAgnostic":
    """Return the untrained method of a config."""
    return ModelAgnostic(config, open_table(config.data, resources.data_dir), resources.device)


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


class ModelAgnostic:
    """The weights are where every task starts; scale and shift of batch normalisation stay the same in it."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, Maml)
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
        spread = head_spread(feature_count(method.filters, image, down), self.n_way, down)
        start = initial_weights(method.filters, self.n_way, spread, source, image, down)
        self.start = nn.ParameterDict(start).to(device)
        adapted = [name for name in start if name not in NORMALISATION]
        rates = torch.full((len(adapted), method.inner_steps), method.inner_lr)
        self.rates = nn.ParameterDict(zip(adapted, rates.clone().unbind(), strict=True)).to(device)
        self.rates.requires_grad_(method.learned_rates)
        self.learned = [*self.start.values(), *(self.rates.values() if method.learned_rates else ())]
        self.optimizer = torch.optim.Adam(self.learned, lr=method.lr)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one outer step per batch of tasks; return the tasks' mean loss and accuracy per step."""
        method, steps = self.config, range(start, start + count)
        drawn = episode_images(
            self.train_sampler, "train", steps, method.jitter, self.seed, method.episodes_per_step
        )
        losses, accuracies = zip(*(self._step(step, images) for step, images in drawn), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int, images: Tensor) -> tuple[Tensor, Tensor]:
        method = self.config
        parts = images.to(self.device).split(self.train_sampler.sizes, dim=2)
        support, query = (part.flatten(1, 2) for part in parts)  # (tasks, images, *image)
        loss, logits = self.outer_loss(
            support, query, step_shares(step, method.inner_steps, method.multi_step)
        )
        rate = scheduled(method.schedule, method.lr, step, method.steps)
        descend(loss, self.learned, self.optimizer, lr=rate)
        truth = class_of_each(logits, self.n_way)
        return loss.detach(), (logits.argmax(-1) == truth).double().mean()

    def outer_loss(self, support: Tensor, query: Tensor, shares: list[float]) -> tuple[Tensor, Tensor]:
        """Return the mean loss of the queries, a function of start and rates, and their last logits."""
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
                moved = weights[name] - self._rate(rates, step) * gradient
                weights[name] = moved if differentiable else moved.detach().requires_grad_()
            yield weights

    def _rate(self, rates: Tensor, step: int) -> Tensor | float:
        return rates[step] if self.config.learned_rates else self.config.inner_lr

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode, after as many gradient steps as the config says."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the pixels (batch, d) of images (batch, *image): all features depend on the task."""
        return images.flatten(1).to(self.device)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of the weights adapted to each support."""
        image = self.table.image_shape
        at_once = as_many(TASKS_AT_ONCE, image)
        images = (pixels.unflatten(-1, image).split(at_once) for pixels in (support, query))
        return torch.cat(
            [self._answers(examples, labels, each) for examples, each in zip(*images, strict=True)]
        )

    def _answers(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        steps = self.config.test_steps or self.config.inner_steps
        with torch.enable_grad():
            *_, weights = self._adapted(support, labels, steps, differentiable=False)
        with torch.no_grad():
            return query_logits(weights, support, query, self.config.batch_norm, self.config.down)

    def state_dict(self) -> dict[str, Any]:
        """Return where tasks start, the rates, and the optimiser."""
        return {
            "start": self.start.state_dict(),
            "rates": self.rates.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what state_dict returns."""
        self.start.load_state_dict(state["start"])
        self.rates.load_state_dict(state["rates"])
        self.optimizer.load_state_dict(state["optimizer"])
