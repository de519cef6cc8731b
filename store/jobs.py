"""Jobs: their states, the fence that keeps all but the owner from writing, and their attempts.

Not here: who gets which job (queue.py).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from json import dumps, loads
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, exists, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from store.engine import writing
from store.errors import InvalidTransition, LeaseLost, RunNotFound
from store.tables import Attempt, Checkpoint, Dependency, Job, Remark, Run, Setting, table_of

MAX_CRASHES = 3
"""Crashes in a row without progress after which a job is not tried again."""

PAUSED = "paused"
"""The setting that is there while no job may be claimed."""


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """Waits for a worker, and for the runs it starts from."""
    RUNNING = "running"
    """A worker holds the lease."""
    DONE = "done"
    """Finished; its results are stored."""
    FAILED = "failed"
    """Raised an error, or crashed too often in a row; `retry` queues it again."""
    CANCELLED = "cancelled"
    """Ended because the user asked; `retry` queues it again."""


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    """Finished, results stored."""
    FAILED = "failed"
    """Raised an error."""
    CANCELLED = "cancelled"
    """Stopped because the user asked."""
    RELEASED = "released"
    """Handed back by a worker that was told to stop."""
    CRASHED = "crashed"
    """Its process died under a living worker."""
    LOST = "lost"
    """Its worker fell silent until the lease ran out."""


def fence(connection: Connection, run_id: int, attempt: int, **values: Any) -> None:
    """Update the job if this attempt still owns it; every write of a worker goes through here.

    Raises LeaseLost.
    """
    owned = and_(
        col(Job.run_id) == run_id, col(Job.attempt) == attempt, col(Job.status) == JobStatus.RUNNING.value
    )
    if connection.execute(update(Job).where(owned).values(attempt=attempt, **values)).rowcount == 0:
        raise LeaseLost(f"run {run_id}: attempt {attempt} no longer owns it; stop working on it")


def set_job(connection: Connection, run_id: int, **values: Any) -> None:
    """Update the job whoever owns it: for what the user orders, never for a worker's writes."""
    connection.execute(update(Job).where(col(Job.run_id) == run_id).values(**values))


def job_row(connection: Connection, run_id: int) -> Row[Any]:
    """Return the row of the job table. Raises RunNotFound."""
    row = connection.execute(select(table_of(Job)).where(col(Job.run_id) == run_id)).one_or_none()
    if row is None:
        raise RunNotFound(f"there is no run {run_id}: `fsrun ls` lists the runs there are")
    return row


def kept(run_id: int | None) -> ColumnElement[bool]:
    """Return the condition on a column of run numbers, such as Run.id, that the run is not in the trash."""
    trash = select(col(Remark.run_id)).where(col(Remark.trashed).is_not(None))
    return col(run_id).not_in(trash)


def leaves_something() -> ColumnElement[bool]:
    """Return the condition that others can start from a job once it is done, since a worker here did it.

    A run that was taken in from elsewhere is done and has no worker; with its weights it has a checkpoint.
    """
    weights = exists().where(col(Checkpoint.run_id) == col(Job.run_id))
    return or_(col(Job.status) != JobStatus.DONE.value, col(Job.worker_id).is_not(None), weights)


def refuse_trashed(connection: Connection, run_ids: Collection[int]) -> None:
    """Raise InvalidTransition where one of the runs is in the trash."""
    known = select(col(Run.id)).where(col(Run.id).in_(run_ids), ~kept(Run.id)).order_by(col(Run.id))
    lying = [run_id for run_id in connection.execute(known).scalars() if run_id is not None]
    if lying:
        order = f"fsrun rm --undo {' '.join(map(str, lying))}"
        raise InvalidTransition(f"{numbered(lying)} {are(lying)} in the trash: `{order}` takes it out")


def numbered(run_ids: Sequence[int]) -> str:
    """Return the runs as a sentence names them: "run 3", "runs 3, 5", "runs 3-6, 9", each once, in order."""
    parts: list[list[int]] = []
    for run_id in sorted(set(run_ids)):
        if parts and parts[-1][-1] == run_id - 1:
            parts[-1].append(run_id)
        else:
            parts.append([run_id])
    said = [f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts]
    return f"run{'s' if len(run_ids) > 1 else ''} {', '.join(said)}"


