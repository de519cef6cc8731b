"""From what a run reports to rows in the store: buffered, one transaction about twice a second.

Not here: the training loop, and who owns the job (the lease is checked by the store at every write).
A thread beside the training writes the transactions, so that logging costs the training loop an append.
While the database cannot be used training goes on, as far as the buffer and the next checkpoint.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from fsrun.worker.outage import Outage
from store import checkpoints, metrics
from store.errors import DatabaseUnavailable, LeaseLost
from store.metrics import Point

FLUSH_SECONDS = 0.5
RATE_MEMORY_SECONDS = 20.0  # the step rate shown is an average over about this long
KEPT_CHECKPOINTS = 2  # the newest, and one to fall back to
MAX_BUFFERED = 200_000  # points kept while the database is away; then training waits for it
RETRY_SECONDS = 5.0  # between two tries to write what is buffered while training goes on


def sha256_of(path: Path) -> str:
    """Return the digest of a checkpoint file, by which damage is noticed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class _Report:
    """Values of one metric as they were reported, made into points only when they are written."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    time: float

    def points(self) -> list[Point]:
        return [Point(self.name, *pair, self.time) for pair in zip(self.steps, self.values, strict=True)]


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
        self.buffer: list[_Report] = []
        self.buffered = 0  # points
        self.writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")
        self.writing: Future[None] | None = None
        self.taken: list[_Report] = []  # what is being written
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
        """Buffer the points, and have them written if the last time is long enough ago."""
        now = time.time()
        for name, numbers in values.items():
            self.buffer.append(_Report(name, tuple(steps), tuple(numbers), now))
            self.buffered += len(numbers)
        self._measure_rate(steps[-1])
        if self.writing is not None and self.writing.done():
            self._collect()
        if self.buffered > MAX_BUFFERED:
            self.flush()
        elif self.writing is None and self._is_time():
            self._take()
            self.writing = self.writer.submit(self._write, self.step, self.rate)

    def _is_time(self) -> bool:
        patience = RETRY_SECONDS if self.outage.began else FLUSH_SECONDS
        return time.monotonic() - self.flushed_at > patience

    def _take(self) -> None:
        """Set aside what is buffered, to be written, and begin a new buffer."""
        self.taken, self.buffer, self.buffered = self.buffer, [], 0
        self.flushed_at = time.monotonic()

    def _give_back(self) -> None:
        """Put what could not be written before what has been buffered since."""
        self.buffer, self.taken = self.taken + self.buffer, []
        self.buffered = sum(len(report.values) for report in self.buffer)

    def _collect(self) -> None:
        """Wait for the thread that writes; an outage is borne, LeaseLost goes on to the training loop."""
        if self.writing is None:
            return
        writing, self.writing = self.writing, None
        with self.outage.borne():
            try:
                writing.result()
                self.taken = []
                self.outage.over()
            except DatabaseUnavailable:
                self._give_back()
                raise

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
        """Write all there is, and wait for the database where it cannot be used."""
        self._collect()
        self.outage.persist(self._write_here, self.gives_up)

    def close(self) -> None:
        """End the thread that writes, once what it is writing is written or has failed."""
        self.writer.shutdown()

    def _write_here(self) -> None:
        self._take()
        try:
            self._write(self.step, self.rate)
            self.taken = []
        except DatabaseUnavailable:
            self._give_back()
            raise

    def _write(self, step: int, rate: float | None) -> None:
        """Write what was set aside in one transaction; the only thing done on the other thread."""
        points = [point for report in self.taken for point in report.points()]
        metrics.write_points(
            self.engine, self.run_id, self.attempt, points, step=step, rate=rate, now=time.time()
        )

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
