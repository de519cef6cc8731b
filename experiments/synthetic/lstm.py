"""The linear case study with a learned fast learner: a coordinate-wise LSTM trained along with W_s.

Not here: the LSTM itself (learners/coordinate_lstm.py).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.config import LinearFastSlowConfig, SyntheticRun
from experiments.learners.coordinate_lstm import CoordinateLstm
from experiments.rng import generator
from experiments.synthetic.direct import DirectRecursion
from experiments.synthetic.measurement import Update
from experiments.synthetic.recursion import Array, Progress


class LstmRecursion:
    """Each seed has a g of its own, so seeds learn one after another."""

    def __init__(self, config: SyntheticRun) -> None:
        self.seeds = [
            _LstmSeed(config.model_copy(update={"seed": config.seed + index, "seeds": 1}))
            for index in range(config.seeds)
        ]

    def weights(self) -> Array:
        """Return W_s, (seeds, modules, d, d)."""
        return np.concatenate([seed.direct.weights() for seed in self.seeds])

    def advance(self, start: int, count: int) -> Progress:
        """Meet the tasks start .. start + count - 1."""
        parts = [seed.direct.advance(start, count) for seed in self.seeds]
        names = ("after", "before", "diverged", "components", "w_bar", "y_x")
        return Progress(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def update(self, index: int) -> Update:
        """Return g of a seed as it is now, for gradients (n, d) in numpy."""
        g = self.seeds[index].g

        def update(gradient: Array, state: Any) -> tuple[Array, Any]:
            with torch.no_grad():
                change, following = g(torch.from_numpy(gradient), state)
            return change.numpy(), following

        return update

    def state_dict(self) -> dict[str, Any]:
        """Return W_s, g and Adam of every seed."""
        return {"seeds": [seed.state_dict() for seed in self.seeds]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over W_s, g and Adam of every seed."""
        for seed, saved in zip(self.seeds, state["seeds"], strict=True):
            seed.load_state_dict(saved)


class _LstmSeed:
    """One seed: after every task, g follows the gradient of the sum of its slow steps' losses (Table 1)."""

    def __init__(self, config: SyntheticRun) -> None:
        method = config.method
        self.g = new_learner(method, generator(config.seed, "learner"))
        self.adam = torch.optim.Adam(self.g.parameters(), lr=method.meta_lr)
        self.direct = DirectRecursion(config, self.g, self._meta_step)

    def _meta_step(self, residuals: list[Tensor]) -> None:
        loss = torch.stack([residual.square().mean() / 2 for residual in residuals]).sum()
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.g.parameters(), 1.0)
        self.adam.step()

    def state_dict(self) -> dict[str, Any]:
        return {
            "direct": self.direct.state_dict(),
            "learner": self.g.state_dict(),
            "adam": self.adam.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.direct.load_state_dict(state["direct"])
        self.g.load_state_dict(state["learner"])
        self.adam.load_state_dict(state["adam"])


def new_learner(method: LinearFastSlowConfig, source: torch.Generator) -> CoordinateLstm:
    """Return an untrained g in double precision; its first updates are those of SGD with rate fast_lr."""
    return CoordinateLstm(
        method.hidden_size, method.layers, method.output_scale, method.fast_lr, source
    ).double()