def are(run_ids: Sequence[int]) -> str:
    """Return the verb that goes with the runs."""
    return "are" if len(run_ids) > 1 else "is"


def telling_line(error: str | None) -> str | None:
    """Return the last line of a traceback, which names the error, and the first line of anything else."""
    lines = [line for line in (error or "").splitlines() if line.strip()]
    if not lines:
        return None
    return lines[-1 if lines[0].startswith("Traceback") else 0].strip()


def claimable(job: type[Job], only: Collection[int] | None = None) -> list[ColumnElement[bool]]:
    """Return the conditions that a job is queued and all it starts from is done, among some runs or all.

    Nothing is claimable while the queue is paused.
    """
    parent = aliased(Job)
    unfinished_parent = exists().where(
        col(Dependency.run_id) == col(job.run_id),
        col(Dependency.parent_id) == col(parent.run_id),
        col(parent.status) != JobStatus.DONE.value,
    )
    paused = exists().where(col(Setting.name) == PAUSED)
    among = [] if only is None else [col(job.run_id).in_(only)]
    return [col(job.status) == JobStatus.QUEUED.value, ~unfinished_parent, ~paused, *among]


def ancestry(connection: Connection, run_ids: Iterable[int]) -> frozenset[int]:
    """Return the runs and every run they start from, directly or not."""
    known, fresh = set[int](), set(run_ids)
    while fresh:
        known |= fresh
        parents = select(col(Dependency.parent_id)).where(col(Dependency.run_id).in_(fresh))
        fresh = set(connection.execute(parents).scalars()) - known
    return frozenset(known)


def settle_crash(
    connection: Connection, job: Row[Any], reason: str, outcome: Outcome, now: float
) -> JobStatus:
    """Queue a job whose attempt died again, unless cancelled or crashed too often in a row."""
    crashes = 1 if job.step > job.crash_step else job.crashes + 1
    status, error = JobStatus.QUEUED, None
    if job.cancel_requested:
        status = JobStatus.CANCELLED
        outcome = Outcome.CANCELLED if outcome is Outcome.CRASHED else outcome
    elif crashes >= MAX_CRASHES:
        status = JobStatus.FAILED
        error = f"crashed {crashes} times in a row without getting past step {job.crash_step}: {reason}"
    # Nobody saw a lost worker die: it did so before the lease ran out, not when somebody noticed.
    ended = min(job.lease_until, now) if outcome is Outcome.LOST else now
    end_attempt(
        connection,
        job.run_id,
        job.attempt,
        status=status,
        outcome=outcome,
        ended=ended,
        error=error,
        reason=reason,
    )
    set_job(connection, job.run_id, crashes=crashes, crash_step=max(job.crash_step, job.step))
    return status


def end_attempt(
    connection: Connection,
    run_id: int,
    attempt: int,
    *,
    status: JobStatus,
    outcome: Outcome,
    ended: float,
    error: str | None = None,
    reason: str | None = None,
) -> None:
    """End the attempt: the job gets the status and the error, the attempt its outcome and the reason."""
    over = status is not JobStatus.QUEUED
    values: dict[str, Any] = {} if over else {"worker_id": None}
    fence(
        connection,
        run_id,
        attempt,
        status=status.value,
        lease_until=None,
        rate=None,
        finished=ended if over else None,
        error=error,
        cancel_requested=False,
        **values,
    )
    connection.execute(
        update(Attempt)
        .where(col(Attempt.run_id) == run_id, col(Attempt.number) == attempt)
        .values(ended=ended, outcome=outcome.value, error=error or reason)
    )


def add_provenance(engine: Engine, run_id: int, attempt: int, facts: Mapping[str, str]) -> None:
    """Add facts to the provenance of an attempt, which may go on for a while. Raises LeaseLost."""
    this = (col(Attempt.run_id) == run_id, col(Attempt.number) == attempt)
    with writing(engine, beside_others=True) as connection:
        fence(connection, run_id, attempt)
        known = loads(connection.execute(select(col(Attempt.provenance)).where(*this)).scalar_one())
        connection.execute(update(Attempt).where(*this).values(provenance=dumps(known | dict(facts))))
