"""Averaged weights: a slower copy of a network, which is what gets measured and handed on.

Not here: the training that moves the network itself.
"""

import torch
from torch import nn

START_UP = 10  # steps over which the average forgets where training began


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network: average = decay average + (1 - decay) network.

    Weights and running statistics alike; decay is smaller during the first steps, 0-based.
    """
    decay = min(decay, (step + 1) / (step + START_UP))
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    real = [(slow, fast) for slow, fast in pairs if slow.is_floating_point()]
    torch._foreach_lerp_([slow for slow, _ in real], [fast for _, fast in real], 1 - decay)
    for slow, fast in pairs:
        if not slow.is_floating_point():
            slow.copy_(fast)
