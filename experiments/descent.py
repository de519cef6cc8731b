"""One step of an optimiser down a loss, its gradient clipped."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


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
