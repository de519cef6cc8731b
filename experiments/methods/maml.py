"""MAML: learn weights from which a few gradient steps on a support lead to a good classifier of its task.

A task changes all layers (Maml), or the head alone (MamlHead).
"""

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from experiments.config import ImageRun, MamlConfig
from experiments.config.adapting import BatchStatistics
from experiments.data.images import ImageTable
from experiments.data.training import TrainingClasses
from experiments.evaluate import backbone_embedding
from experiments.method import Method, Resources
from experiments.methods.base import (
    ImageMethod,
    Metrics,
    class_of_each,
    each_in_turn,
    share_right,
    truth_in_turn,
)
from experiments.models.conv4 import as_many
from experiments.models.precision import training_forward
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
HEAD = ("head", "bias")


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

    saved = ("start", "rates", "measured_start", "measured_rates", "optimizer")
    table: ImageTable

    @classmethod
    def build(cls, run: ImageRun, resources: Resources) -> Method:
        """Return the method that a run asks for, untrained."""
        adapts: str = getattr(run.method, "adapts", "all")
        if adapts == "head" and cls is Maml:
            return MamlHead.build(run, resources)
        return super().build(run, resources)

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.ways = method.ways(self.n_way)  # of a training task
        self.statistics = cast(BatchStatistics, run.evaluation.batch_norm or method.batch_norm)
        self.drawn = self.training_episodes(
            method.jitter, self.ways, method.train_k_shot, method.train_n_query, method.episodes_per_step
        )
        source = generator(run.seed, "weights")
        image, down = table.image_shape, method.down
        spread = head_spread(feature_count(method.filters, image, down), self.n_way, down)
        start = initial_weights(method.filters, self.n_way, spread, source, image, down)
        adapted = [name for name in start if name not in NORMALISATION]
        rates = torch.full((len(adapted), method.inner_steps), method.inner_lr)
        self.rates = nn.ParameterDict(zip(adapted, rates.clone().unbind(), strict=True)).to(device)
        self.rates.requires_grad_(method.learned_rates)
        if method.starts_at_zeros:
            self.features = start.pop("head").shape[1]
            del start["bias"]
        self.start = nn.ParameterDict(start).to(device)
        self.measured_start = self.averaged(self.start, method.averaging)
        self.measured_rates = self.averaged(self.rates, method.averaging if method.learned_rates else 0)
        learned = [*self.start.values(), *(self.rates.values() if method.learned_rates else ())]
        self.learn(learned, method.lr, clip=method.clip, decay=method.weight_decay)

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the loss of a batch of tasks after they have adapted."""
        support, query = (part.to(self.device).flatten(1, 2) for part in self.drawn(step))
        shares = step_shares(step, self.config.inner_steps, self.config.multi_step)
        first_order = self.config.first_order or step < self.config.first_order_steps
        loss, logits = self.outer_loss(support, query, shares, first_order=first_order)
        right = share_right(logits, class_of_each(logits, self.ways))
        return loss, {"train/loss": loss.detach(), "train/accuracy": right}

    def outer_loss(
        self, support: Tensor, query: Tensor, shares: list[float], *, first_order: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss of the queries, a function of start and rates, and their last logits.

        support and query (tasks, images, *image).
        """
        method = self.config
        logits = support.new_empty(0)
        loss = support.new_zeros(())
        labels, truth = (class_of_each(images.flatten(2), self.ways) for images in (support, query))
        starts = self._starts(self.start, len(support), self.ways)
        adapted = self._adapted(starts, self.rates, support, labels, len(shares), second=not first_order)
        for share, weights in zip(shares, adapted, strict=True):
            if share:
                logits = query_logits(weights, support, query, method.batch_norm, method.down)
                loss = loss + share * task_losses(logits, truth).mean()
        return loss, logits.detach()

    def _starts(self, start: nn.ParameterDict, tasks: int, n_way: int) -> Weights:
        """Return the weights that so many tasks start from, a head of zeros among them if it has no other."""
        weights = dict(start.items())
        if self.config.starts_at_zeros:
            conv = weights["conv0"]
            weights["head"] = conv.new_zeros(n_way, self.features, requires_grad=True)
            weights["bias"] = conv.new_zeros(n_way, requires_grad=True)
        return for_each_task(weights, tasks)

    def _adapted(
        self,
        weights: Weights,
        rates: nn.ParameterDict,
        support: Tensor,
        labels: Tensor,
        steps: int,
        *,
        second: bool,
        kept: bool = True,
    ) -> Iterator[Weights]:
        """Yield each task's weights after each gradient step on its support (tasks, images, *image).

        kept: as functions of start and rates; second: of the gradients too, which else are constants in them.
        """
        if not kept:
            weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        for step in range(steps):
            losses = task_losses(task_logits(weights, support, support.shape[1], self.config.down), labels)
            gradients = torch.autograd.grad(
                losses.sum(),  # tasks share nothing, so each gets its own gradient
                [weights[name] for name, _ in rates.items()],
                create_graph=second,
            )
            weights = dict(weights)
            for (name, every), gradient in zip(rates.items(), gradients, strict=True):
                rate = every[step] if self.config.learned_rates else self.config.inner_lr
                if self.config.starts_at_zeros and name in HEAD:
                    rate = rate * weights["bias"].shape[1]  # a row learns from its share of the images
                moved = weights[name] - rate * gradient
                weights[name] = moved if kept else moved.detach().requires_grad_()
            yield weights

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of the weights adapted to each support."""
        image, steps = self.table.image_shape, self.config.test_steps or self.config.inner_steps
        n_way = int(labels[-1]) + 1 if self.config.starts_at_zeros else self.n_way
        at_once = as_many(TASKS_AT_ONCE, image)
        parts = []
        for shown, asked in zip(support.split(at_once), query.split(at_once), strict=True):
            examples, questions = shown.unflatten(-1, image), asked.unflatten(-1, image)
            weights = self._starts(self.measured_start, len(examples), n_way)
            with torch.enable_grad():
                *_, weights = self._adapted(
                    weights, self.measured_rates, examples, labels, steps, second=False, kept=False
                )
            with torch.no_grad():
                parts.append(query_logits(weights, examples, questions, self.statistics, self.config.down))
        return torch.cat(parts)


def adapted_heads(
    support: Tensor, labels: Tensor, rates: Tensor, *, first_order: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield head (tasks, n_way, d) and bias (tasks, 1, n_way) after each gradient step from zeros.

    support (tasks, images, d), labels (images,) of as many images a class; rates (2, steps) of head and bias,
    for each class. The gradient of softmax and cross-entropy is written out.
    """
    truth = one_hot(labels).to(support.dtype)  # (images, n_way)
    each = len(truth) // truth.shape[1]
    head = support.new_zeros(len(support), truth.shape[1], support.shape[-1])
    bias = support.new_zeros(len(support), 1, truth.shape[1])
    for of_head, of_bias in rates.unbind(1):
        error = ((support @ head.mT + bias).softmax(-1) - truth) / each  # (tasks, images, n_way)
        gradients = error.mT @ support, error.sum(1, keepdim=True)
        if first_order:
            gradients = gradients[0].detach(), gradients[1].detach()
        head, bias = head - of_head * gradients[0], bias - of_bias * gradients[1]
        yield head, bias


