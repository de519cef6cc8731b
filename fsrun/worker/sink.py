"""From what a run reports to rows in the store: buffered, one transaction about twice a second.

Not here: the training loop, and who owns the job (the lease is checked by the store at every write).
A thread beside the training makes points of the reports and writes them, so that logging costs the training
loop an append. While the database cannot be used training goes on, as far as the buffer and the next
checkpoint.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread

from sqlalchemy import Engine

from experiments.errors import StorageUnavailable
from fsrun.checkpoint_files import CheckpointFiles, discard, sha256_of
from fsrun.words import duration
from fsrun.worker.outage import Outage
from store import checkpoints, curves
from store.checkpoints import CheckpointRow
from store.curves import Point
from store.errors import LeaseLost

FLUSH_SECONDS = 0.5
RATE_MEMORY_SECONDS = 20.0  # the step rate shown is an average over about this long
KEPT_CHECKPOINTS = 2  # the newest, and one to fall back to
MAX_BUFFERED = 200_000  # points kept while the database is away; then training waits for it
LOG_SECONDS = 10.0  # between two lines of progress in the run's log, at least
RETRY_SECONDS = 5.0  # between two tries to write what is buffered while training goes on

logger = logging.getLogger("fsrun.sink")

_Report = tuple[float, tuple[int, ...], list[tuple[str, tuple[float, ...]]]]
"""What one call brought: when by the monotonic clock, the steps, and each metric's values at them."""


@contextmanager
def _left_for_later() -> Iterator[None]:
    """Let what cannot be removed now be garbage, which fsrun gc finds."""
    try:
        yield
    except StorageUnavailable as error:
        logger.warning("%s", error)


