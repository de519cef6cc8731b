"""Whether a worker still lives, by its lease or by its process, and whose clock tells.

Not here: the lease itself (store.queue), and the words for it (fsrun.words).
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from fsrun.words import duration
from store.engine import reading, server_time
from store.snapshot import Pictures, Snapshot, read_workers
from store.views import Look, RunRow, WorkerRow

MISSED_SECONDS = 10.0
"""Two heartbeats: only a worker that has been silent for so long is looked for at all."""


CLOCK_SLACK = 5.0
"""Seconds by which the clocks of machines may differ."""

HEARTBEAT_SECONDS = 5.0
"""How often a worker gives a sign of life, or more often where its lease is short."""

SERVER = "the database's server"
_ROUNDING = 1e-3  # seconds
_LOOK_SECONDS = 0.5
_ASKED_EVERY = 60.0  # seconds between two looks at the server's clock


class Clock:
    """The time that leases go by: that of the database's server, or of this machine where it is a file."""

    def __init__(self, engine: Engine, machine: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self.machine = machine
        self._asked: tuple[float, float] | None = None  # by the monotonic clock, and what the server said

    @property
    def is_shared(self) -> bool:
        """Whether all who use the database go by this clock."""
        return self._engine.dialect.name != "sqlite"

    def __call__(self) -> float:
        """Return the time in Unix seconds. Raises DatabaseUnavailable."""
        steady = time.monotonic()
        if self._asked is None or steady - self._asked[0] > _ASKED_EVERY:
            answer = server_time(self._engine)
            if answer is None:
                return self.machine()
            self._asked = (steady, answer)
        asked_at, answer = self._asked
        return answer + steady - asked_at


class Clocks:
    """Compares this machine's clock with those of others, from one look to the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}  # worker -> its heartbeat at the last look
        self._looked_at = 0.0  # by the monotonic clock

    def look(self, engine: Engine) -> Mapping[str, float]:
        """Return by how many seconds clocks are ahead of this machine's, below 0 where they are behind it.

        Of workers on one file only those are told that were heard of between two looks, so that each lives.
        """
        now = self._clock.machine()
        if self._clock.is_shared:
            found = {SERVER: self._clock() - now}
        else:
            with reading(engine) as connection:
                found = self._compared(read_workers(connection, now), now)
        return {name: ahead for name, ahead in found.items() if abs(ahead) > CLOCK_SLACK}

    def _compared(self, workers: Sequence[WorkerRow], now: float) -> dict[str, float]:
        """Return the least difference to each worker that was heard of since the last look."""
        before, steady = self._heard, time.monotonic()
        between, self._looked_at = steady - self._looked_at, steady
        self._heard = {worker.id: now - worker.heartbeat_age for worker in workers}
        return {
            each.id: max(-each.heartbeat_age, 0.0) or min(between - each.heartbeat_age, 0.0)
            for each in workers
            if each.id in before and abs(self._heard[each.id] - before[each.id]) > _ROUNDING
        }


def differing_clocks(engine: Engine) -> Mapping[str, float]:
    """Return by how many seconds the clocks of others are ahead of this machine's, below 0 where behind it.

    Takes up to 11 s where a heartbeat is too old or too new: its worker is dead, or is heard of again.
    """
    clock = Clock(engine)
    clocks, deadline = Clocks(clock), time.monotonic() + MISSED_SECONDS + 1.0
    found = dict(clocks.look(engine))
    while time.monotonic() < deadline and _seem_off(engine, clock) - found.keys():
        time.sleep(_LOOK_SECONDS)
        found |= clocks.look(engine)
    return found


def _seem_off(engine: Engine, clock: Clock) -> set[str]:
    """Return the workers whose heartbeat is too old or too new for one that lives and has our time."""
    with reading(engine) as connection:
        workers = read_workers(connection, clock())
    right = [each for each in workers if -CLOCK_SLACK <= each.heartbeat_age <= MISSED_SECONDS]
    return {each.id for each in workers if each not in right and not is_gone(each.host, each.pid)}


def difference(name: str, ahead: float) -> str:
    """Return in one line whose clock differs from this machine's, and what to do."""
    how = "ahead of" if ahead > 0 else "behind"
    return f"The clock of {name} is {duration(abs(ahead))} {how} this machine's: have NTP set both"


class Watcher:
    """Looks at one run again and again; for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._pictures = Pictures(engine)

    def look(self, run_id: int, now: float) -> RunRow:
        """Return the line of the run as it is now. Raises RunNotFound."""
        look = Look(max_points=2)
        taken = with_the_dead(self._pictures.take(now=now, selected=run_id, look=look, limit=1))
        assert taken.selected is not None
        return taken.selected.row


def with_the_dead(taken: Snapshot) -> Snapshot:
    """Return the picture with workers marked that died on this machine, and the runs they held.

    A worker that is only slow is never taken for dead: it is one whose process is still there. Those of other
    machines are known by their lease alone.
    """
    dead = {worker.id for worker in taken.workers if _is_dead(worker)}
    if not dead:
        return taken

    def marked(row: RunRow) -> RunRow:
        held = row.heartbeat_age is not None and row.worker_id in dead
        return replace(row, worker_died=True) if held else row

    selected = taken.selected
    return replace(
        taken,
        runs=tuple(map(marked, taken.runs)),
        workers=tuple(replace(each, died=True) if each.id in dead else each for each in taken.workers),
        selected=None if selected is None else replace(selected, row=marked(selected.row)),
        compared=tuple(replace(each, row=marked(each.row)) for each in taken.compared),
    )


def is_gone(host: str, pid: int) -> bool:
    """Return whether a process of this machine is no longer there; of another machine nobody can tell."""
    return host == socket.gethostname() and not _process_lives(pid)


def _is_dead(worker: WorkerRow) -> bool:
    return worker.heartbeat_age > MISSED_SECONDS and is_gone(worker.host, worker.pid)


def _process_lives(pid: int) -> bool:
    """Return whether there is such a process, one that has ended but was not waited for aside."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # not on Linux, or gone this moment: the next look tells
        return True
    return state not in ("Z", "X")
