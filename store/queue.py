"""The life of a job: claimed under a lease, kept alive, and brought to its end.

Not here: what is stored about runs (store.runs) and what they report (store.metrics).
Time is always passed in, never read.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update
from sqlmodel import col

from store.engine import reading, storable, writing
from store.errors import InvalidTransition, RunNotFound, StoreError
from store.jobs import (
    MAX_CRASHES,
    JobStatus,
    Outcome,
    ancestry,
    claimable,
    end_attempt,
    fence,
    job_row,
    refuse_trashed,
    set_job,
    settle_crash,
)
from store.leases import Lease, Leases, expired, settle_lost
from store.results import ResultRow
from store.tables import Attempt, Dependency, Job, Result, Run, table_of
from store.upserts import upsert

__all__ = [
    "MAX_CRASHES",
    "Answer",
    "Claim",
    "JobStatus",
    "Outcome",
    "Outlook",
    "cancelled",
    "claim",
    "crashed",
    "fail",
    "finish",
    "outlook",
    "release",
    "renew",
    "request_cancel",
    "retry",
]


@dataclass(frozen=True)
class Claim:
    """A worker's right to one job; `config` is the run's JSON text, `parents` the runs it starts from."""

    run_id: int
    attempt: int
    config: str
    total_steps: int
    parents: tuple[int, ...]


@dataclass(frozen=True)
class Outlook:
    """How many queued jobs can be claimed now, wait for live runs, run, or are blocked by a failed run."""

    claimable: int
    waiting: int
    running: int
    blocked: int


def claim(
    engine: Engine,
    worker_id: str,
    *,
    now: float,
    lease_seconds: float,
    only: Collection[int] | None = None,
    device: str = "",
    provenance: Mapping[str, str] | None = None,
    leases: Leases | None = None,
) -> Claim | None:
    """Take the job of highest priority, then the oldest, whose parents are done; None if there is none.

    A job whose lease is over counts as crashed and goes to whoever comes next: one of `leases`, or one that
    has run out by the clock where all workers go by the same. `only` limits the choice to some runs: to drain
    a run together with what it needs, pass `store.runs.with_prerequisites`.
    """
    with writing(engine, beside_others=True) as connection:
        settle_lost(connection, now, leases)
        taken = connection.execute(
            update(Job)
            .where(col(Job.run_id) == _next_job(only).scalar_subquery())
            .values(
                status=JobStatus.RUNNING.value,
                attempt=col(Job.attempt) + 1,
                worker_id=worker_id,
                lease_until=now + lease_seconds,
                rate=None,
                started=func.coalesce(col(Job.started), now),
            )
            .returning(col(Job.run_id), col(Job.attempt))
        ).one_or_none()
        if taken is None:
            return None
        connection.execute(
            insert(Attempt).values(
                run_id=taken.run_id,
                number=taken.attempt,
                worker_id=worker_id,
                device=device,
                started=now,
                from_step=0,
                provenance=dumps(dict(provenance or {})),
            )
        )
        return _claim_of(connection, taken.run_id, taken.attempt)


def renew(engine: Engine, run_id: int, attempt: int, *, now: float, lease_seconds: float) -> bool:
    """Prolong the lease; return whether the user has asked to cancel. Raises LeaseLost."""
    with writing(engine, beside_others=True) as connection:
        fence(connection, run_id, attempt, lease_until=now + lease_seconds)
        asked = connection.execute(select(col(Job.cancel_requested)).where(col(Job.run_id) == run_id))
        return bool(asked.scalar_one())


def finish(engine: Engine, run_id: int, attempt: int, results: Sequence[ResultRow], *, now: float) -> None:
    """Store the results and mark the job DONE, both or neither. Raises LeaseLost."""
    with writing(engine, beside_others=True) as connection:
        end_attempt(connection, run_id, attempt, status=JobStatus.DONE, outcome=Outcome.DONE, ended=now)
        upsert(connection, table_of(Result), [row.columns(run_id, now) for row in results])


def fail(engine: Engine, run_id: int, attempt: int, error: str, *, now: float) -> None:
    """Mark the job FAILED with the traceback. Raises LeaseLost."""
    with writing(engine, beside_others=True) as connection:
        text = storable(error.replace("\0", "\\0"))  # PostgreSQL stores no NUL
        end_attempt(
            connection,
            run_id,
            attempt,
            status=JobStatus.FAILED,
            outcome=Outcome.FAILED,
            ended=now,
            error=text,
        )


def release(engine: Engine, run_id: int, attempt: int, *, now: float) -> JobStatus:
    """Hand the job back unharmed, to the place in the queue it had; return QUEUED.

    CANCELLED if the user had asked for that. Raises LeaseLost.
    """
    with writing(engine, beside_others=True) as connection:
        asked = _locked_job(connection, run_id).cancel_requested
        status = JobStatus.CANCELLED if asked else JobStatus.QUEUED
        outcome = Outcome.CANCELLED if asked else Outcome.RELEASED
        end_attempt(connection, run_id, attempt, status=status, outcome=outcome, ended=now)
        return status


def cancelled(engine: Engine, run_id: int, attempt: int, *, now: float) -> None:
    """Mark the job CANCELLED, after its run has stopped. Raises LeaseLost."""
    with writing(engine, beside_others=True) as connection:
        end_attempt(
            connection, run_id, attempt, status=JobStatus.CANCELLED, outcome=Outcome.CANCELLED, ended=now
        )


def crashed(engine: Engine, run_id: int, attempt: int, reason: str, *, now: float) -> JobStatus:
    """Record that the run's process died; return QUEUED, or FAILED after MAX_CRASHES without progress.

    CANCELLED if the user had asked for that. Raises LeaseLost.
    """
    with writing(engine, beside_others=True) as connection:
        fence(connection, run_id, attempt, rate=None)
        job = connection.execute(select(table_of(Job)).where(col(Job.run_id) == run_id)).one()
        return settle_crash(connection, job, reason, Outcome.CRASHED, now)


@dataclass(frozen=True)
class Answer:
    """What became of an order about several runs: their statuses now, and why others could not obey."""

    statuses: Mapping[int, JobStatus]
    refused: Mapping[int, StoreError]


def request_cancel(engine: Engine, run_ids: Collection[int], now: float) -> Answer:
    """Cancel queued jobs at once and ask running ones to stop, in one transaction.

    Refused are runs that do not exist or are over; cancelling twice is no mistake.
    """
    with writing(engine) as connection:
        return _each(run_ids, lambda run_id: {run_id: _cancel(connection, run_id, now)})


def retry(engine: Engine, run_ids: Collection[int], now: float) -> Answer:
    """Queue failed and cancelled runs again, in one transaction; they go on from their newest checkpoints.

    Failed or cancelled runs which they start from are queued with them. Refused are all other runs, and those
    in the trash.
    """
    with writing(engine) as connection:
        return _each(run_ids, lambda run_id: _retry(connection, run_id, now))


def _each(run_ids: Collection[int], order: Callable[[int], Mapping[int, JobStatus]]) -> Answer:
    """Give an order about each run that no order before has reached; it raises before it changes anything."""
    statuses: dict[int, JobStatus] = {}
    refused: dict[int, StoreError] = {}
    for run_id in sorted(
        set(run_ids)
    ):  # in one order always, so that two transactions cannot lock each other
        if run_id not in statuses:
            try:
                statuses |= order(run_id)
            except (RunNotFound, InvalidTransition) as why:
                refused[run_id] = why
    return Answer(statuses, refused)


def _cancel(connection: Connection, run_id: int, now: float) -> JobStatus:
    job = _locked_job(connection, run_id)
    status = JobStatus(job.status)
    if status in (JobStatus.DONE, JobStatus.FAILED):
        raise InvalidTransition(f"run {run_id} is {status}: only queued and running runs can be cancelled")
    if status is JobStatus.RUNNING and job.lease_until >= now:
        set_job(connection, run_id, cancel_requested=True)
        return status
    if status is JobStatus.RUNNING:  # its worker is gone: nobody is left to ask
        end_attempt(
            connection,
            run_id,
            job.attempt,
            status=JobStatus.CANCELLED,
            outcome=Outcome.LOST,
            ended=job.lease_until,
        )
    elif status is JobStatus.QUEUED:
        set_job(connection, run_id, status=JobStatus.CANCELLED.value, finished=now)
    return JobStatus.CANCELLED


def _retry(connection: Connection, run_id: int, now: float) -> dict[int, JobStatus]:
    status = _locked_job(connection, run_id).status
    refuse_trashed(connection, [run_id])
    over = col(Job.status).in_([JobStatus.FAILED.value, JobStatus.CANCELLED.value])
    query = select(col(Job.run_id)).where(col(Job.run_id).in_(ancestry(connection, [run_id])), over)
    again = connection.execute(query.order_by(col(Job.run_id)).with_for_update()).scalars().all()
    if not again or status in (JobStatus.DONE, JobStatus.RUNNING):
        raise InvalidTransition(f"run {run_id} is {status}: only failed and cancelled runs can be retried")
    clean = {"worker_id": None, "error": None, "cancel_requested": False, "crashes": 0, "crash_step": 0}
    for each in again:
        set_job(connection, each, status=JobStatus.QUEUED.value, queued=now, finished=None, **clean)
    return dict.fromkeys((run_id, *again), JobStatus.QUEUED)


def outlook(
    engine: Engine, now: float, only: Collection[int] | None = None, leases: Leases | None = None
) -> Outlook:
    """Count what a worker that drains the queue still has to expect, of all runs or of some.

    A run whose lease ran out counts as claimable, but for one that `leases` has seen renewed; one that starts
    from a failed or cancelled run, directly or not, as blocked.
    """
    with reading(engine) as connection:
        jobs = connection.execute(
            select(
                col(Job.run_id),
                col(Job.status),
                col(Job.attempt),
                col(Job.lease_until),
                expired(now).label("expired"),
            )
        ).all()
        edges = select(col(Dependency.run_id), col(Dependency.parent_id))
        parents: dict[int, list[int]] = {}
        for run_id, parent_id in connection.execute(edges):
            parents.setdefault(run_id, []).append(parent_id)
    fates: dict[int, str] = {}
    for job in sorted(jobs):  # a run is always younger than what it starts from
        lost = bool(job.expired)
        if leases is not None:
            lease = Lease(job.run_id, job.attempt, job.lease_until)
            lost = lease in leases.over or (lost and lease not in leases.renewed)
        fates[job.run_id] = _fate(job.status, lost, [fates[p] for p in parents.get(job.run_id, [])])
    counted = Counter(fate for run_id, fate in fates.items() if only is None or run_id in only)
    return Outlook(**{fate: counted[fate] for fate in ("claimable", "waiting", "running", "blocked")})


def _fate(status: str, lost: bool, parents: Sequence[str]) -> str:
    """Return a field of Outlook, or the status of a job that is over."""
    if status == JobStatus.RUNNING:
        return "claimable" if lost else "running"
    if status != JobStatus.QUEUED:
        return status
    if any(parent in ("blocked", JobStatus.FAILED, JobStatus.CANCELLED) for parent in parents):
        return "blocked"
    return "claimable" if all(parent == JobStatus.DONE for parent in parents) else "waiting"


def _next_job(only: Collection[int] | None) -> Any:
    in_turn = (col(Job.priority).desc(), col(Job.queued), col(Job.run_id))
    query = select(col(Job.run_id)).where(*claimable(Job, only)).order_by(*in_turn).limit(1)
    return query.with_for_update(skip_locked=True)  # nothing on SQLite, which has one writer


def _locked_job(connection: Connection, run_id: int) -> Row[Any]:
    """Return the row of the job, which no other transaction can change before this one ends.

    Raises RunNotFound.
    """
    connection.execute(select(col(Job.run_id)).where(col(Job.run_id) == run_id).with_for_update())
    return job_row(connection, run_id)


def _claim_of(connection: Connection, run_id: int, attempt: int) -> Claim:
    run = connection.execute(select(col(Run.config), col(Run.total_steps)).where(col(Run.id) == run_id)).one()
    parents = select(col(Dependency.parent_id)).where(col(Dependency.run_id) == run_id)
    ordered = tuple(connection.execute(parents.order_by(col(Dependency.parent_id))).scalars())
    return Claim(run_id, attempt, run.config, run.total_steps, ordered)
