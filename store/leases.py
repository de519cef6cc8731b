"""When a lease is over: by a clock that everybody goes by, or by what one worker has seen of it.

Not here: giving leases and prolonging them (store.queue). Times are passed in, never read.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, or_, select
from sqlmodel import col

from store.engine import reading
from store.jobs import JobStatus, Outcome, settle_crash
from store.tables import Job, Worker, table_of

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
