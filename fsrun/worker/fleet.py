"""The command that has an engine's machines work: keeps as many slots there as there are jobs to claim.

Not here: any engine (ray_engine.py, slurm_engine.py), and what a slot does (slot.py). The queue stays the
store's: nothing here hands out a job.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Engine

from fsrun.errors import FsrunError
from fsrun.liveness import Clock, is_gone
from fsrun.worker.outage import Outage
from fsrun.worker.slot import Report
from fsrun.worker.supervisor import GRACE_SECONDS, LEASE_SECONDS, TICK_SECONDS, seconds_of
from store import queue, workers
from store.engine import reading
from store.queue import LeaseWatch

LOOK_SECONDS = 1.0  # between two looks at the queue
STOP_SECONDS = 60.0  # beyond the grace period, until slots ordered to stop must have ended
MAX_FAILURES = 3  # slots that ended without a job, for each slot there is room for, before giving up


@dataclass(frozen=True)
class Ended:
    """A slot that is over: with its report, the reason it died before it could, or neither: withdrawn."""

    slot: str
    report: Report | None = None
    died: str | None = None


class Fleet(Protocol):
    """The slots of one engine; each call returns at once."""

    name: str

    def room(self) -> int:
        """Return how many slots the machines can hold, those in flight included."""

    def in_flight(self) -> Collection[str]:
        """Return the slots that were started and have not been told as ended."""

    def start(self, slots: Collection[str]) -> None:
        """Ask the engine for these slots."""

    def ended(self) -> list[Ended]:
        """Return the slots that ended since the last call."""

    def withdraw(self, slots: Collection[str]) -> None:
        """Take back what was asked for and has not begun."""

    def kill(self) -> None:
        """End all slots at once."""


@dataclass
class Coordinator:
    """Starts slots while there is work, says what becomes of them, and hands everything back at the end."""

    engine: Engine
    fleet: Fleet
    most: int | None = None
    say: Callable[[str], None] = print
    on_tick: Callable[[], None] = lambda: None
    on_lost: Callable[[str], None] = lambda _: None
    stopping: bool = False
    _hurrying: bool = False
    _started: int = 0
    _failures: int = 0
    _faults: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._outage = Outage(self.engine, self.say)
        self._now = Clock(self.engine)
        self._watch = LeaseWatch(seconds_of("FSRUN_LEASE_SECONDS", LEASE_SECONDS), is_gone)

    def work(self, *, drain: bool = False) -> None:
        """Keep slots at work until `stop` is called, or until nothing is left to do if asked to drain.

        Raises FsrunError where no machine can do any of it.
        """
        try:
            while not self.stopping:
                self._hear()
                with self._outage.borne():
                    if not self._keep_busy(drain):
                        break
                    self._outage.over()
                self._wait(LOOK_SECONDS)
        finally:
            self._end()

    def stop(self) -> None:
        """Have all slots hand back their jobs after a checkpoint, and return from `work`."""
        self.stopping = True

    def stop_now(self) -> None:
        """End all slots at once; their jobs go on from the last checkpoint another time."""
        self.stopping = self._hurrying = True

    def _keep_busy(self, drain: bool) -> bool:
        """Start slots for what can be claimed; return whether there may be more to do."""
        with reading(self.engine):
            leases = None
            if not self._now.is_shared:
                leases = self._watch.look(self.engine, self._now(), time.monotonic())
            outlook = queue.outlook(self.engine, self._now(), leases=leases)
            now = workers.holding(self.engine, self.fleet.name)
        flying = self.fleet.in_flight()
        if drain and not (outlook.claimable or outlook.waiting or now.held):
            return False
        room = self.fleet.room()
        self._give_up_where_hopeless(room, flying, now.held)
        most = room if self.most is None else min(self.most, room)
        free = len(set(flying) - now.held)
        wanted = 0 if now.paused else min(outlook.claimable - free, most - len(flying))
        if wanted > 0:
            slots = [f"{self.fleet.name}-{self._started + each}" for each in range(wanted)]
            self._started += wanted
            self.fleet.start(slots)
        return True

    def _give_up_where_hopeless(self, room: int, flying: Collection[str], held: Collection[str]) -> None:
        if not self._faults or held:
            return
        if (room == 0 and not flying) or self._failures >= MAX_FAILURES * max(room, 1):
            raise FsrunError(f"no machine could begin a job; the last one said: {list(self._faults)[-1]}")

    def _hear(self) -> None:
        """Say what became of slots, and free the jobs of those that died."""
        for each in self.fleet.ended():
            if each.report is None:
                self._bury(each.slot, each.died)
            elif each.report.fault is not None:
                self._complain(f"node {each.report.node}: {each.report.fault}")
            else:
                self._failures = 0

    def _complain(self, fault: str) -> None:
        self._failures += 1
        self._faults[fault] += 1
        if self._faults[fault] == 1:  # the same from every slot of a node
            self.say(fault)

    def _bury(self, slot: str, died: str | None) -> None:
        """Free what the slot held: also one that was withdrawn may have begun in that moment."""
        reason = died or "it was withdrawn"
        freed = self._outage.persist(
            lambda: workers.died(self.engine, slot, reason, self._now()), lambda: self.stopping
        )
        if freed:
            named = ", ".join(f"run {run_id}" for run_id in freed)
            line = f"Slot {slot} died ({reason}); {named} goes on from its last checkpoint elsewhere."
            self.say(line)
            self.on_lost(line)
        elif died is not None:
            self._complain(f"Slot {slot} died without a job ({reason}).")

    def _end(self) -> None:
        """Have the slots hand back what they hold, and end those that do not in time."""
        if not self.fleet.in_flight():
            return
        deadline = time.monotonic() + seconds_of("FSRUN_GRACE_SECONDS", GRACE_SECONDS) + STOP_SECONDS
        with self._outage.borne():
            workers.order_to_stop(self.engine, self.fleet.name, self._now())
        while self.fleet.in_flight() and not self._hurrying and time.monotonic() < deadline:
            with self._outage.borne():
                begun = workers.holding(self.engine, self.fleet.name).begun
                self.fleet.withdraw(set(self.fleet.in_flight()) - begun)
                self._hear()
            self._wait(LOOK_SECONDS, until_told=False)
        left = list(self.fleet.in_flight())
        if left:
            self.fleet.kill()
        with self._outage.borne():
            for slot in left:
                workers.died(self.engine, slot, "it was ended with its command", self._now())
            workers.forget(self.engine, self.fleet.name)

    def _wait(self, seconds: float, *, until_told: bool = True) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._hurrying and not (until_told and self.stopping):
            with self._outage.borne():
                self.on_tick()
            time.sleep(TICK_SECONDS)
