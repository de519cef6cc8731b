"""The worker: claims jobs, has a runner process train them, renews the lease, and clears up after a crash.

Not here: training (runner.py). The worker itself never imports torch, so nothing a job does can take it down.
"""

import os
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf

from sqlalchemy import Engine

from experiments.errors import StorageUnavailable
from fsrun.checkpoint_files import CheckpointFiles, prepare
from fsrun.errors import FsrunError, UsageError
from fsrun.liveness import HEARTBEAT_SECONDS, Clock, Clocks, difference, is_gone
from fsrun.object_store import check
from fsrun.paths import Home
from fsrun.provenance import provenance
from fsrun.worker.outage import RETRY_SECONDS, Outage
from fsrun.worker.process import RunnerProcess
from store import queue, workers
from store.engine import check_schema
from store.errors import DatabaseUnavailable, LeaseLost
from store.queue import MAX_LEASE_SECONDS, Claim, Leases, LeaseWatch, cancel_requested

LEASE_SECONDS = 60.0
LOOK_SECONDS = 1.0  # between two looks at whether the user has asked to cancel
TICK_SECONDS = 0.2
ANSWER_SECONDS = 2.0  # between the end of a job in the database and the runner's word for it
IDLE_SECONDS = 1.0  # between two looks at an empty queue
MAX_FAILED_STARTS = 3  # in a row, before the worker gives up
MAX_FAULTS = 3  # jobs in a row that fail for a reason of the machine, before the worker claims no more
GRACE_SECONDS = 60.0  # a job asked to stop may finish its chunk and write a checkpoint for so long


def seconds_of(name: str, default: float, at_most: float = MAX_LEASE_SECONDS) -> float:
    """Return a time that the environment may set under this name; UsageError for one that cannot be."""
    text = os.environ.get(name) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= at_most:
        raise UsageError(
            f"{name} {text!r} is not a number of seconds above 0 and up to {at_most:.0f}: "
            f"write for example {name}={default:.0f}"
        )
    return seconds


def _say_nothing(_line: str) -> None:
    """Say nothing."""


def _nothing() -> None:
    """Do nothing, at every tick."""


