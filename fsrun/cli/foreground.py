"""A worker in the foreground: signals, lines as things happen, and a live picture where there is a terminal.

Not here: the worker itself (fsrun.worker).
"""

import signal
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from sqlalchemy import Engine

from fsrun.cli.output import unheeded
from fsrun.cli.tables import results_table
from fsrun.errors import FsrunError
from fsrun.liveness import CLOCK_SLACK, Clock
from fsrun.paths import find_home
from fsrun.words import (
    cut,
    duration,
    is_at_chance,
    method_title,
    newest_value,
    plain,
    seeds_text,
    short_task,
)
from fsrun.worker.notices import Notices
from fsrun.worker.supervisor import Supervisor
from fsrun.writing import append_line
from store.jobs import JobStatus
from store.snapshot import Pictures, Snapshot, Which, snapshot
from store.views import RunRow
from store.workers import is_of

LOOK_SECONDS = 0.5
NAMED = 20
"""How many queued runs are named at the end of a drained queue."""
STOPPING = "the job writes a checkpoint and goes back to the queue"


def work_in_foreground(
    engine: Engine,
    device: str,
    processes: int = 1,
    asked: Sequence[int] = (),
    only: Collection[int] | None = None,
) -> bool:
    """Carry out some runs and show them; return whether all that were asked for are done."""
    watch = _work(engine, device, processes, drain=True, only=only)
    return show_results(engine, asked, watch.console)


def show_results(engine: Engine, asked: Collection[int], console: Console) -> bool:
    """Show what some runs came to; return whether all of them are done."""
    taken = snapshot(engine, now=time.time(), limit=None, which=Which(run_ids=frozenset(asked)))
    console.print(results_table(taken.runs[::-1]))
    return [row.status for row in taken.runs] == [JobStatus.DONE] * len(set(asked))


def serve(
    engine: Engine, device: str, processes: int = 1, *, drain: bool, quiet: bool = False, on_end: str = ""
) -> None:
    """Be a worker until told to stop, or until the queue is empty; a quiet one says all in its log alone."""
    watch = _work(engine, device, processes, drain=drain, only=None, quiet=quiet, on_end=on_end)
    with unheeded():
        watch.say_what_is_left()


def _work(
    engine: Engine,
    device: str,
    processes: int,
    *,
    drain: bool,
    only: Collection[int] | None,
    quiet: bool = False,
    on_end: str = "",
) -> "Watch":
    watch, home = Watch(engine, only, quiet=quiet), find_home()
    watch.notices = Notices(engine, watch.say, on_end, only)
    supervisor = Supervisor(engine, home, device, processes, on_tick=watch.tick, say=watch.say)
    watch.worker_id, watch.log = supervisor.worker_id, home.supervisor_log(supervisor.worker_id)
    with shown(supervisor, watch):
        if processes > 1:
            what = "processes on the CPU" if device == "cpu" else "GPUs"
            watch.say(f"Pre-training is shared by {processes} {what}; any other job has one, as ever.")
        supervisor.work(drain=drain, only=only)
        watch.tick(now=True)
    return watch


class Stoppable(Protocol):
    """What works in the foreground: a worker, or the command that has a cluster work."""

    stopping: bool

    def stop(self) -> None:
        """Hand back what is being done, after a checkpoint."""

    def stop_now(self) -> None:
        """End it at once."""


