"""The slow update of theta': by descent, or, an ablation, by the fast learner's own rule.

Not here: the loss it descends (fastslow.py).
"""

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from experiments.config import FastSlow


class SlowLearner(Protocol):
    """Changes theta' by the gradient of a loss; theta' is never reset."""

    def begin(self, task: int) -> None:
        """Note that a task begins."""

    def step(self, loss: Tensor) -> None:
        """Take one step down the loss."""

    def state_dict(self) -> dict[str, Any]:
        """Return what must survive between two tasks."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state_dict."""


class SlowDescent:
    """theta'_{j+1} = theta'_j - delta dL/dtheta' by SGD, or Adam's step of rate delta.

    delta is constant or falls to zero over the tasks.
    """

    def __init__(self, config: FastSlow, network: nn.Module) -> None:
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
    """theta'_{j+1} = theta'_j + g(dL/dtheta', phi): the fast learner itself, its state anew for each task."""

    def __init__(self, network: nn.Module, g: nn.Module) -> None:
        self.weights = list(network.parameters())
        self.g = g
        self.state: Any = None

    def begin(self, task: int) -> None:
        """Forget g's state of the task before."""
        self.state = None

    def step(self, loss: Tensor) -> None:
        """Take one step of g in every coordinate of theta'."""
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            update, self.state = self.g(flat, self.state)
            for weight, part in zip(
                self.weights, update.split([weight.numel() for weight in self.weights]), strict=True
            ):
                weight.add_(part.view_as(weight))

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: g's state does not outlive a task."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over nothing."""


def build_slow_learner(config: FastSlow, network: nn.Module, g: nn.Module) -> SlowLearner:
    """Return the learner of theta' a config names."""
    return SharedLearner(network, g) if config.slow_learner == "shared" else SlowDescent(config, network)
