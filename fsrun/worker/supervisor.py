"""The worker: claims jobs, has a runner process train them, renews the lease, and clears up after a crash.

Not here: training (runner.py). The worker itself never imports torch, so nothing a job does can take it down.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from sqlalchemy import Engine

from fsrun.errors import FsrunError, UsageError
from fsrun.paths import Home
from fsrun.provenance import provenance
from store import queue, workers
from store.errors import LeaseLost
from store.queue import Claim

LEASE_SECONDS = 60.0
HEARTBEAT_SECONDS = 5.0
TICK_SECONDS = 0.2
IDLE_SECONDS = 1.0  # between two looks at an empty queue
MAX_FAILED_STARTS = 3  # in a row, before the worker gives up
GRACE_SECONDS = 60.0  # a job asked to stop may finish its chunk and write a checkpoint for so long

# The C allocator keeps freed memory instead of giving it back after every batch: convolutions on the CPU
# run about 1.6 times as fast without the page faults.
RUNNER_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(10**9), "MALLOC_TRIM_THRESHOLD_": str(10**9)}


def seconds_of(name: str, default: float) -> float:
    """Return a time that the environment may set under this name; UsageError for no number above 0."""
    text = os.environ.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{name} {text!r} is not a number of seconds above 0: write for example {name}=60")
    return seconds


def _lease_seconds() -> float:
    return seconds_of("FSRUN_LEASE_SECONDS", LEASE_SECONDS)


def _nothing() -> None:
    """Do nothing, at every tick."""


@dataclass
class Supervisor:
    """One worker on one device; `on_tick` is called several times a second from `work`."""

    engine: Engine
    home: Home
    device: str
    on_tick: Callable[[], None] = _nothing
    stopping: bool = False
    worker_id: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    lease_seconds: float = field(default_factory=_lease_seconds)
    _runner: "RunnerProcess | None" = None
    _beat_at: float = 0.0
    _failed_starts: int = 0

    def work(self, *, drain: bool = False, only: Collection[int] | None = None) -> None:
        """Execute jobs until `stop` is called, or until nothing is left to do if asked to drain."""
        workers.register(
            self.engine,
            self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self.device,
            now=time.time(),
        )
        try:
            while not self.stopping:
                if drain and self._drained(only):
                    break
                runner = self._ready_runner()
                if runner is None:
                    continue
                claim = self._claim(runner, only)
                if claim is None:
                    self._idle()
                else:
                    self._execute(runner, claim)
        finally:
            if self._runner is not None:
                self._runner.close()
            workers.stopped(self.engine, self.worker_id, time.time())

    def stop(self) -> None:
        """Ask the worker to hand back its job at the next chunk and return from `work`."""
        self.stopping = True

    def stop_now(self) -> None:
        """End the runner at once; its job goes on from the last checkpoint another time."""
        self.stopping = True
        if self._runner is not None:
            self._runner.kill()

    def _claim(self, runner: "RunnerProcess", only: Collection[int] | None) -> Claim | None:
        return queue.claim(
            self.engine,
            self.worker_id,
            now=time.time(),
            lease_seconds=self.lease_seconds,
            only=only,
            device=runner.device or self.device,
            provenance=provenance(),
        )

    def _drained(self, only: Collection[int] | None) -> bool:
        """Say whether no job is left that this worker could still come to execute."""
        outlook = queue.outlook(self.engine, time.time(), only)
        return outlook.claimable == 0 and outlook.waiting == 0

    def _idle(self) -> None:
        until = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < until and not self.stopping:
            self._beat(None)
            self.on_tick()
            time.sleep(TICK_SECONDS)

    def _execute(self, runner: "RunnerProcess", claim: Claim) -> None:
        """Have the runner train one job, and watch it until it is over, lost or dead."""
        runner.order(claim)
        self._beat_at = 0.0
        asked_at: float | None = None
        while not runner.answered(TICK_SECONDS):
            self.on_tick()
            if not runner.alive():
                self._crashed(claim, runner.last_words())
                return
            try:
                cancel = self._beat(claim)
            except LeaseLost:
                runner.kill()
                return
            if (cancel or self.stopping) and asked_at is None:
                runner.ask_to_stop(claim)
                asked_at = time.monotonic()
            if asked_at is not None and time.monotonic() - asked_at > GRACE_SECONDS:
                runner.kill()
                self._crashed(claim, f"the runner did not stop within {GRACE_SECONDS:.0f} s and was ended")
                return
        self.on_tick()

    def _ready_runner(self) -> "RunnerProcess | None":
        """Return the runner of the job before, or a new one once it has said that it is ready.

        None a moment later while it still loads; FsrunError where it cannot start at all.
        """
        runner = self._runner
        if runner is None or not runner.alive():
            if runner is not None:
                runner.close()
            runner = self._runner = RunnerProcess(self.home, self.worker_id, self.device)
        if runner.device or runner.ready(TICK_SECONDS):
            self._failed_starts = 0
            return runner
        if not runner.alive():
            self._failed_starts += 1
            if self._failed_starts == MAX_FAILED_STARTS:
                raise FsrunError(f"no job can be run: {runner.last_words()}")
        self._beat(None)
        self.on_tick()
        return None

    def _beat(self, claim: Claim | None) -> bool:
        """Renew lease and heartbeat when it is time; return whether the user asked to cancel."""
        if time.monotonic() - self._beat_at < min(HEARTBEAT_SECONDS, self.lease_seconds / 4):
            return False
        now = time.time()
        workers.beat(self.engine, self.worker_id, now, claim.run_id if claim else None)
        self._beat_at = time.monotonic()
        if claim is None:
            return False
        return queue.renew(
            self.engine, claim.run_id, claim.attempt, now=now, lease_seconds=self.lease_seconds
        )

    def _crashed(self, claim: Claim, reason: str) -> None:
        """Record the crash; a runner that dies while the worker is being ended is not the job's fault."""
        try:
            if self.stopping:
                queue.release(self.engine, claim.run_id, claim.attempt, now=time.time())
            else:
                queue.crashed(self.engine, claim.run_id, claim.attempt, reason, now=time.time())
        except LeaseLost:
            return  # the runner had already brought the job to its end


