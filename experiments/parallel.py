"""One network trained by a team: each process embeds its slice of every batch, all get the loss.

Not here: the team (team.py), starting its processes (whoever runs an experiment does), and the step itself
(methods/pretrain.py).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from experiments.errors import ExperimentError
from experiments.method import Method
from experiments.team import Team, total


class _Sum(torch.autograd.Function):
    """The sum over all processes; what it is minimised for is summed over them too."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        return total(values)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


class Together(nn.Module):
    """A network and what it is trained for, as a team computes them: images and classes -> logits and truth.

    Every process calls it with the whole batch, embeds its share, and has all features to classify. So all
    have the same loss L(F), where a row of the features F depends on the weights of whoever embedded it.
    Backward sums dL/dF over the processes, size times what it is, and DistributedDataParallel takes the mean
    of the weights' gradients: what is left is the gradient of one process with the whole batch.
    """

    def __init__(
        self, network: nn.Module, objective: nn.Module, embed: Callable[[Tensor], Tensor], team: Team
    ) -> None:
        super().__init__()
        self.network, self.objective = network, objective
        self.embed = (embed,)  # a module by itself would be registered, and its weights twice
        self.team = team

    def forward(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (decisions, choices) and which choice is right (decisions,)."""
        share = self.team.share(len(images))
        mine = self.embed[0](images[share].to(self.team.device))
        features = mine.new_zeros(len(images), *mine.shape[1:])
        features[share] = mine
        answer: tuple[Tensor, Tensor] = self.objective(_Sum.apply(features), classes.to(self.team.device))
        return answer


def distributed(together: Together) -> DistributedDataParallel:
    """Return what a team calls instead, with gradients that are the same in all processes.

    All processes must come here: they begin with the leader's weights.
    """
    return DistributedDataParallel(together)


class Leader:
    """The leader's method, as the training loop sees it: what it is told, all processes do."""

    def __init__(self, method: Method, team: Team) -> None:
        self.method = method
        self.team = team

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Train with the others; the numbers are those of all images."""
        self.team.tell(("train", start, count))
        return self.method.train(start, count)

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Measure alone, while the others wait."""
        return self.method.evaluate(split, episodes)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, which all share."""
        return self.method.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Have all processes take over a state."""
        self.team.tell(("load", state))
        self.method.load_state_dict(state)


OVER = ("over",)
"""The order after which a run is over: whoever called the training loop gives it, however the loop ended."""


def follow(build: Callable[[], Method], team: Team) -> None:
    """Do what the leader does with the same method, until the run is over.

    Raises the error of a method that cannot be built, unless the leader could not build it either.
    """
    method, problem = None, None
    try:
        method = build()
    except ExperimentError as error:
        problem = error
    while (order := team.heard()) != OVER:
        if method is None:
            assert problem is not None
            raise problem
        if order[0] == "load":
            method.load_state_dict(order[1])
        else:
            method.train(*order[1:])
