"""Pre-training of the backbone on the base classes.

Not here: what it minimises (objectives.py), and what is done with the backbone afterwards (fastslow.py).
"""

from collections.abc import Callable
from copy import deepcopy
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from experiments.config import ImageRun, Pretrain
from experiments.data.images import ImageTable
from experiments.data.sources import evaluation_sampler, open_table
from experiments.data.training import TrainingClasses
from experiments.descent import scheduled
from experiments.evaluate import accuracy_per_episode, backbone_embedding, class_means
from experiments.method import Method, Resources
from experiments.methods.objectives import COSINE_SCALE, build_objective
from experiments.methods.protonet import mean_logits
from experiments.models.average import follow
from experiments.models.conv4 import Conv4
from experiments.models.joint_norm import normalise_jointly
from experiments.models.precision import training_forward
from experiments.parallel import Leader, Together, distributed
from experiments.rng import generator
from experiments.team import Team

Classify = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def build(config: ImageRun, resources: Resources) -> Method:
    """Return the untrained method of a config; where several processes train, the first leads the others."""
    table, team = open_table(config.data, resources.data_dir), resources.team
    method = Pretraining(config, table, resources.device, team)
    return Leader(method, team) if team is not None and team.leads else method


class Pretraining:
    """Supervised training on C_base (paper section 4.2); measured by nearest class mean, cosine.

    `backbone` is what is measured and handed on; `network` is what is trained, the same unless averaged.
    """

    def __init__(
        self, config: ImageRun, table: ImageTable, device: torch.device, team: Team | None = None
    ) -> None:
        assert isinstance(config.method, Pretrain)
        self.team = team
        self.config = config.method
        self.seed = config.seed if self.config.seed is None else self.config.seed
        self.table = table
        self.device = device
        self.sampler = evaluation_sampler(table, config.evaluation)
        weights = generator(self.seed, "weights")
        self.network = Conv4(self.config.filters, weights, table.image_shape).to(device)
        copy = deepcopy(self.network).requires_grad_(False)
        if team is not None:
            team.require_images(self.config.images_a_step)
            normalise_jointly(self.network)
        self.forward = training_forward(self.network, self.config, device)
        self.backbone = copy if self.config.averaging else self.network
        splits = tuple(self.config.classes.split("+"))
        self.classes = TrainingClasses(table, splits, self.config.mirrored, self.config.jitter)
        self.objective = build_objective(self.config, self.classes, self.network.features, weights).to(device)
        self.optimizer = torch.optim.AdamW(
            [*self.network.parameters(), *self.objective.parameters()], weight_decay=self.config.weight_decay
        )

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take one optimiser step per batch of base images; return loss and accuracy per step."""
        losses, accuracies = zip(*(self._step(step) for step in range(start, start + count)), strict=True)
        return {"train/loss": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}

    def _step(self, step: int) -> tuple[Tensor, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = scheduled("one-cycle", self.config.lr, step, self.config.steps)
        source = generator(self.seed, "batch", step)
        classes, drawers = self.objective.draw(source)
        images = self.classes.images(classes, drawers, source)
        logits, truth = self.classify(images, classes)
        loss = cross_entropy(logits, truth)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.config.averaging:
            follow(self.backbone, self.network, self.config.averaging, step)
        return loss.detach(), (logits.detach().argmax(-1) == truth).double().mean()

    @cached_property
    def classify(self) -> Classify:
        """Images and classes of a step -> logits and truth: here, or by all processes of a team."""
        if self.team is not None:
            return distributed(Together(self.network, self.objective, self.forward, self.team))
        return lambda images, classes: self.objective(
            self.forward(images.to(self.device)), classes.to(self.device)
        )

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return the accuracy per episode of the nearest class mean by cosine, nothing adapted."""
        return {"accuracy": accuracy_per_episode(self, self.table, self.sampler, split, episodes)}

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (batch, d) of images (batch, *image), at length 1."""
        return normalize(backbone_embedding(self.backbone, self.device)(images), dim=-1)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Return logits (episodes, queries, n_way): how near each query is to each class mean."""
        return COSINE_SCALE / 2 * mean_logits(class_means(support, labels), query)

    def state_dict(self) -> dict[str, Any]:
        """Return the backbone, what trains it, and the optimiser."""
        return {
            "backbone": self.backbone.state_dict(),
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state_dict."""
        self.backbone.load_state_dict(state["backbone"])
        self.network.load_state_dict(state["network"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
