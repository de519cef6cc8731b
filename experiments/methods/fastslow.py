"""Fast/slow meta-learning on images: the paper's own method, Table 1.

Not here: pre-training (pretrain.py), the training tasks (tasks.py), W_fc's gradient (head.py), the slow
update (slow.py) and the fast learners themselves (learners/).
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from experiments.config import FastSlow, ImageRun
from experiments.data.augment import views
from experiments.data.sources import evaluation_sampler, open_examples
from experiments.data.table import Table
from experiments.evaluate import accuracy_one_by_one, accuracy_per_episode, backbone_embedding
from experiments.learners.coordinate_lstm import CoordinateLstm, detached
from experiments.learners.sgd import SgdLearner
from experiments.method import Resources, pretrained_state
from experiments.methods.head import Start, class_of_each, head_gradient, head_input
from experiments.methods.normalisation import OwnStatistics
from experiments.methods.slow import build_slow_learner
from experiments.methods.tasks import TaskSource
from experiments.models.adapter import build_backbone
from experiments.models.average import follow
from experiments.models.precision import training_forward
from experiments.rng import generator

UNTRAINED_SCALE = 0.3  # of theta_0, where neither the config nor the pre-training says another
COORDINATES_AT_ONCE = 65_000  # of theta while testing, as many episodes as that is: g keeps a state of each


def build(config: ImageRun, resources: Resources) -> "FastSlowLearning":
    """Return the method of a config, its backbone pre-trained where the config says so."""
    method = FastSlowLearning(config, open_examples(config.data, resources.data_dir), resources.device)
    pretrained = pretrained_state(config, resources)
    if pretrained is not None:
        method.start_from(pretrained)
    return method


def fast_learner(method: FastSlow, source: torch.Generator) -> nn.Module:
    """Return g: (gradient, state) -> (update, next state)."""
    if method.fast_learner == "sgd":
        return SgdLearner(method.fast_lr)
    return CoordinateLstm(method.hidden_size, method.layers, method.output_scale, method.skip_lr, source)


class FastSlowLearning:
    """theta' learns slowly and for life; theta (W_fc) starts anew for each task.

    `network` is theta' as it learns, `backbone` what tests use of it: the same unless averaged.
    """

    def __init__(self, config: ImageRun, table: Table, device: torch.device) -> None:
        assert isinstance(config.method, FastSlow)
        self.config = method = config.method
        self.table = table
        self.device = device
        self.sampler = evaluation_sampler(table, config.evaluation)
        self.statistics = config.evaluation.batch_norm or "running"
        self.tasks = TaskSource(method, table, method.train_k_shot or config.evaluation.k_shot, config.seed)
        filters = method.pretrain.filters if method.pretrain else 64
        self.network = build_backbone(table, filters, generator(config.seed, "weights")).to(device)
        self.forward = training_forward(self.network, method, device)
        self.backbone = deepcopy(self.network).requires_grad_(False) if method.averaging else self.network
        self.g = fast_learner(method, generator(config.seed, "learner")).to(device)
        self.start = Start(method.initial, method.initial_scale or UNTRAINED_SCALE).to(device)
        self.phi = [*self.g.parameters(), *self.start.parameters()]  # empty where g is plain SGD from zero
        self.meta_adam = torch.optim.Adam(self.phi, lr=method.meta_lr) if self.phi else None
        self.slow = build_slow_learner(method, self.network, self.g)

    def start_from(self, pretrained: dict[str, Any]) -> None:
        """Take over theta' and, where the config names no other, the scale that classified its features."""
        for network in (self.network, self.backbone):
            network.load_state_dict(pretrained["backbone"])
        if self.config.initial_scale is None and "log_scale" in pretrained["objective"]:
            self.start.set_scale(pretrained["objective"]["log_scale"].exp() / self.config.feature_scale**2)

    # ------------------------------------------------------------ training

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Meet one new task per step, as in Table 1; return each task's losses and last accuracy."""
        self.network.train(self.config.batch_norm == "batch")
        rows = [self._task(step) for step in range(start, start + count)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _task(self, task: int) -> dict[str, Tensor]:
        """Sample a task, reset theta, take m inner steps, then update phi."""
        self.slow.begin(task)
        theta, state = None, None
        losses: list[Tensor] = []
        for adapt, judge in self.tasks.batches(task):
            seen, judged = self._seen_and_judged(adapt, judge)  # functions of theta'_j
            if theta is None:
                theta = self.start(seen.detach(), self._labels(seen))  # theta_0
            before, past = self._loss(judged.detach(), theta), theta.detach()  # L_j at theta_j
            update, following = self.g(self._gradient(seen.detach(), past), state)
            theta = theta + update  # theta_{j+1}, a function of phi
            losses.append(before if judge is adapt else self._loss(judged.detach(), theta))
            if self.config.slow_gradient == "first":
                self.slow.step(self._loss(judged, theta.detach()))  # at (theta_{j+1}, theta'_j)
            else:  # theta_{j+1} as a function of theta'_j
                through, _ = self.g(self._gradient(seen, past), detached(state))
                self.slow.step(self._loss(judged, past + through))
            state = following
        assert theta is not None
        self._meta_step(torch.stack(losses).sum())
        if self.config.averaging:
            follow(self.backbone, self.network, self.config.averaging, task)
        right = (judged @ theta.mT).argmax(-1) == self._labels(judged)
        return {"train/loss": losses[-1].detach(), "train/accuracy": right.double().mean()}

    def _seen_and_judged(self, adapt: Tensor, judge: Tensor) -> tuple[Tensor, Tensor]:
        """Return what W_fc sees of both batches, from one pass through the network."""
        images = adapt if judge is adapt else torch.cat((adapt, judge))
        features = self.forward(images.to(self.device))
        inputs = self._head_input(features, features[: len(adapt)])
        return inputs[: len(adapt)], inputs[-len(judge) :]

    def _labels(self, features: Tensor) -> Tensor:
        return class_of_each(features, self.config.train_n_way)

    def _loss(self, features: Tensor, theta: Tensor) -> Tensor:
        return cross_entropy(features @ theta.mT, self._labels(features))

    def _gradient(self, features: Tensor, theta: Tensor) -> Tensor:
        return head_gradient(features, self._labels(features), theta)

    def _head_input(self, features: Tensor, support: Tensor) -> Tensor:
        """Return what W_fc sees of features (..., batch, d): scaled as configured, and a 1 for the bias."""
        features = head_input(features, support, self.config.features)
        if self.config.features != "raw":
            features = self.config.feature_scale * features
        return pad(features, (0, 1), value=1.0)

    def _meta_step(self, loss: Tensor) -> None:
        """Update phi by the gradient of the sum of the task's step losses."""
        if self.meta_adam is None:
            return
        self.meta_adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.phi, 1.0)
        self.meta_adam.step()

    # ------------------------------------------------------------ testing

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return accuracy per episode: theta' and phi fixed, W_fc adapted by g on the support."""
        what = (self.table, self.sampler, split, episodes)
        if self.statistics == "running":
            return {"accuracy": accuracy_per_episode(self, *what)}
        embed = partial(self._embed_episode, OwnStatistics(self.backbone, self.statistics))
        return {"accuracy": accuracy_one_by_one(self, embed, *what)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, looks * turns * d) of images (batch, *image), view by view."""
        embed = backbone_embedding(self.backbone, self.device)
        return torch.cat([embed(view) for view in self._views(images)], dim=1)

    def _embed_episode(self, embed: OwnStatistics, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
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
            update, state = self.g(share * head_gradient(examples, classes, theta), state)
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

    def state_dict(self) -> dict[str, Any]:
        """Return theta', phi and both optimisers; theta is never kept."""
        return {
            "backbone": self.backbone.state_dict(),
            "network": self.network.state_dict(),
            "slow": self.slow.state_dict(),
            "learner": self.g.state_dict(),
            "start": self.start.state_dict(),
            "meta_adam": self.meta_adam.state_dict() if self.meta_adam else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over theta', phi and both optimisers."""
        self.backbone.load_state_dict(state["backbone"])
        self.network.load_state_dict(state["network"])
        self.slow.load_state_dict(state["slow"])
        self.g.load_state_dict(state["learner"])
        self.start.load_state_dict(state["start"])
        if self.meta_adam is not None:
            self.meta_adam.load_state_dict(state["meta_adam"])