class StoreSink:
    """An EventSink that writes to the store as one attempt of a run.

    `files` says where checkpoints are kept. Raises LeaseLost once the job has a new owner, and
    DatabaseUnavailable where the database cannot be used and `gives_up` says not to wait for it. Every 10
    seconds or so the log says how far the run is of `total_steps`.
    """

    def __init__(
        self,
        engine: Engine,
        run_id: int,
        attempt: int,
        outage: Outage,
        gives_up: Callable[[], bool],
        files: CheckpointFiles,
        total_steps: int,
    ) -> None:
        self.engine = engine
        self.files = files
        self.outage = outage
        self.gives_up = gives_up
        self.run_id = run_id
        self.attempt = attempt
        self.total_steps = total_steps
        self.newest: dict[str, float] = {}  # value of each metric; under `writing`
        self.logged_at = time.monotonic()
        self.reports: deque[_Report] = deque()  # appended to by the training thread, emptied by who writes
        self.reported = 0  # points; only the training thread counts these
        self.written = 0  # of them; changes only under `writing`
        self.taken: list[_Report] = []  # no longer in `reports`, not yet in the database; under `writing`
        self.step = 0  # reached, and since when; under `writing`
        self.stepped_at = time.monotonic()
        self.rate: float | None = None
        self.writing = Lock()
        self.failure: BaseException | None = None  # what ended the thread, for the training loop to raise
        self.closing = Event()
        self.writer = Thread(target=self._write_now_and_then, name="sink", daemon=True)

    def started(self, step: int) -> None:
        """Forget what an earlier attempt reported beyond the checkpoint this one starts from."""
        self.outage.persist(
            lambda: curves.rewind(self.engine, self.run_id, self.attempt, step), self.gives_up
        )
        self.step, self.stepped_at = step, time.monotonic()
        self.writer.start()

    def metrics(self, steps: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
        """Take the points in, to be written within about half a second."""
        kept = [(name, tuple(numbers)) for name, numbers in values.items()]
        self.reports.append((time.monotonic(), tuple(steps), kept))
        self.reported += len(steps) * len(kept)
        if self.failure is not None:
            raise self.failure
        if self.reported - self.written > MAX_BUFFERED:
            self.flush()

    def checkpoint(self, step: int, path: Path) -> None:
        """Keep the checkpoint, write out all points up to it, then note it and drop older ones.

        Raises StorageUnavailable where it cannot be kept.
        """
        digest = sha256_of(path)
        place = self.files.keep(path)
        try:
            with self.writing:
                self._measure_rate(step, time.monotonic())
            self.flush()
            unneeded = self.outage.persist(lambda: self._note_checkpoint(step, place, digest), self.gives_up)
        except LeaseLost:
            with _left_for_later():  # nobody will ever know of it
                discard(path, place)
            raise
        for old in unneeded:
            with _left_for_later():
                self.files.remove(old)

    def flush(self) -> None:
        """Write all there is, and wait for the database where it cannot be used."""
        self.outage.persist(self._write, self.gives_up)

    def close(self) -> None:
        """End the thread that writes, once what it is writing is written or has failed."""
        self.closing.set()
        if self.writer.is_alive():
            self.writer.join()

    def _write_now_and_then(self) -> None:
        """Write until closed; an outage is borne, anything else goes on to the training loop."""
        while not self.closing.wait(RETRY_SECONDS if self.outage.began else FLUSH_SECONDS):
            if not (self.reports or self.taken or self.outage.began):
                continue
            try:
                with self.outage.borne():
                    self._write()
                    self.outage.over()
            except BaseException as error:  # noqa: BLE001 (raised again, by the thread that trains)
                self.failure = error
                return

    def _write(self) -> None:
        """Write what was reported in one transaction; what cannot be written stays taken, in its order."""
        with self.writing:
            while self.reports:
                self.taken.append(self.reports.popleft())
            if self.taken:
                at, steps, _ = self.taken[-1]
                self._measure_rate(steps[-1], at)
            points = self._points()
            curves.write_points(
                self.engine,
                self.run_id,
                self.attempt,
                points,
                step=self.step,
                rate=self.rate,
                now=time.time(),
            )
            self.taken = []
            self.written += len(points)
            self.newest |= {point.name: point.value for point in points}
            self._log_progress()

    def _log_progress(self) -> None:
        """Say in the run's log now and then how far it is: step, newest values, rate and what is left."""
        now = time.monotonic()
        if now - self.logged_at < LOG_SECONDS:
            return
        self.logged_at = now
        shown = {name: value for name, value in self.newest.items() if not name.endswith((".low", ".high"))}
        said = [f"step {self.step:,} of {self.total_steps:,}"]
        said += [f"{name} {value:.4g}" for name, value in sorted(shown.items())]
        if self.rate:
            said.append(f"{self.rate:.3g} steps/s")
            said.append(f"{duration(max(self.total_steps - self.step, 0) / self.rate)} left")
        logger.info("%s", ", ".join(said))

    def _points(self) -> list[Point]:
        """Return the points of what is taken; a clock that was set meanwhile leaves them in order."""
        since = time.time() - time.monotonic()
        return [
            Point(name, step, value, since + at)
            for at, steps, values in self.taken
            for name, numbers in values
            for step, value in zip(steps, numbers, strict=True)
        ]

    def _note_checkpoint(self, step: int, place: str, digest: str) -> tuple[CheckpointRow, ...]:
        job = (self.engine, self.run_id, self.attempt)
        checkpoints.add(*job, step=step, place=place, sha256=digest, now=time.time())
        return checkpoints.prune(*job, keep=KEPT_CHECKPOINTS)

    def _measure_rate(self, step: int, at: float) -> None:
        """Keep a running average of steps per second that forgets the distant past."""
        if step <= self.step:
            return
        elapsed = max(at - self.stepped_at, 1e-9)
        newest = (step - self.step) / elapsed
        weight = min(1.0, elapsed / RATE_MEMORY_SECONDS)
        self.rate = newest if self.rate is None else (1 - weight) * self.rate + weight * newest
        self.step, self.stepped_at = step, at
