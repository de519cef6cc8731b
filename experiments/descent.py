"""One step of an optimiser down a loss: its rate by schedule, and the clipping of its gradient.

Not here: the losses, and learners that are themselves learned (learners/).
"""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

Schedule = Literal["constant", "cosine", "one-cycle"]


def scheduled(schedule: Schedule, peak: float, step: int, steps: int) -> float:
    """Return the learning rate of a step.

    constant: the peak throughout; cosine: down to 0 by a cosine; one-cycle: the same after a quarter of the
    steps in which it rises.
    """
    if schedule == "constant":
        return peak
    warm = max(1, steps // 4) if schedule == "one-cycle" else 0
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def descend(
    loss: Tensor,
    parameters: Iterable[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    *,
    lr: float,
    clip: float = math.inf,
) -> None:
    """Take one optimiser step at rate lr, the norm of the whole gradient cut to `clip`."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if clip < math.inf:
        nn.utils.clip_grad_norm_(list(parameters), clip)
    optimizer.step()
