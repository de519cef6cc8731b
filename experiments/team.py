"""The processes that train one network together: who they are, what they tell each other, what they add up.

Not here: starting them (whoever runs an experiment does), and what they do together (parallel.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from experiments.errors import ConfigError

PATIENCE = timedelta(days=365)
"""How long to wait for the others, which may have nothing to do; of one that dies the launcher takes care."""


@dataclass
class Team:
    """The processes that compute together; the first, rank 0, leads: it alone reports, saves and measures."""

    rank: int
    size: int
    device: torch.device
    orders: dist.ProcessGroup  # on the CPU, so that a GPU which waits for an order does not compute
    broken: bool = False  # an error struck in the middle of a step: the others wait for what will not come

    @property
    def leads(self) -> bool:
        """Say whether this is the process that the others follow."""
        return self.rank == 0

    def share(self, images: int) -> slice:
        """Return this process's part of so many images; parts differ by one at most."""
        return slice(images * self.rank // self.size, images * (self.rank + 1) // self.size)

    def tell(self, order: Any) -> None:
        """As the leader, tell all others what to do next."""
        dist.broadcast_object_list([order], src=0, group=self.orders)

    def heard(self) -> Any:
        """Wait for the leader's next order."""
        orders = [None]
        dist.broadcast_object_list(orders, src=0, group=self.orders)
        return orders[0]

    def require_images(self, count: int) -> None:
        """Raise ConfigError where a batch has too few images for each process to have one."""
        if count < self.size:
            raise ConfigError(
                f"a step has {count} images and there are {self.size} processes to share them: "
                f"use --gpus {count} at most, or larger batches"
            )


@contextmanager
def joined(rank: int, size: int, device: torch.device, meeting: Path) -> Iterator[Team]:
    """Be one of so many processes, which find each other by a file that only they know."""
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store = dist.FileStore(str(meeting), size)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        orders = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(orders, dist.ProcessGroup)
        yield Team(rank, size, device, orders)
    finally:
        dist.destroy_process_group()


def total(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without a gradient."""
    everything = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(everything)
    return everything