@contextmanager
def shown(working: Stoppable, watch: "Watch", consequence: str = STOPPING) -> Iterator[None]:
    """Show the work that is done in here, which goes on where it cannot be shown, and let signals stop it.

    Ctrl-C, SIGTERM and a closed terminal (SIGHUP) hand the job back after a checkpoint. A second Ctrl-C or
    SIGTERM ends the runner at once; a second SIGHUP does not, since the shell and the kernel both send it.
    """

    def stop(number: int, _: object) -> None:
        if not working.stopping:
            watch.stopped = f"Stopping, because of {signal.Signals(number).name}: {consequence}."
            working.stop()
        elif number != signal.SIGHUP:
            working.stop_now()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup has it ignored
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        with unheeded(), watch.progress:
            try:
                yield
            except FsrunError as error:
                if watch.notices is not None:
                    watch.notices.tell(f"A worker on this machine has given up: {error}")
                raise
            finally:
                watch.say_why_it_stops()
                if watch.notices is not None:
                    watch.notices.close(lambda: working.stopping)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Watch:
    """Prints a line whenever a run changes, and keeps a bar for each running one.

    It tells of the runs in `only`, whoever has them; without, of those that the worker `worker_id`, or one of
    the slots of `fleet`, has or has just had. What it says is in the file `log` too. The `notices` hear of
    the runs that these workers bring to their end.
    """

    def __init__(
        self,
        engine: Engine,
        only: Collection[int] | None,
        worker_id: str = "",
        fleet: str = "",
        *,
        quiet: bool = False,
    ) -> None:
        self.pictures = Pictures(engine)
        self.clock = Clock(engine)
        self.only = only
        self.worker_id = worker_id
        self.fleet = fleet
        self.log: Path | None = None
        self.notices: Notices | None = None
        self.began = self.clock()
        self.stopped = ""  # by what, until it is said: a handler of signals may have interrupted another line
        self.held: set[int] = set()  # by these workers at the last look
        self.console = Console(highlight=False, quiet=quiet)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[state]}", markup=False),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self.bars: dict[int, TaskID] = {}
        self.seen: dict[int, tuple[JobStatus, int]] = {}
        if only is not None:
            self.seen = {row.id: (row.status, row.attempt) for row in self._look().runs}
        self.looked_at = 0.0
        self.paused = False

    def _look(self) -> Snapshot:
        """Return the runs this is about: those asked for, or those these workers have or have had."""
        if self.only is not None:
            which = Which(run_ids=frozenset(self.only))
        else:
            which = Which(held_by=f"-{self.fleet}-" if self.fleet else self.worker_id)
        return self.pictures.take(now=self.clock(), limit=None, which=which, also=self.held)

    def say(self, line: str) -> None:
        """Print one line, and keep it in the log."""
        self.console.print(plain(line), markup=False, soft_wrap=True)
        if self.log is not None:
            append_line(self.log, plain(line))

    def say_why_it_stops(self) -> None:
        """Say once that a signal has stopped the work, if one has."""
        line, self.stopped = self.stopped, ""
        if line:
            self.say(line)

    def tick(self, *, now: bool = False) -> None:
        """Look at the store about twice a second and show what is new."""
        self.say_why_it_stops()
        if not now and time.monotonic() - self.looked_at < LOOK_SECONDS:
            return
        self.looked_at = time.monotonic()
        taken = self._look()
        if taken.paused and not self.paused:
            self.say("The queue is paused: no job is begun until fsrun resume.")
        self.paused = taken.paused
        ended = []
        for row in reversed(taken.runs):
            is_ours = self._is_ours(row)
            if self.seen.get(row.id) != (row.status, row.attempt):
                if (
                    self._has(row.worker_id)
                    and row.finished is not None
                    and row.finished >= self.began - CLOCK_SLACK
                ):
                    ended.append(row)
                if is_ours:
                    self._say(row, began=row.attempt != self.seen.get(row.id, (None, 0))[1])
                self.seen[row.id] = (row.status, row.attempt)
            self._draw(row, running=is_ours and row.status is JobStatus.RUNNING)
        if self.notices is not None:
            self.notices.look(taken, ended, self._has)

    def _has(self, worker_id: str | None) -> bool:
        """Return whether a worker is the one, or a slot of the fleet, that this tells of."""
        return is_of(self.fleet, worker_id) if self.fleet else worker_id == self.worker_id

    def _is_ours(self, row: RunRow) -> bool:
        """Return whether to tell of the run: one these workers have, or have just handed back or ended."""
        had, running = row.id in self.held, row.status is JobStatus.RUNNING
        has = self._has(row.worker_id)
        self.held = self.held | {row.id} if has and running else self.held - {row.id}
        return self.only is not None or has or (had and not running)

    def _say(self, row: RunRow, *, began: bool) -> None:
        """Print one line for a run that has changed, one more where it also began since the last look."""
        if began:
            note = f" again (attempt {row.attempt})" if row.attempt > 1 else ""
            where = f" on {row.worker_id}" if self.fleet and row.worker_id else ""
            variant = f": {row.variant}" if row.variant else ""
            self.say(f"{self._name(row)} started{note}{where}{variant}")
        if row.status is not JobStatus.RUNNING:
            self.say(f"{self._name(row)} {self._end(row)}")

    def _end(self, row: RunRow) -> str:
        if row.status is JobStatus.DONE:
            return f"done in {duration(row.worked)}: {newest_value(row)}{', at chance' * is_at_chance(row)}"
        if row.status is JobStatus.FAILED:
            return f"failed: {row.error}"
        if row.status is JobStatus.QUEUED:
            return f"is queued at step {row.step} of {row.total_steps}"
        return row.status.value

    def _draw(self, row: RunRow, *, running: bool) -> None:
        if running and row.id not in self.bars:
            self.bars[row.id] = self.progress.add_task(
                self._name(row), total=max(row.total_steps, 1), state=""
            )
        if not running and row.id in self.bars:
            self.progress.remove_task(self.bars.pop(row.id))
        if running:
            rate = f"{row.rate:.3g} steps/s · " if row.rate else ""
            left = f"{duration(row.eta_seconds)} left · " if row.eta_seconds else ""
            self.progress.update(
                self.bars[row.id], completed=row.step, state=f"{rate}{left}{newest_value(row).plain}"
            )

    def _name(self, row: RunRow) -> str:
        return " ".join(
            part
            for part in (f"run {row.id}", method_title(row.method), short_task(row), seeds_text(row))
            if part
        )

    def say_what_is_left(self) -> None:
        """Print one line for what a drained queue still holds, nothing where it is empty."""
        which = Which(self.only if self.only is None else frozenset(self.only), JobStatus.QUEUED)
        taken = snapshot(self.pictures.engine, now=time.time(), limit=NAMED, which=which)
        for row in reversed(taken.runs):
            blockers = ", ".join(str(parent) for parent in row.waits_for)
            reason = f"waits for run {blockers}" if blockers else "is queued"
            self.say(f"{self._name(row)} {reason}")
        if taken.found > NAMED:
            self.say(f"{cut(NAMED, taken.found)} that are queued; fsrun ls --status queued for all")
