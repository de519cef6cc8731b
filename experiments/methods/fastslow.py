"""Fast/slow meta-learning on images: the paper's own method, Table 1.

Not here: pre-training (pretrain.py) and the learners themselves (learners/).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot, pad

from experiments.checkpoint import load_checkpoint
from experiments.config import FastSlow, ImageRun, config_hash, prerequisites
from experiments.data.augment import jitter
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table
from experiments.evaluate import backbone_embedding, embed_episodes, episode_accuracy, evaluating
from experiments.learners.coordinate_lstm import CoordinateLstm
from experiments.learners.sgd import SgdLearner
from experiments.method import Resources
from experiments.models.conv4 import Conv4
from experiments.rng import generator

EPISODES_AT_ONCE = 50  # while testing: bounds the memory of g's states


def build(config: ImageRun, resources: Resources) -> "FastSlowLearning":
    """Return the method of a config, its backbone pre-trained where the config says so."""
    method = FastSlowLearning(config, open_table(config.data, resources.data_dir), resources.device)
    for parent in prerequisites(config):
        _, state = load_checkpoint(resources.parents[config_hash(parent)])
        method.backbone.load_state_dict(state["backbone"])
    return method


def fast_learner(method: FastSlow, source: torch.Generator) -> nn.Module:
    """Return g: (gradient, state) -> (update, next state)."""
    if method.fast_learner == "sgd":
        return SgdLearner(method.fast_lr)
    return CoordinateLstm(method.hidden_size, method.layers, method.output_scale, method.skip_lr, source)


def head_gradient(features: Tensor, labels: Tensor, theta: Tensor) -> Tensor:
    """Return dL/dtheta of the mean cross-entropy of softmax(features theta^T), in closed form.

    features (..., batch, d + 1), labels (batch,), theta (..., n_way, d + 1) -> like theta.
    """
    probabilities = (features @ theta.mT).softmax(-1)
    error = probabilities - one_hot(labels, theta.shape[-2])
    return error.mT @ features / features.shape[-2]


class FastSlowLearning:
    """theta' (backbone) learns slowly and for life; theta (W_fc) starts at zero for each task."""

    def __init__(self, config: ImageRun, table: ImageTable, device: torch.device) -> None:
        assert isinstance(config.method, FastSlow)
        self.config = method = config.method
        self.seed = config.seed
        self.table = table
        self.device = device
        self.n_way = config.evaluation.n_way
        self.k_shot = config.evaluation.k_shot
        self.sampler = evaluation_sampler(table, config.evaluation)
        filters = method.pretrain.filters if method.pretrain else 64
        self.backbone = Conv4(filters, generator(config.seed, "weights")).to(device)
        self.slow_sgd = torch.optim.SGD(
            self.backbone.parameters(), lr=method.slow_lr, momentum=method.slow_momentum
        )
        self.g = fast_learner(method, generator(config.seed, "learner")).to(device)
        self.phi = list(self.g.parameters())  # empty where g is plain SGD
        self.meta_adam = torch.optim.Adam(self.phi, lr=method.meta_lr) if self.phi else None

    # ------------------------------------------------------------ training

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Meet one new task per step, as in Table 1; return each task's losses and last accuracy."""
        self.backbone.train(self.config.batch_norm == "batch")
        rows = [self._task(step) for step in range(start, start + count)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _task(self, task: int) -> dict[str, Tensor]:
        """Sample a task, reset theta, take m inner steps, then update phi."""
        theta = torch.zeros(self.n_way, self.backbone.filters + 1, device=self.device)
        state = None
        losses: list[Tensor] = []
        for adapt, judge in self._batches(task):
            seen, judged = self._seen_and_judged(adapt, judge)  # functions of theta'
            before = self._loss(judged.detach(), theta)  # L_j at theta_j, a function of phi
            gradient = head_gradient(seen.detach(), self._labels(seen), theta.detach())
            update, state = self.g(gradient, state)
            theta = theta + update  # theta_{j+1}
            losses.append(before if judge is adapt else self._loss(judged.detach(), theta))
            self._slow_step(self._loss(judged, theta.detach()))  # at (theta_{j+1}, theta'_j)
        logits = judged.detach() @ theta.detach().mT
        accuracy = (logits.argmax(-1) == self._labels(judged)).double().mean()
        self._meta_step(torch.stack(losses).sum())
        return {"train/loss": losses[-1].detach(), "train/accuracy": accuracy}

    def _batches(self, task: int) -> list[tuple[Tensor, Tensor]]:
        """Return for each inner step the images theta adapts on and those the step is judged on.

        fresh: a new batch serves both, as Table 1 prints it. support: theta sees the task's k_shot
        images at every step, as in the test, and a new batch judges it.
        """
        method = self.config
        per_class = method.batch_per_class
        source = generator(self.seed, "task", task)
        classes = torch.randperm(self.table.class_count("meta"), generator=source)[: self.n_way]
        drawers = torch.rand(self.n_way, self.table.drawers, generator=source).argsort(1)
        support, rest = drawers.split([self.k_shot, self.table.drawers - self.k_shot], dim=1)
        batches = []
        for j in range(method.inner_steps):
            columns = (torch.arange(per_class) + j * per_class) % rest.shape[1]
            fresh = self._images(classes, rest[:, columns], source)
            adapt = self._images(classes, support, source) if method.inner_batch == "support" else fresh
            batches.append((adapt, fresh))
        return batches

    def _images(self, classes: Tensor, drawers: Tensor, source: torch.Generator) -> Tensor:
        """Return images (n_way * columns, 1, 28, 28), class by class."""
        index = classes[:, None] * self.table.drawers + drawers
        images = jitter(self.table.pixels("meta", index.flatten()), source, self.config.jitter)
        return images.to(self.device)

    def _seen_and_judged(self, adapt: Tensor, judge: Tensor) -> tuple[Tensor, Tensor]:
        """Return what W_fc sees of both batches, from one pass through the backbone."""
        features = self.backbone(adapt if judge is adapt else torch.cat((adapt, judge)))
        seen = features[: len(adapt)]
        inputs = self._head_input(features, seen)
        return inputs[: len(adapt)], inputs[-len(judge) :]

    def _loss(self, features: Tensor, theta: Tensor) -> Tensor:
        return cross_entropy(features @ theta.mT, self._labels(features))

    def _labels(self, features: Tensor) -> Tensor:
        per_class = features.shape[-2] // self.n_way
        return torch.arange(self.n_way, device=features.device).repeat_interleave(per_class)

    def _head_input(self, features: Tensor, support: Tensor) -> Tensor:
        """Return what W_fc sees of features (..., batch, d): scaled as configured, and a 1 for the bias."""
        if self.config.features == "centred":
            features = features - support.mean(-2, keepdim=True)
        if self.config.features != "raw":
            features = self.config.feature_scale * normalize(features, dim=-1)
        return pad(features, (0, 1), value=1.0)

    def _slow_step(self, loss: Tensor) -> None:
        """theta'_{j+1} = theta'_j - delta dL/dtheta' at (theta_{j+1}, theta'_j)."""
        self.slow_sgd.zero_grad(set_to_none=True)
        loss.backward()
        self.slow_sgd.step()

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
        embed = backbone_embedding(self.backbone, self.device)
        with evaluating(self.backbone), torch.no_grad():
            episode = self.sampler.sample(split, episodes)
            support, query = embed_episodes(self.table, split, episode, embed)
            parts = zip(support.split(EPISODES_AT_ONCE), query.split(EPISODES_AT_ONCE), strict=True)
            accuracy = [episode_accuracy(self._adapted_logits(*part)) for part in parts]
        return {"accuracy": torch.cat(accuracy)}

    def _adapted_logits(self, support: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, n_way, n_query, n_way) after m steps of g on the support."""
        examples, questions = support.flatten(1, 2), query.flatten(1, 2)  # (episodes, images, d)
        questions = self._head_input(questions, examples)
        examples = self._head_input(examples, examples)
        theta = examples.new_zeros(len(examples), self.n_way, examples.shape[-1])
        state = None
        for _ in range(self.config.inner_steps):
            update, state = self.g(head_gradient(examples, self._labels(examples), theta), state)
            theta = theta + update
        logits: Tensor = (questions @ theta.mT).unflatten(1, query.shape[1:3])
        return logits

    def state_dict(self) -> dict[str, Any]:
        """Return theta', phi and both optimisers; theta is never kept."""
        return {
            "backbone": self.backbone.state_dict(),
            "slow_sgd": self.slow_sgd.state_dict(),
            "learner": self.g.state_dict(),
            "meta_adam": self.meta_adam.state_dict() if self.meta_adam else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over theta', phi and both optimisers."""
        self.backbone.load_state_dict(state["backbone"])
        self.slow_sgd.load_state_dict(state["slow_sgd"])
        self.g.load_state_dict(state["learner"])
        if self.meta_adam is not None:
            self.meta_adam.load_state_dict(state["meta_adam"])
