"""One place on a node where an engine lets us work: checks the node, then is a worker until nothing is left.

Not here: which engine it is, and when there are how many slots (fsrun.worker.fleet).
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from experiments.errors import StorageUnavailable
from fsrun.errors import FsrunError
from fsrun.paths import PRIVATE, Home, find_home
from fsrun.worker.nodes import Order, fault, take_over
from fsrun.worker.supervisor import LOOK_SECONDS, Supervisor
from fsrun.writing import append_line
from store import workers
from store.engine import open_store
from store.errors import StoreError

LINGER_SECONDS = 5.0
"""How long a slot keeps its warm runner while there is nothing to claim."""


@dataclass(frozen=True)
class Report:
    """What became of a slot: how many jobs it claimed, and in one line what hindered it, if anything did."""

    node: str
    jobs: int = 0
    fault: str | None = None


@dataclass
class Slot:
    """One worker of a fleet; `work` is called on the node, `stop` by whatever ends the slot early."""

    order: Order
    name: str
    _supervisor: Supervisor | None = field(default=None, repr=False)
    _stopping: bool = False

    def work(self) -> Report:
        """Execute jobs until nothing is left, the fleet is ordered to stop, or `stop` is called."""
        os.umask(PRIVATE)
        take_over(self.order.environment)
        node, home = socket.gethostname(), find_home()
        found = fault(self.order, home)
        if found is not None:
            return Report(node, fault=found)
        engine = open_store(home.database, create=False)
        try:
            supervisor = self._supervisor = self._worker(engine, home, node)
            if self._stopping:
                supervisor.stop()
            supervisor.work()
        except (FsrunError, StoreError, StorageUnavailable) as error:
            return Report(node, fault=str(error))
        finally:
            engine.dispose()
        return Report(node, supervisor.jobs)

    def stop(self) -> None:
        """Hand back the job after a checkpoint, and return from `work`."""
        self._stopping = True
        if self._supervisor is not None:
            self._supervisor.stop()

    def _worker(self, engine: Engine, home: Home, node: str) -> Supervisor:
        worker_id = workers.worker_name(node, self.name)
        supervisor = Supervisor(
            engine,
            home,
            self.order.device,
            worker_id=worker_id,
            leaves_after=LINGER_SECONDS,
            say=lambda line: append_line(home.supervisor_log(worker_id), line),  # a node has no terminal
        )
        supervisor.on_tick = _stops_with_its_fleet(engine, self.order.fleet, supervisor)
        return supervisor


def _stops_with_its_fleet(engine: Engine, fleet: str, supervisor: Supervisor) -> Callable[[], None]:
    """Return what looks about once a second whether the slots of the fleet are to stop."""
    looked_at = 0.0

    def look() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at < LOOK_SECONDS:
            return
        looked_at = time.monotonic()
        if workers.is_to_stop(engine, fleet):
            supervisor.stop()

    return look