class RunnerProcess:
    """The child that trains, kept warm between jobs because importing torch takes seconds."""

    def __init__(self, home: Home, worker_id: str, device: str) -> None:
        self.device: str | None = None  # what it really computes on, known once it is ready
        self.log = home.worker_log(worker_id)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fsrun.worker.runner", device],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                env=os.environ | RUNNER_ENVIRONMENT | {"FSRUN_HOME": str(home.root)},
                start_new_session=True,  # Ctrl-C reaches the worker alone, which then asks politely
            )

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout

    def ready(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds for the runner to say what it computes on."""
        ready, _, _ = select.select([self._pipes[1]], [], [], timeout)
        line = self._pipes[1].readline() if ready else ""
        if line:
            self.device = json.loads(line)["device"]
        return bool(line)

    def order(self, claim: Claim) -> None:
        """Tell the runner which job to execute; a runner that is already dead is noticed by `alive`."""
        self._say({"run_id": claim.run_id, "attempt": claim.attempt})

    def _say(self, words: dict[str, Any]) -> None:
        try:
            self._pipes[0].write(json.dumps(words) + "\n")
        except BrokenPipeError:
            self.process.wait()

    def answered(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds; return whether the job is over."""
        ready, _, _ = select.select([self._pipes[1]], [], [], timeout)
        return bool(ready) and bool(self._pipes[1].readline())

    def alive(self) -> bool:
        """Say whether the process still runs."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Return why the process died, in one line."""
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"the runner was ended by {name}{hint}: see {self.log}"
        return f"the runner exited with code {code}: see {self.log}"

    def ask_to_stop(self, claim: Claim) -> None:
        """Have this attempt of the job write a checkpoint and stop at the next chunk."""
        self._say({"stop": {"run_id": claim.run_id, "attempt": claim.attempt}})

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Let the process end by itself, or end it after the grace period."""
        with suppress(BrokenPipeError):  # what was said to a dead runner is still in the buffer
            self._pipes[0].close()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._pipes[1].close()
