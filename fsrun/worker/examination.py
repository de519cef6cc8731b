"""What a node of a cluster has, and everything that is wrong with it for the command that asks.

Not here: reaching the node (ray_engine.py, slurm_engine.py), and showing what was found (fsrun.cli).
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import psutil

from experiments.machine import usable_cores
from fsrun.errors import FsrunError
from fsrun.liveness import CLOCK_SLACK
from fsrun.paths import PRIVATE, Home, find_home
from fsrun.provenance import provenance
from fsrun.worker.nodes import NETWORK_SECONDS, Fault, Order, faults, take_over
from fsrun.worker.probes import answered, unseen
from store.engine import schema_of
from store.errors import StoreError


@dataclass(frozen=True)
class Device:
    """What a machine computes on: cores this process may use, memory in bytes, and its GPUs by name."""

    cores: int
    memory: int
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examination:
    """What a node said of itself, by its clock (Unix seconds).

    `answered` names the places of the home in which it has left a file.
    """

    node: str
    host: str
    facts: Mapping[str, str]
    device: Device
    clock: float
    schema: str | None = None
    answered: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def examine(order: Order, node: str) -> Examination:
    """On a node: look at everything that a job of the command would need. Changes this process for good."""
    os.umask(PRIVATE)
    take_over(order.environment)
    found = []
    try:
        device = _device()
    except (ImportError, OSError, RuntimeError) as error:
        device = Device(usable_cores(), _memory())
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        found.append(Fault("versions", f"its torch cannot be used ({said}): install it again there"))
    examined = Examination(node, socket.gethostname(), provenance(), device, time.time())
    try:
        home = find_home()
    except FsrunError as error:
        return replace(examined, faults=(*found, Fault("home", str(error))))
    found += faults(order, home, node)
    return replace(
        examined,
        schema=_schema(home, found),
        answered=answered(home, order.fleet, node),
        faults=tuple(found),
    )


def looked_back(
    order: Order, home: Home, examined: Examination, asked_at: float, patience: float = NETWORK_SECONDS
) -> Examination:
    """In the command, which asked at that time: look for what the node wrote, and add what is wrong."""
    lines = unseen(home, order.fleet, examined.node, examined.answered, patience)
    found = [Fault("home", line) for line in lines]
    off = max(asked_at - examined.clock, examined.clock - time.time())
    if off > CLOCK_SLACK:
        found.append(
            Fault("clock", f"its clock is off by {off:.0f} s, and leases go by it: have NTP set the clocks")
        )
    return replace(examined, faults=(*examined.faults, *found))


def missing_gpus(examined: Examination, promised: float) -> Iterator[Fault]:
    """Yield what is wrong where a cluster lends more GPUs of a node than its torch sees."""
    seen = len(examined.device.gpus)
    if promised > seen:
        yield Fault(
            "device",
            f"the cluster lends {promised:g} GPUs of it, its torch sees {seen}: "
            "install a driver, and a torch that was built for it",
        )


def _device() -> Device:
    import torch  # seconds; in the process of a node that ends after this

    # An engine hides the GPUs from what asks for none; to be named they must be seen.
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        del os.environ["CUDA_VISIBLE_DEVICES"]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = tuple(torch.cuda.get_device_name(index) for index in range(count))
    return Device(usable_cores(), _memory(), gpus)


def _memory() -> int:
    return int(psutil.virtual_memory().total)


def _schema(home: Home, found: list[Fault]) -> str | None:
    """Return the revision of the database that this node opens, None where it opens none, or another's."""
    if any(fault.about == "database" for fault in found):
        return None
    try:
        return schema_of(home.database)
    except StoreError:
        return None
