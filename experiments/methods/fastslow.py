"""Fast/slow meta-learning on images: the paper's own method, Table 1."""

import math
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from experiments.config import FastSlowConfig, ImageRun
from experiments.data.augment import views
from experiments.data.table import Table
from experiments.data.training import TrainingClasses
from experiments.evaluate import accuracy_one_by_one, backbone_embedding, class_means
from experiments.features.adapter import build_backbone
from experiments.learners.coordinate_lstm import CoordinateLstm, detached
from experiments.learners.sgd import SgdLearner
from experiments.methods.base import ImageMethod, Metrics, class_of_each, share_right
from experiments.models.average import follow
from experiments.models.linear_head import head_gradient, head_input
from experiments.models.precision import training_forward
from experiments.rng import generator

UNTRAINED_SCALE = 0.3  # of theta_0, where neither the config nor the pre-training says another
COORDINATES_AT_ONCE = 65_000  # of theta while testing, as many episodes as that is: g keeps a state of each

Batch = tuple[Tensor, Tensor]  # images (n_way * per class, *image) to adapt on, and to be judged on


class FastSlow(ImageMethod[FastSlowConfig]):
    """theta' (a backbone) learns slowly and for life; theta (W_fc) starts anew for each task.

    g, the fast learner, moves theta; its parameters are phi. `network` is theta' as it learns, `backbone`
    what tests use of it: the same unless averaged.
    """

    saved = ("backbone", "network", "learner", "start")

    def __init__(self, run: ImageRun, table: Table, device: torch.device) -> None:
        super().__init__(run, table, device)
        method = self.config
        self.statistics = run.evaluation.batch_norm or "running"
        self.tasks = TaskSource(method, table, method.train_k_shot or run.evaluation.k_shot, run.seed)
        filters = method.pretrain.filters if method.pretrain else 64
        self.network = build_backbone(table, filters, generator(run.seed, "weights")).to(device)
        self.forward = training_forward(self.network, method, device)
        self.backbone = deepcopy(self.network).requires_grad_(False) if method.averaging else self.network
        self.learner = fast_learner(method, generator(run.seed, "learner")).to(device)  # g
        self.start = Start(method.initial, method.initial_scale or UNTRAINED_SCALE).to(device)
        self.phi = [*self.learner.parameters(), *self.start.parameters()]  # empty for plain SGD from zero
        self.meta_adam = torch.optim.Adam(self.phi, lr=method.meta_lr) if self.phi else None
        self.slow: SlowDescent | SharedLearner = (
            SharedLearner(self.network, self.learner)
            if method.slow_learner == "shared"
            else SlowDescent(method, self.network)
        )

    def start_from(self, pretrained: dict[str, Any]) -> None:
        """Take over theta' and, where the config names no other, the scale that classified its features."""
        for network in (self.network, self.backbone):
            network.load_state_dict(pretrained["backbone"])
        if self.config.initial_scale is None and "log_scale" in pretrained["objective"]:
            self.start.set_scale(pretrained["objective"]["log_scale"].exp() / self.config.feature_scale**2)

    # ------------------------------------------------------------ training: the paper's Table 1

    def step(self, task: int) -> Metrics:
        """Meet one task as Table 1 says; return its last loss and accuracy.

        theta starts anew. In each of m inner steps g moves theta and a slow learner moves theta'. Then phi
        takes one step down the sum of the task's losses.
        """
        self.network.train(self.config.batch_norm == "batch")
        self.slow.begin(task)
        theta, state = None, None
        losses: list[Tensor] = []
        for adapt, judge in self.tasks.batches(task):  # 1. a small batch of the task
            images = adapt if judge is adapt else torch.cat((adapt, judge))
            features = self.forward(images.to(self.device))  # of theta'_j
            inputs = self._head_input(features, features[: len(adapt)])
            seen, judged = inputs[: len(adapt)], inputs[-len(judge) :]  # (n_way * per class, d + 1)
            if theta is None:
                theta = self.start(seen.detach(), self._labels(seen))  # theta_0
            # 2. the loss and its gradient at (theta_j, theta'_j)
            before, past = self._loss(judged.detach(), theta), theta.detach()
            gradient = head_gradient(seen.detach(), self._labels(seen), past)
            # 3. theta_{j+1} = theta_j + g(gradient), a function of phi
            update, following = self.learner(gradient, state)
            theta = theta + update
            losses.append(before if judge is adapt else self._loss(judged.detach(), theta))
            # theta'_{j+1} = theta'_j - delta dL/dtheta' at (theta_{j+1}, theta'_j)
            if self.config.slow_gradient == "first":
                self.slow.step(self._loss(judged, theta.detach()))
            else:  # theta_{j+1} as a function of theta'_j
                through, _ = self.learner(head_gradient(seen, self._labels(seen), past), detached(state))
                self.slow.step(self._loss(judged, past + through))
            state = following
        assert theta is not None
        self._move_phi(torch.stack(losses).sum())
        if self.config.averaging:
            follow(self.backbone, self.network, self.config.averaging, task)
        right = share_right(judged @ theta.mT, self._labels(judged))
        return {"train/loss": losses[-1].detach(), "train/accuracy": right}

    def _move_phi(self, loss: Tensor) -> None:
        """Take one Adam step of phi down the sum of a task's losses."""
        if self.meta_adam is None:
            return
        self.meta_adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.phi, 1.0)
        self.meta_adam.step()

    def _labels(self, features: Tensor) -> Tensor:
        return class_of_each(features, self.config.train_n_way)

    def _loss(self, features: Tensor, theta: Tensor) -> Tensor:
        return cross_entropy(features @ theta.mT, self._labels(features))

    def _head_input(self, features: Tensor, support: Tensor) -> Tensor:
        """Return what W_fc sees of features (..., batch, d): scaled as configured, and a 1 for the bias."""
        features = head_input(features, support, self.config.features)
        if self.config.features != "raw":
            features = self.config.feature_scale * features
        return pad(features, (0, 1), value=1.0)

    # ------------------------------------------------------------ testing

    def evaluate(self, split: str, episodes: range) -> Metrics:
        """Return accuracy per episode: theta' and phi fixed, W_fc adapted by g on the support."""
        if self.statistics == "running":
            return super().evaluate(split, episodes)
        embed = partial(self._embed_episode, OwnStatistics(self.backbone, self.statistics))
        return {"accuracy": accuracy_one_by_one(self, embed, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, looks * turns * d) of images (batch, *image), view by view."""
        embed = backbone_embedding(self.backbone, self.device)
        return torch.cat([embed(view) for view in self._views(images)], dim=1)

    def _embed_episode(self, embed: "OwnStatistics", support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same of support and query, each view normalised by statistics of the episode."""
        seen = zip(self._views(support), self._views(query), strict=True)
        pairs = [embed(one.to(self.device), other.to(self.device)) for one, other in seen]
        of_support, of_query = zip(*pairs, strict=True)
        return torch.cat(of_support, dim=1), torch.cat(of_query, dim=1)

    def _views(self, images: Tensor) -> Iterator[Tensor]:
        for view in views(images, self.config.views, self.config.view_change):
            for seen in (view, view.flip(-1)) if self.config.mirrored_views else (view,):
                for turn in range(self.config.quarter_turns):
                    yield seen.rot90(turn, (-2, -1))

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way) after m steps of g on support (episodes, images, d)."""
        inputs = self.config.quarter_turns * self.backbone.features + 1  # of W_fc
        coordinates = (int(labels[-1]) + 1) * inputs  # of one episode's theta
        at_once = max(COORDINATES_AT_ONCE // coordinates, 1)
        parts = zip(support.split(at_once), query.split(at_once), strict=True)
        with torch.no_grad():
            return torch.cat([self._adapted_logits(seen, labels, asked) for seen, asked in parts])

    def _adapted_logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        support, query = (part.unflatten(-1, (self.config.looks, -1)) for part in (support, query))
        mean = support.mean(-2)  # (episodes, images, turns * d)
        theta, state = self.start(self._head_input(mean, mean), labels), None
        # A class's part of the mean gradient is 1 / n_way: g is to see it as large as when it was trained.
        share = theta.shape[-2] / self.config.train_n_way
        for seen, classes in self._support_views(support, labels):
            examples = self._head_input(seen, seen)
            update, state = self.learner(share * head_gradient(examples, classes, theta), state)
            theta = theta + update
        logits: Tensor = self._head_input(query.mean(-2), mean) @ theta.mT
        return logits

    def _support_views(self, support: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what each inner step adapts on, of support (episodes, images, views, d), with labels."""
        for j in range(self.config.inner_steps):
            if self.config.support_views == "mean":
                yield support.mean(-2), labels
            elif self.config.support_views == "turns":
                yield support[..., j % self.config.looks, :], labels
            else:
                yield support.flatten(-3, -2), labels.repeat_interleave(self.config.looks)

    # ------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return theta', phi and both optimisers; theta is never kept."""
        optimisers = {
            "slow": self.slow.state_dict(),
            "meta_adam": self.meta_adam.state_dict() if self.meta_adam else {},
        }
        return super().state_dict() | optimisers

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what state_dict returns."""
        super().load_state_dict(state)
        self.slow.load_state_dict(state["slow"])
        if self.meta_adam:
            self.meta_adam.load_state_dict(state["meta_adam"])


# ------------------------------------------------------------ theta: where it starts, and who moves it


class Start(nn.Module):
    """theta_0 of a task: zeros (Lemma 1), or the class means of the support times one learned scale.

    The scale is shared by all classes, so that no class is favoured.
    """

    def __init__(self, how: Literal["zeros", "means"], scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale)) if how == "means" else None

    def set_scale(self, scale: Tensor) -> None:
        """Let the scale start elsewhere, where there is one."""
        if self.scale is not None:
            self.scale.data.copy_(scale)

    def forward(self, support: Tensor, labels: Tensor) -> Tensor:
        """Return theta_0 (..., n_way, d + 1) for support (..., images, d + 1) of labels (images,)."""
        means = class_means(support, labels)
        return torch.zeros_like(means) if self.scale is None else self.scale * means


def fast_learner(method: FastSlowConfig, source: torch.Generator) -> nn.Module:
    """Return g: (gradient, state) -> (update, next state)."""
    if method.fast_learner == "sgd":
        return SgdLearner(method.fast_lr)
    return CoordinateLstm(method.hidden_size, method.layers, method.output_scale, method.skip_lr, source)


# ------------------------------------------------------------ theta': who moves it


class SlowDescent:
    """theta'_{j+1} = theta'_j - delta dL/dtheta' by SGD, or Adam's step of rate delta.

    delta is constant or falls to zero over the tasks.
    """

    def __init__(self, config: FastSlowConfig, network: nn.Module) -> None:
        self.config = config
        weights = list(network.parameters())
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(weights, lr=config.slow_lr)
            if config.slow_learner == "adam"
            else torch.optim.SGD(weights, lr=config.slow_lr, momentum=config.slow_momentum)
        )

    def begin(self, task: int) -> None:
        """Set delta for a task."""
        falling = 0.5 * (1 + math.cos(math.pi * task / self.config.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.slow_lr * (falling if self.config.slow_schedule == "cosine" else 1.0)

    def step(self, loss: Tensor) -> None:
        """Take one step of rate delta."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's moments."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the moments."""
        self.optimizer.load_state_dict(state)


class SharedLearner:
    """An ablation: theta'_{j+1} = theta'_j + g(dL/dtheta', phi), by the fast learner itself.

    Its state starts anew for each task.
    """

    def __init__(self, network: nn.Module, learner: nn.Module) -> None:
        self.weights = list(network.parameters())
        self.learner = learner
        self.state: Any = None

    def begin(self, task: int) -> None:
        """Forget g's state of the task before."""
        self.state = None

    def step(self, loss: Tensor) -> None:
        """Take one step of g in every coordinate of theta'."""
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            update, self.state = self.learner(flat, self.state)
            parts = update.split([weight.numel() for weight in self.weights])
            for weight, part in zip(self.weights, parts, strict=True):
                weight.add_(part.view_as(weight))

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: g's state does not outlive a task."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over nothing."""


# ------------------------------------------------------------ the tasks of training


class TaskSource:
    """Draws numbered tasks of some classes of C_meta, or, for a share of the tasks, of C_base."""

    def __init__(self, config: FastSlowConfig, table: Table, k_shot: int, seed: int) -> None:
        self.config = config
        self.k_shot = k_shot
        self.seed = seed
        self.meta, self.base = (
            TrainingClasses(table, (split,), config.mirrored, config.jitter) for split in ("meta", "base")
        )

    def batches(self, task: int) -> list[Batch]:
        """Return the two batches of each inner step, images class by class.

        fresh: a new batch serves both, as Table 1 prints it. support: theta sees the task's k_shot
        images at every step, as in the test, and a new batch judges it.
        """
        source = generator(self.seed, "task", task)
        from_base = float(torch.rand((), generator=source)) < self.config.base_share
        pool = self.base if from_base else self.meta
        classes = torch.randperm(pool.count, generator=source)[: self.config.train_n_way]
        drawers = torch.rand(len(classes), pool.each, generator=source).argsort(1)
        support, rest = drawers.split([self.k_shot, pool.each - self.k_shot], dim=1)
        per_class = self.config.batch_per_class
        judged = [torch.arange(j * per_class, (j + 1) * per_class) for j in range(self.config.inner_steps)]
        fresh = [rest[:, columns % rest.shape[1]] for columns in judged]
        if self.config.inner_batch == "fresh":
            return [(batch, batch) for batch in self._images(pool, classes, fresh, source)]
        both = [part for batch in fresh for part in (support, batch)]
        images = self._images(pool, classes, both, source)
        return list(zip(images[::2], images[1::2], strict=True))

    def _images(
        self, pool: TrainingClasses, classes: Tensor, parts: list[Tensor], source: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Return the images of each part, drawers (n_way, columns), all looked up and changed at once."""
        every = torch.cat([classes.repeat_interleave(part.shape[1]) for part in parts])
        images = pool.images(every, torch.cat([part.flatten() for part in parts]), source)
        split: tuple[Tensor, ...] = images.split([part.numel() for part in parts])
        return split


# ------------------------------------------------------------ batch normalisation by an episode's statistics


class OwnStatistics:
    """Embeds the images of one episode with statistics of its support, or of its queries.

    support: those of the support for all images, so that each query is still classified alone. queries:
    those of all queries together for the queries, which so help each other (transductive), and those of the
    support for the support; so did Finn et al. 2017. The backbone itself is left as it is.
    """

    def __init__(self, backbone: nn.Module, source: Literal["support", "queries"]) -> None:
        self.backbone = deepcopy(backbone).eval()
        self.source = source
        self._gathering = False
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_pre_hook(self._gather)

    @torch.no_grad()
    def __call__(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (batch, d) of both batches of images (batch, *image)."""
        self._gathering = True
        of_support: Tensor = self.backbone(support)
        self._gathering = self.source == "queries"
        of_query: Tensor = self.backbone(query)
        return of_support, of_query

    def _gather(self, norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Have a layer normalise by its input of now, and remember these statistics."""
        if self._gathering:
            batch = inputs[0]  # (batch, channels, height, width)
            norm.get_buffer("running_mean").copy_(batch.mean((0, 2, 3)))
            norm.get_buffer("running_var").copy_(batch.var((0, 2, 3), correction=0))