@dataclass
class Supervisor:
    """One worker on one device; `work` calls `on_tick` several times a second, and `say` with its lines."""

    engine: Engine
    home: Home
    device: str
    processes: int = 1  # for a job that can use several
    on_tick: Callable[[], None] = _nothing
    say: Callable[[str], None] = _say_nothing
    clock: Callable[[], float] = time.time  # of this machine
    stopping: bool = False
    worker_id: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    lease_seconds: float = field(default_factory=partial(seconds_of, "FSRUN_LEASE_SECONDS", LEASE_SECONDS))
    grace_seconds: float = field(default_factory=partial(seconds_of, "FSRUN_GRACE_SECONDS", GRACE_SECONDS))
    leaves_after: float = inf  # seconds without a job to claim
    jobs: int = 0  # claimed so far
    _runner: RunnerProcess | None = None
    _beat_at: float = 0.0
    _looked_at: float = 0.0
    _failed_starts: int = 0
    _faults: dict[int, str] = field(default_factory=dict)  # run -> how the machine failed it, in a row
    _found_nothing: bool = True
    _idle_since: float | None = None
    _files: CheckpointFiles | None = None  # once they are prepared
    _lost: bool = False  # which has been said

    def __post_init__(self) -> None:
        self._outage = Outage(self.engine, self.say)
        self._now = Clock(self.engine, self.clock)
        self._clocks = Clocks(self._now)
        self._differing: set[str] = set()
        self._watch = LeaseWatch(self.lease_seconds, is_gone)

    def work(self, *, drain: bool = False, only: Collection[int] | None = None) -> None:
        """Execute jobs until `stop` is called, or until nothing is left to do if asked to drain.

        Returns as well once nothing could be claimed for `leaves_after` seconds.
        Waits, and says so, while the database cannot be used, or the home or the storage is gone. Raises
        DatabaseTooNew, FsrunError where no runner can be started or this machine fails job after job, and
        StorageUnavailable where checkpoints could not be kept from the beginning.
        """
        check(self.home.storage)
        try:
            self._outage.persist(self._register, lambda: self.stopping)
            while not self.stopping:
                try:
                    self._look_for_files()
                    if not self._take_turn(drain, only):
                        break
                    self._lost = False
                except DatabaseUnavailable:
                    self._wait(RETRY_SECONDS)
                except StorageUnavailable as error:
                    self._wait_for_files(error)
        finally:
            if self._runner is not None:
                self._runner.close(self.grace_seconds)
            with self._outage.borne():
                workers.stopped(self.engine, self.worker_id, self._now())
                self._outage.over(at_the_end=True)

    def stop(self) -> None:
        """Ask the worker to hand back its job at the next chunk and return from `work`."""
        self.stopping = True

    def stop_now(self) -> None:
        """End the runner at once; its job goes on from the last checkpoint another time."""
        self.stopping = True
        if self._runner is not None:
            self._runner.begin_to_kill()

    def _register(self) -> None:
        workers.register(
            self.engine,
            self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self.device,
            now=self._now(),
        )
        self._compare_clocks()

    def _look_for_files(self) -> None:
        """Raise StorageUnavailable where home or storage are not what this worker has found at its start."""
        if self._files is None:
            with self._outage.noted():
                self._files = prepare(self.engine, self.home, time.time())
        self._files.require()

    def _wait_for_files(self, error: StorageUnavailable) -> None:
        """Wait a moment for home or storage; say once that they are gone."""
        if not self._lost:
            self.say(f"{error}; going on when it is there again")
        self._lost = True
        self.engine.dispose()  # the database may have lain there, too
        self._wait(RETRY_SECONDS)

    def _take_turn(self, drain: bool, only: Collection[int] | None) -> bool:
        """Execute one job, or wait a moment for one; return whether there may be more to do."""
        with self._outage.noted():
            check_schema(self.engine)
            leases = self._leases()
            if drain and self._found_nothing and self._drained(only, leases):
                return False
        runner = self._ready_runner()
        if runner is None:
            return True
        with self._outage.noted():
            claim = self._claim(runner, only, leases)
        self._found_nothing = claim is None  # only then is the whole queue looked through
        if claim is not None:
            self._idle_since = None
            self.jobs += 1
            self._execute(runner, claim)
            return True
        self._idle_since = self._idle_since or time.monotonic()
        if time.monotonic() - self._idle_since >= self.leaves_after:
            return False
        self._wait(IDLE_SECONDS)
        return True

    def _leases(self) -> Leases | None:
        """Look at the leases of all workers; None where the clock, which they share, tells which are over."""
        if self._now.is_shared:
            return None
        return self._watch.look(self.engine, self._now(), time.monotonic())

    def _compare_clocks(self) -> None:
        """Say, once of each, which clocks differ from this machine's."""
        for name, ahead in self._clocks.look(self.engine).items():
            if name not in self._differing:
                self._differing.add(name)
                self.say(f"{difference(name, ahead)}.")

    def _claim(
        self, runner: RunnerProcess, only: Collection[int] | None, leases: Leases | None
    ) -> Claim | None:
        return queue.claim(
            self.engine,
            self.worker_id,
            now=self._now(),
            lease_seconds=self.lease_seconds,
            leases=leases,
            only=only,
            device=runner.device or self.device,
            provenance=provenance(),
        )

    def _drained(self, only: Collection[int] | None, leases: Leases | None) -> bool:
        """Say whether no job is left that this worker could still come to execute."""
        outlook = queue.outlook(self.engine, self._now(), only, leases)
        return outlook.claimable == 0 and outlook.waiting == 0

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.stopping:
            self._beat(None)
            self._tick()
            time.sleep(TICK_SECONDS)

    def _tick(self) -> None:
        with self._outage.borne():
            self.on_tick()

    def _execute(self, runner: RunnerProcess, claim: Claim) -> None:
        """Have the runner train one job, and watch it until it is over, lost or dead."""
        runner.order(claim)
        self._beat_at = 0.0
        asked_at: float | None = None
        while not runner.answered(TICK_SECONDS):
            self._tick()
            if not runner.alive():
                self._crashed(claim, runner.last_words())
                return
            try:
                cancel = self._beat(claim) or self._cancel_asked(claim)
            except LeaseLost:
                if not runner.answered(ANSWER_SECONDS):  # it may just have brought the job to its end
                    runner.kill()
                return
            if (cancel or self.stopping) and asked_at is None:
                runner.ask_to_stop(claim)
                asked_at = time.monotonic()
            if asked_at is not None and time.monotonic() - asked_at > self.grace_seconds:
                runner.kill()
                reason = f"the runner did not stop within {self.grace_seconds:.0f} s and was ended"
                self._crashed(claim, reason)
                return
        self._tick()
        self._blame(claim, runner.fault)

    def _blame(self, claim: Claim, fault: str | None) -> None:
        """Count different jobs in a row that failed for a reason of this machine; FsrunError at the last."""
        if fault is None:
            self._faults.clear()
            return
        self._faults[claim.run_id] = fault
        if len(self._faults) == MAX_FAULTS:
            runs = ", ".join(map(str, sorted(self._faults)))
            raise FsrunError(
                f"runs {runs} failed in a row for a reason of this machine ({fault}): it begins no more; "
                f"mend it, then fsrun retry {runs.replace(',', '')}"
            )

    def _ready_runner(self) -> RunnerProcess | None:
        """Return the runner of the job before, or a new one once it has said that it is ready.

        None a moment later while it still loads; FsrunError where it cannot start at all.
        """
        runner = self._runner
        if runner is None or not runner.alive():
            if runner is not None:
                runner.close(self.grace_seconds)
            runner = self._runner = RunnerProcess(self.home, self.worker_id, self.device, self.processes)
        if runner.device or self._becomes_ready(runner):
            self._failed_starts = 0
            return runner
        if not runner.alive():
            self._failed_starts += 1
            if self._failed_starts == MAX_FAILED_STARTS:
                raise FsrunError(f"no job can be run: {runner.last_words()}")
        self._beat(None)
        self._tick()
        return None

    def _becomes_ready(self, runner: RunnerProcess) -> bool:
        """Wait a moment for a runner to load; once it has, note what it computes on."""
        ready = runner.ready(TICK_SECONDS)
        if ready and runner.device:
            with self._outage.borne():
                workers.computes_on(self.engine, self.worker_id, runner.device)
        return ready

    def _beat(self, claim: Claim | None) -> bool:
        """Renew lease and heartbeat when it is time; return whether the user asked to cancel."""
        if time.monotonic() - self._beat_at < min(HEARTBEAT_SECONDS, self.lease_seconds / 4):
            return False
        cancel = False
        with self._outage.borne():
            now = self._now()
            workers.beat(self.engine, self.worker_id, now, claim.run_id if claim else None)
            if claim is not None:
                lease = self.lease_seconds
                cancel = queue.renew(self.engine, claim.run_id, claim.attempt, now=now, lease_seconds=lease)
            self._outage.over()
            self._leases()  # also while this worker is busy: it then knows what has stood still meanwhile
            self._compare_clocks()
        self._beat_at = time.monotonic()
        return cancel

    def _cancel_asked(self, claim: Claim) -> bool:
        """Look, about once a second, whether the user has asked to cancel the run."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return False
        asked = False
        with self._outage.borne():
            asked = cancel_requested(self.engine, claim.run_id)
        self._looked_at = time.monotonic()
        return asked

    def _crashed(self, claim: Claim, reason: str) -> None:
        """Record the crash; a runner that dies while the worker is being ended is not the job's fault."""
        job = (self.engine, claim.run_id, claim.attempt)

        def record() -> None:
            if self.stopping:
                queue.release(*job, now=self._now())
            else:
                queue.crashed(*job, reason, now=self._now())

        # Where the runner had already brought the job to its end there is nothing to record; where the worker
        # must end while the database is away, the lease runs out instead.
        with suppress(LeaseLost, DatabaseUnavailable):
            self._outage.persist(record, lambda: self.stopping)
