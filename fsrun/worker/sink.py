"""From what a run reports to rows in the store: buffered, one transaction about twice a second.

Not here: the training loop, and who owns the job (the lease is checked by the store at every write).
While the database cannot be used training goes on, as far as the buffer and the next checkpoint.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Engine

from fsrun.worker.outage import Outage
from store import checkpoints, metrics
from store.errors import LeaseLost
from store.metrics import Point

FLUSH_SECONDS = 0.5
RATE_MEMORY_SECONDS = 20.0  # the step rate shown is an average over about this long
KEPT_CHECKPOINTS = 2  # the newest, and one to fall back to
MAX_BUFFERED = 200_000  # points kept while the database is away; then training waits for it
RETRY_SECONDS = 5.0  # between two tries to write what is buffered while training goes on


def sha256_of(path: Path) -> str:
    """Return the digest of a checkpoint file, by which damage is noticed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class StoreSink:
    """An EventSink that writes to the store as one attempt of a run.

    Raises LeaseLost once the job has a new owner, and DatabaseUnavailable where the database cannot be used
    and `gives_up` says not to wait for it.
    """

    def __init__(
        self, engine: Engine, run_id: int, attempt: int, outage: Outage, gives_up: Callable[[], bool]
    ) -> None:
        self.engine = engine
        self.outage = outage
        self.gives_up = gives_up
        self.run_id = run_id
        self.attempt = attempt
        self.buffer: list[Point] = []
        self.step = 0
        self.rate: float | None = None
        self.flushed_at = self.stepped_at = time.monotonic()

    def started(self, step: int) -> None:
        """Forget what an earlier attempt reported beyond the checkpoint this one starts from."""
        self.outage.persist(
            lambda: metrics.rewind(self.engine, self.run_id, self.attempt, step), self.gives_up
        )
        self.step = step
        self.stepped_at = time.monotonic()

    def metrics(self, steps: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
        """Buffer the points, and write them out if the last time is long enough ago."""
        now = time.time()
        for name, numbers in values.items():
            self.buffer += [Point(name, step, value, now) for step, value in zip(steps, numbers, strict=True)]
        self._measure_rate(steps[-1])
        if len(self.buffer) > MAX_BUFFERED:
            self.flush()
        elif time.monotonic() - self.flushed_at > (RETRY_SECONDS if self.outage.began else FLUSH_SECONDS):
            self.flushed_at = time.monotonic()
            with self.outage.borne():
                self._write()

    def checkpoint(self, step: int, path: Path) -> None:
        """Write out all points up to the checkpoint, then note it and drop older ones."""
        self._measure_rate(step)
        digest = sha256_of(path)
        try:
            self.flush()
            unneeded = self.outage.persist(lambda: self._note_checkpoint(step, path, digest), self.gives_up)
        except LeaseLost:
            path.unlink(missing_ok=True)  # nobody will ever know of it
            raise
        for old in unneeded:
            old.unlink(missing_ok=True)

    def flush(self) -> None:
        """Write the buffered points, and wait for the database where it cannot be used."""
        self.outage.persist(self._write, self.gives_up)

    def _write(self) -> None:
        """Write the buffered points in one transaction."""
        metrics.write_points(
            self.engine,
            self.run_id,
            self.attempt,
            self.buffer,
            step=self.step,
            rate=self.rate,
            now=time.time(),
        )
        self.outage.over()
        self.buffer = []
        self.flushed_at = time.monotonic()

    def _note_checkpoint(self, step: int, path: Path, digest: str) -> tuple[Path, ...]:
        job = (self.engine, self.run_id, self.attempt)
        checkpoints.add(*job, step=step, path=path, sha256=digest, now=time.time())
        return checkpoints.prune(*job, keep=KEPT_CHECKPOINTS)

    def _measure_rate(self, step: int) -> None:
        """Keep a running average of steps per second that forgets the distant past."""
        if step <= self.step:
            return
        elapsed = max(time.monotonic() - self.stepped_at, 1e-9)
        newest = (step - self.step) / elapsed
        weight = min(1.0, elapsed / RATE_MEMORY_SECONDS)
        self.rate = newest if self.rate is None else (1 - weight) * self.rate + weight * newest
        self.step, self.stepped_at = step, time.monotonic()
