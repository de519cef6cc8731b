"""Runs chosen by status and tag, as lists, orders and the Python API are asked for them.

Not here: runs named by number (fsrun.cli.selection), and searching by words (fsrun.tui.search).
"""

from dataclasses import replace

from sqlalchemy import Engine

from fsrun.errors import UsageError
from fsrun.liveness import with_the_dead
from fsrun.words import status_word
from store.jobs import JobStatus
from store.snapshot import Snapshot, Which, snapshot
from store.views import RunRow

STATUSES = ("queued", "waiting", "running", "stopping", "lost", "done", "failed", "cancelled")
"""What one can ask for."""

_STORED = {"waiting": "queued", "stopping": "running", "lost": "running"}
"""What hinders a run that is queued or running, by the status it has in the store."""


def runs_of(
    engine: Engine, now: float, status: str | None = None, tag: str | None = None
) -> tuple[RunRow, ...]:
    """Return all runs of a status with a tag, the newest first. Raises UsageError for an unknown status."""
    return of_status(snapshot(engine, now=now, limit=None, which=which_runs(status, tag)), status).runs


def which_runs(status: str | None, tag: str | None) -> Which:
    """Return what to ask the store for. Raises UsageError for an unknown status."""
    if status is not None and status not in STATUSES:
        raise UsageError(f"unknown status {status!r}: choose from {', '.join(STATUSES)}")
    stored = None if status is None else JobStatus(_STORED.get(status, status))
    return Which(status=stored, tag=tag or "")


def of_status(taken: Snapshot, status: str | None) -> Snapshot:
    """Return the snapshot with dead workers' runs marked; of them only the lost, say, where asked for."""
    taken = with_the_dead(taken)
    if status not in _STORED:
        return taken
    return replace(taken, runs=tuple(row for row in taken.runs if status_word(row) == status))
