"""Fast/slow learning of the two-layer linear network, one task after another, some seeds together.

Not here: the recursions themselves (fast.py, direct.py), and where they must end (theory.py).
"""

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.config import SyntheticRun
from experiments.errors import ConfigError, Diverged
from experiments.linear.direct import Array, DirectRecursion, LstmRecursion, Progress, Recursion, Update
from experiments.linear.measurement import (
    distances,
    fresh_tasks,
    of_progress,
    per_task,
    relative_errors,
    targets,
)
from experiments.method import Resources

BAND = (5, 50, 95)  # percentiles over seeds


def check_memory(config: SyntheticRun, available: int) -> None:
    """Raise ConfigError where a run needs more than the available bytes."""
    if config.memory > available:
        raise ConfigError(
            f"dimension {config.data.dimension} with {config.seeds} seeds needs about "
            f"{config.memory / 2**30:.1f} GiB of memory and {available / 2**30:.1f} GiB are free: "
            "lower dimension, batch_size or seeds"
        )


def recursion(config: SyntheticRun) -> Recursion:
    """Return what carries W_s from task to task."""
    if config.method.fast_learner == "lstm":
        return LstmRecursion(config)
    if config.draws_batches:
        return DirectRecursion(config)
    from experiments.linear.fast import FastRecursion  # loads the compiler

    return FastRecursion(config)


class LinearFastSlow:
    """W_s is kept for life and learns by SGD with rate delta; W_f starts at zero for every task."""

    def __init__(self, config: SyntheticRun) -> None:
        self.config = config
        self.recursion = recursion(config)
        self.targets = targets(config)

    @classmethod
    def build(cls, config: SyntheticRun, resources: Resources) -> "LinearFastSlow":
        """Return the untrained method of a config; it computes on the CPU, where tiny matrices are fastest.

        Raises ConfigError where the memory that is free does not hold it.
        """
        check_memory(config, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        return cls(config)

    def train(self, start: int, count: int) -> dict[str, Tensor]:
        """Meet `count` tasks; return L1/L0 over them, and what W_s is like at their end.

        Of several seeds the median, and the 5th and 95th percentile as name.low and name.high. Raises
        Diverged when a seed's losses are beyond all bounds, where the config lets one such point end the run.
        """
        progress = self.recursion.advance(start, count)
        if self.config.method.stop_on_nan_after == 1:
            self._check(progress)
        with np.errstate(all="ignore"):
            values = of_progress(self.recursion.weights(), progress, self.targets)
            return _over_seeds({f"train/{name}": value for name, value in values.items()})

    def _check(self, progress: Progress) -> None:
        bad = np.flatnonzero(progress.diverged >= 0)
        if not len(bad):
            return
        first = bad[progress.diverged[bad].argmin()]
        who = f" (seed {self.config.seed + first})" if self.config.seeds > 1 else ""
        method = self.config.method
        raise Diverged(
            f"diverged at task {progress.diverged[first] + 1}{who}: slow_lr {method.slow_lr:g} with fast_lr "
            f"{method.fast_lr:g} drives W_s beyond all bounds, lower one of them or initial_scale"
        )

    def evaluate(self, split: str, episodes: range) -> dict[str, Tensor]:
        """Return one value per task of the only seed, or one per seed: the mean over its own tasks.

        What W_s alone decides, such as its distance from the fixed point, is the same for every task.
        """
        with np.errstate(all="ignore"):
            weights = self.recursion.weights()
            fixed = distances(weights, self.targets) | relative_errors(weights, self.targets)
            seeds = [
                per_task(fresh_tasks(self.config, seed, split), w_s, self._update(index), episodes)
                for index, (seed, w_s) in enumerate(zip(self._seeds(), weights, strict=True))
            ]
        if len(seeds) > 1:
            values = {name: np.array([seed[name].mean() for seed in seeds]) for name in seeds[0]}
        else:
            values = seeds[0]
            fixed = {name: np.full(len(episodes), value) for name, value in fixed.items()}
        return {name: torch.from_numpy(value) for name, value in (values | fixed).items()}

    def _seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.seeds)

    def _update(self, index: int) -> Update:
        """Return the fast learner of a seed, for gradients (n, d) in numpy."""
        if isinstance(self.recursion, LstmRecursion):
            return self.recursion.update(index)
        return lambda gradient, _: (-self.config.method.fast_lr * gradient, None)

    def state_dict(self) -> dict[str, Any]:
        """Return all that learning changes; W_f is never kept."""
        return self.recursion.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state_dict."""
        self.recursion.load_state_dict(state)


def _over_seeds(values: dict[str, Array]) -> dict[str, Tensor]:
    """Return values (seeds,) as they are for one seed, else by name their median and the band's two ends."""
    stacked = np.stack(list(values.values()))
    if stacked.shape[1] == 1:
        return {name: torch.tensor(value[0]) for name, value in values.items()}
    low, middle, high = np.percentile(stacked, BAND, axis=1)
    found: dict[str, Tensor] = {}
    for place, name in enumerate(values):
        parts = ("", middle), (".low", low), (".high", high)
        found |= {name + ending: torch.tensor(part[place]) for ending, part in parts}
    return found
