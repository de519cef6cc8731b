"""The contract every method keeps, and how a config becomes one.

Not here: the methods themselves, and the loop that drives them (run.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from experiments.checkpoint import load_checkpoint
from experiments.config import RunConfig, config_hash, prerequisites, training_run
from experiments.own import with_code
from experiments.registry import METHODS
from experiments.team import Team


class Method(Protocol):
    """One row of Table 2, or the linear case study: how it trains, how it meets a new task."""

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Take steps start .. start+count-1; return metrics, (count,) per step or () for the whole chunk.

        The config's `phase_starts` lie at the start of a chunk.
        """

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return one value per numbered episode of each quantity; leaves the method unchanged."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that training changes: dicts, lists, numbers, strings and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state_dict, so that training goes on as if it had never stopped."""


@dataclass(frozen=True)
class Resources:
    """What a run needs besides its config: where the data lie, what computes, what it builds on."""

    data_dir: Path | None  # None where no image of a data set is needed
    device: torch.device
    parents: Mapping[str, Path] = field(default_factory=dict)  # config hash -> final checkpoint
    team: Team | None = None  # the processes to share the training with, where the method can


def pretrained_state(config: RunConfig, resources: Resources) -> dict[str, Any] | None:
    """Return the final state of the pre-training that a training starts from, None where it needs none.

    A method that another run has trained needs none either: `build` gives it all of that run's state.
    """
    if training_run(config) is not None:
        return None
    for parent in prerequisites(config):
        return load_checkpoint(resources.parents[config_hash(parent)])[1]
    return None


def build(config: RunConfig, resources: Resources) -> Method:
    """Return the method of a config: untrained, or trained by the run whose model is only measured.

    Raises DataError where its data are missing, CheckpointError where a run it starts from has left nothing.
    """
    config = with_code(config)
    code: Any = METHODS[config.method.name].load()
    method = cast(Method, code.build(config, resources))
    training = training_run(config)
    if training is not None:
        method.load_state_dict(load_checkpoint(resources.parents[config_hash(training)])[1])
    return method