class MamlHead(ImageMethod[MamlConfig]):
    """The head alone learns a task, from zeros; the features, with running statistics, are those of any task.

    Source: ANIL, Raghu et al. 2020. Without a start of its own for each class the head has no order of them:
    Kao et al. 2022 set MAML's to zeros.
    """

    saved = ("network", "rates", "measured", "measured_rates", "optimizer")
    table: ImageTable

    def __init__(self, run: ImageRun, table: ImageTable, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.ways = method.ways(self.n_way)  # of a training task
        self.network = self.new_backbone(method.filters, generator(run.seed, "weights")).to(device)
        first = torch.full((2, method.inner_steps), math.log(method.inner_lr))  # of head and bias
        self.rates = nn.ParameterDict({"logarithms": first}).to(device)  # so that rates stay positive
        self.rates.requires_grad_(method.learned_rates)
        self.measured = self.averaged(self.network, method.averaging)
        self.measured_rates = self.averaged(self.rates, method.averaging if method.learned_rates else 0)
        self.forward = training_forward(self.network, method, device)
        learned = [*self.network.parameters(), *(self.rates.values() if method.learned_rates else ())]
        self.learn(learned, method.lr, clip=method.clip, decay=method.weight_decay)
        self.classes = TrainingClasses(self.examples, ("train",), method.mirrored, method.jitter)
        self.episodes = self.training_episodes(
            method.jitter, self.ways, method.train_k_shot, method.train_n_query, method.episodes_per_step
        )

    def loss(self, step: int) -> tuple[Tensor, Metrics]:
        """Return the loss of tasks after their heads have adapted to features that all were embedded at once.

        The tasks are drawn one by one, or each image of a batch in turn is the support of its class.
        """
        method = self.config
        if method.train_images:
            images = self.class_images(self.classes, self.ways, method.train_images, step)
            every = self.forward(images).unflatten(0, (-1, method.train_images))  # (n_way, images, d)
            support, query = (torch.stack(part) for part in zip(*each_in_turn(every), strict=True))
            truth = truth_in_turn(every)
        else:
            support, query = (part.to(self.device).flatten(1, 2) for part in self.episodes(step))
            both = torch.cat((support, query), dim=1)
            features = self.forward(both.flatten(0, 1)).unflatten(0, both.shape[:2])
            support, query = features.split([support.shape[1], query.shape[1]], dim=1)
            truth = class_of_each(query, self.ways).repeat(len(query))
        loss, logits = support.new_zeros(()), support.new_empty(0)
        first_order = method.first_order or step < method.first_order_steps
        labels = class_of_each(support, self.ways)
        heads = adapted_heads(support, labels, self.rates["logarithms"].exp(), first_order=first_order)
        shares = step_shares(step, method.inner_steps, method.multi_step)
        for share, (head, bias) in zip(shares, heads, strict=True):
            if share:
                logits = (query @ head.mT + bias).flatten(0, 1)
                loss = loss + share * cross_entropy(logits, truth)
        return loss, {"train/loss": loss.detach(), "train/accuracy": share_right(logits, truth)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image)."""
        return backbone_embedding(self.measured, self.device)(images)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) of the head adapted to each support."""
        rates = self.measured_rates["logarithms"].exp()
        steps = self.config.test_steps or self.config.inner_steps
        if steps > rates.shape[1]:
            rates = rates[:, :1].expand(-1, steps)  # all alike: those that are learned allow no more steps
        with torch.no_grad():
            *_, (head, bias) = adapted_heads(support, labels, rates[:, :steps], first_order=True)
            return query @ head.mT + bias
