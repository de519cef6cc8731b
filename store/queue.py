"""The queue: claims, leases, and what users order: cancel, retry, priority, pause."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, delete, func, insert, or_, select, update
from sqlmodel import col

from store.engine import reading, storable, upsert, writing
from store.errors import InvalidTransition, RunNotFound, StoreError
from store.jobs import (
    MAX_CRASHES,
    PAUSED,
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
from store.results import ResultRow
from store.tables import Attempt, Dependency, Job, Result, Run, Setting, Worker, table_of

MAX_LEASE_SECONDS = 3600.0
"""The longest lease; one that ends later than that from now was given before the clock was set back."""


@dataclass(frozen=True)
class Lease:
    """An attempt's right to its job; `until` is by the clock of its owner, which renews it while it lives."""

    run_id: int
    attempt: int
    until: float


@dataclass(frozen=True)
class Leases:
    """The leases of others that are over, and those that were seen to be renewed and are not."""

    over: frozenset[Lease]
    renewed: frozenset[Lease]


@dataclass
class _Sight:
    lease: Lease
    since: float  # by the steady clock
    renewed: bool


class LeaseWatch:
    """What one worker has seen of all leases, for workers whose clocks may differ.

    An owner that lives renews its lease, whatever its clock says. So a lease is over once it has stood still
    for its own length. One that has run out by the clock is over at once where `is_gone` says of the owner's
    host and process that the process is no longer there. `lease_seconds` is the least length to reckon with.
    """

    def __init__(self, lease_seconds: float, is_gone: Callable[[str, int], bool]) -> None:
        self._lease_seconds = lease_seconds
        self._is_gone = is_gone
        self._seen: dict[int, _Sight] = {}

    def look(self, engine: Engine, now: float, steady: float) -> Leases:
        """Look at all leases, at a time of a clock that only runs forward and that nobody sets."""
        owner = (col(Worker.host), col(Worker.pid), col(Worker.heartbeat))
        query = select(table_of(Job), *owner, expired(now).label("expired"))
        held = and_(col(Job.status) == JobStatus.RUNNING.value, col(Job.lease_until).is_not(None))
        with reading(engine) as connection:
            joined = query.outerjoin(Worker, col(Worker.id) == col(Job.worker_id)).where(held)
            rows = connection.execute(joined).all()
        self._seen = {row.run_id: self._sight(row, steady) for row in rows}
        over = {self._seen[row.run_id].lease for row in rows if self._is_over(row, steady)}
        renewed = {sight.lease for sight in self._seen.values() if sight.renewed}
        return Leases(frozenset(over), frozenset(renewed - over))

    def _sight(self, row: Row[tuple[object, ...]], steady: float) -> _Sight:
        lease = Lease(row.run_id, row.attempt, row.lease_until)
        before = self._seen.get(row.run_id)
        if before is not None and before.lease == lease:
            return before
        return _Sight(lease, steady, renewed=before is not None and before.lease.attempt == lease.attempt)

    def _is_over(self, row: Row[tuple[object, ...]], steady: float) -> bool:
        if row.expired and row.pid is not None and self._is_gone(row.host, row.pid):
            return True
        # Owners note their heartbeat and renew the lease at the same moment.
        length = 0.0 if row.heartbeat is None else row.lease_until - row.heartbeat
        patience = min(max(length, self._lease_seconds), MAX_LEASE_SECONDS)
        return steady - self._seen[row.run_id].since >= patience


def expired(now: float) -> ColumnElement[bool]:
    """Return the condition that a job is RUNNING under a lease that has run out by the clock.

    So has one from before the clock was set back: its owner, if alive, would have renewed it since.
    """
    over = or_(col(Job.lease_until) < now, col(Job.lease_until) > now + MAX_LEASE_SECONDS)
    return and_(col(Job.status) == JobStatus.RUNNING.value, over)


def settle_lost(connection: Connection, now: float, leases: Leases | None) -> None:
    """Count jobs whose lease is over, by the clock where no leases are given, as crashed."""
    lost = expired(now) if leases is None else or_(False, *(_still(lease) for lease in leases.over))
    # What is locked is being settled by another worker, or prolonged by its owner in this moment.
    for job in connection.execute(select(table_of(Job)).where(lost).with_for_update(skip_locked=True)).all():
        settle_crash(connection, job, f"worker {job.worker_id} fell silent", Outcome.LOST, now)


def _still(lease: Lease) -> ColumnElement[bool]:
    """Return the condition that the lease was not renewed, and nobody else has one of the job, since."""
    owned = (col(Job.status) == JobStatus.RUNNING.value, col(Job.attempt) == lease.attempt)
    return and_(col(Job.run_id) == lease.run_id, col(Job.lease_until) == lease.until, *owned)


def pause(engine: Engine, now: float) -> bool:
    """Let no worker claim a job until `resume`; running jobs go on. Return whether that is new."""
    with writing(engine) as connection:
        if is_paused(connection):
            return False
        upsert(connection, table_of(Setting), [{"name": PAUSED, "value": "yes", "changed": now}])
        return True


def resume(engine: Engine) -> bool:
    """Let workers claim jobs again; return whether the queue was paused."""
    with writing(engine) as connection:
        return connection.execute(delete(Setting).where(col(Setting.name) == PAUSED)).rowcount > 0


def change_priority(engine: Engine, run_ids: Collection[int], by: int) -> tuple[int, ...]:
    """Raise or lower the priority of queued runs, all or none; return what each has then.

    What they wait for gets no lower one: a run cannot overtake what it starts from. Raises RunNotFound or
    InvalidTransition.
    """
    return _prioritise(engine, run_ids, lambda before: before + by)


def set_priority(engine: Engine, run_ids: Collection[int], priority: int) -> tuple[int, ...]:
    """Give queued runs this priority, as change_priority does."""
    return _prioritise(engine, run_ids, lambda _: priority)


def _prioritise(engine: Engine, run_ids: Collection[int], change: Callable[[int], int]) -> tuple[int, ...]:
    reached = []
    with writing(engine) as connection:
        for run_id in run_ids:
            job = job_row(connection, run_id)
            if job.status != JobStatus.QUEUED:
                raise InvalidTransition(f"run {run_id} is {job.status}: only queued runs have a priority")
            priority = change(job.priority)
            set_job(connection, run_id, priority=priority)
            for parent in ancestry(connection, [run_id]):
                if job_row(connection, parent).priority < priority:
                    set_job(connection, parent, priority=priority)
            reached.append(priority)
    return tuple(reached)


def is_paused(connection: Connection) -> bool:
    """Return whether the queue is paused."""
    paused = select(col(Setting.changed)).where(col(Setting.name) == PAUSED)
    return connection.execute(paused).one_or_none() is not None


def cancel_requested(engine: Engine, run_id: int) -> bool:
    """Return whether the user has asked to cancel the run: a look without a write, for every second."""
    with reading(engine) as connection:
        asked = select(col(Job.cancel_requested)).where(col(Job.run_id) == run_id)
        return bool(connection.execute(asked).scalar_one_or_none())


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
