"""How training runs a network: as it is, or faster, in bfloat16 and on a GPU compiled.

Not here: the network itself, and measuring it, which is always done in float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from experiments.config import Accelerated
from experiments.errors import ConfigError

Forward = Callable[..., Tensor]


def training_forward(network: nn.Module, config: Accelerated, device: torch.device) -> Forward:
    """Return what training calls instead of a network: the same inputs -> the same outputs, in float32.

    By default the network itself. It shares all weights and statistics with it, which stay float32. Raises
    ConfigError for compiled networks on the CPU, where they were slower.
    """
    forward: Forward = network
    if config.compile:
        if device.type != "cuda":
            raise ConfigError(f"compile=true is for a CUDA GPU and this is {device}: leave it out")
        forward = torch.compile(network)
    return forward if config.precision == "float32" else _in_bfloat16(forward, device)


def _in_bfloat16(forward: Forward, device: torch.device) -> Forward:
    """Return the same function in bfloat16: float32 in, float32 out."""

    def mixed(*inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            outputs = forward(*inputs)
        return outputs.float()

    return mixed
