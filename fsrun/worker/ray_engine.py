"""Slots as Ray tasks: asked for with their processors and GPUs, on nodes that have passed the check.

Not here: when slots are wanted (fleet.py), and what they do (slot.py). The only file that knows Ray.
"""

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsrun.errors import FsrunError, UsageError
from fsrun.worker.examination import Examination, examine, missing_gpus
from fsrun.worker.fleet import Ended
from fsrun.worker.nodes import Order
from fsrun.worker.slot import Report, Slot
from store.jobs import telling_line

CONNECT_SECONDS = 5.0
_START_ONE = "start one with `ray start --head`, or give --address HOST:PORT"


@dataclass(frozen=True)
class Share:
    """What one slot takes of a node."""

    cpus: float
    gpus: float

    def times(self, resources: dict[str, float]) -> int:
        """Return how many slots a node with these resources can hold."""
        counts = [
            int(resources.get(kind, 0.0) / each + 1e-9)
            for kind, each in (("CPU", self.cpus), ("GPU", self.gpus))
            if each
        ]
        return min(counts)


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Be a driver of the cluster at an address, or of the one that was started here for `auto`.

    Raises UsageError and FsrunError.
    """
    ray = _ray()
    place = _place(address)
    try:
        # What its daemons say last when a node is lost fills a screen; the fleet says it in a line.
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
        # Ray has every node import from the driver's current folder first, whatever of the user's is in it.
        with tempfile.TemporaryDirectory() as nothing, chdir(nothing):
            ray.init(address=place, log_to_driver=False, logging_level="ERROR", namespace="fsrun")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise FsrunError(
            f"cannot join the Ray cluster at {place} ({_line(error)}): type the command on one of its nodes, "
            "with the same Python and the same ray"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


class RayFleet:
    """The slots of one command on a Ray cluster that it has joined."""

    def __init__(self, order: Order, share: Share) -> None:
        self._ray = _ray()
        self.name = order.fleet
        self.share = share
        self._order = replace(order, environment=dict(order.environment))
        self._slots: dict[Any, str] = {}
        self._avoided: set[str] = set()
        self._task = self._ray.remote(max_retries=0, scheduling_strategy="SPREAD")(_work)

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes that live and have not failed the check, as Ray describes them."""
        return [node for node in self._ray.nodes() if node["Alive"] and node["NodeID"] not in self._avoided]

    def room(self) -> int:
        """Return how many slots the nodes can hold, those in flight included."""
        return sum(self.share.times(node["Resources"]) for node in self.nodes())

    def in_flight(self) -> Collection[str]:
        """Return the slots that were started and have not been told as ended."""
        return list(self._slots.values())

    def start(self, slots: Collection[str]) -> None:
        """Ask Ray for these slots, on any node but those that failed the check."""
        wanted: dict[str, Any] = {"num_cpus": self.share.cpus, "num_gpus": self.share.gpus}
        if self._avoided:
            wanted["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._avoided))})"}
        for slot in slots:
            self._slots[self._task.options(name=slot, **wanted).remote(self._order, slot)] = slot

    def ended(self) -> list[Ended]:
        """Return the slots that ended since the last call."""
        if not self._slots:
            return []
        ready, _ = self._ray.wait(list(self._slots), num_returns=len(self._slots), timeout=0)
        return [self._end_of(task) for task in ready]

    def withdraw(self, slots: Collection[str]) -> None:
        """Take back what was asked for and has not begun."""
        for task, slot in self._slots.items():
            if slot in slots:
                self._ray.cancel(task)

    def kill(self) -> None:
        """End all slots at once."""
        for task in self._slots:
            self._ray.cancel(task, force=True)

    def _end_of(self, task: Any) -> Ended:
        slot, errors = self._slots.pop(task), self._ray.exceptions
        try:
            node_id, report = self._ray.get(task)
        except errors.TaskCancelledError:
            return Ended(slot)
        except errors.RayTaskError as error:
            node = next((node for node in self.nodes() if node["NodeManagerAddress"] == error.ip), None)
            if node is not None:
                self._avoided.add(node["NodeID"])
            return Ended(slot, Report(error.ip, fault=_unloadable(error)))
        except errors.RayError as error:
            return Ended(slot, died=_line(error))
        if report.fault is not None:
            self._avoided.add(node_id)
        return Ended(slot, report)


