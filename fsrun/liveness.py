"""Whether a worker still lives: by its lease, and on this machine by looking for its process.

Not here: the lease itself (store.queue), and the words for it (fsrun.words).
"""

import os
import socket
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from store.details import Look
from store.pictures import Pictures
from store.rows import RunRow, WorkerRow
from store.snapshot import Snapshot

MISSED_SECONDS = 10.0
"""Two heartbeats: only a worker that has been silent for so long is looked for at all."""


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


def _is_dead(worker: WorkerRow) -> bool:
    silent = worker.heartbeat_age > MISSED_SECONDS
    return silent and worker.host == socket.gethostname() and not _process_lives(worker.pid)


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