def check_share(fleet: RayFleet) -> None:
    """Raise FsrunError where not even one slot fits on any node."""
    if fleet.room() == 0:
        most = {
            kind: max((node["Resources"].get(kind, 0.0) for node in fleet.nodes()), default=0.0)
            for kind in ("CPU", "GPU")
        }
        raise FsrunError(
            f"no node of the cluster has {fleet.share.cpus:g} CPUs and {fleet.share.gpus:g} GPUs for a job: "
            f"the most are {most['CPU']:g} and {most['GPU']:g}; ask for less (--cpus-per-job, --gpus-per-job)"
        )


def gpus_there_are() -> bool:
    """Say whether a node of the cluster has a GPU."""
    return any(node["Alive"] and node["Resources"].get("GPU") for node in _ray().nodes())


def examinations(order: Order, patience: float) -> dict[str, Examination | str]:
    """Return what each living node says of itself, by its name, or in one line why it says nothing.

    Waits at most `patience` seconds; a node that is busy answers too.
    """
    ray = _ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # max_calls: the process that saw the GPUs, and loaded torch, ends with its answer.
    task = ray.remote(max_retries=0, max_calls=1, num_cpus=0)(examine)
    nodes = _by_name([node for node in ray.nodes() if node["Alive"]])
    plain = replace(order, environment=dict(order.environment))
    asked = {
        name: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(plain, name)
        for name, node in nodes.items()
    }
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=patience)
    silent = f"it did not answer within {patience:.0f} s: see ray status"
    return {
        name: _examination(task, nodes[name]["Resources"].get("GPU", 0.0)) if task in ready else silent
        for name, task in asked.items()
    }


def _examination(task: Any, gpus: float) -> Examination | str:
    ray = _ray()
    try:
        examined: Examination = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        return _unloadable(error)
    except ray.exceptions.RayError as error:
        return f"it was lost while it was asked ({_line(error)}): see ray status"
    return replace(examined, faults=(*examined.faults, *missing_gpus(examined, gpus)))


def _by_name(nodes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the nodes by their machines, with the start of Ray's id where several are on one."""
    hosts = Counter(node["NodeManagerHostname"] for node in nodes)
    return {
        host if hosts[host] == 1 else f"{host}/{node['NodeID'][:6]}": node
        for node in nodes
        for host in [node["NodeManagerHostname"]]
    }


def _work(order: Order, slot: str) -> tuple[str, Report]:
    """Be a slot; return with its report on which node it was."""
    node_id: str = _ray().get_runtime_context().get_node_id()
    return node_id, Slot(order, slot).work()


def _ray() -> Any:
    try:
        import ray  # an extra
    except ImportError as error:
        raise UsageError("ray is not installed: pip install 'fsrun[ray]'") from error
    return ray


def _place(address: str) -> str:
    """Return host and port of the cluster; raises FsrunError where nobody answers there.

    Asked before Ray is, which would try for minutes.
    """
    place = _started_here() if address == "auto" else address
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or "://" in place:
        raise UsageError(
            f"--address {place!r} is not HOST:PORT of a Ray cluster, for example 10.0.0.1:6379, or auto"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise FsrunError(f"no Ray cluster answers at {place} ({_line(error)}): {_START_ONE}") from error
    return place


def _started_here() -> str:
    """Return the address of the cluster that RAY_ADDRESS names, or that was last started on this machine."""
    kept = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    named = os.environ.get("RAY_ADDRESS", "")
    try:
        place = named if named not in ("", "auto") else kept.read_text().strip()
    except OSError:
        place = ""
    if not place:
        raise FsrunError(f"no Ray cluster was started on this machine: {_START_ONE}")
    return place


def _unloadable(error: Any) -> str:
    """Return what a task raised that could not even begin to be a slot."""
    return f"a slot cannot be run there ({_line(error)}): install the same fsrun on every node"


def _line(error: BaseException) -> str:
    """Return the first sentence of what Ray says, or the last line of a traceback that it passes on."""
    line = telling_line(str(error).replace("\x1b[36m", "").replace("\x1b[39m", ""))
    return line.split(". ")[0].rstrip(".") if line else type(error).__name__
