"""Deleting runs, softly: out of sight at once, taken back by `undo`, gone for good only with `purge`.

Not here: the files of a run (fsrun.garbage); hiding what is in the trash is a condition, store.jobs.kept.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlmodel import col

from store.checkpoints import CheckpointRow, checkpoints_of
from store.engine import reading, writing
from store.errors import InvalidTransition
from store.jobs import JobStatus, ancestry, are, job_row, kept, numbered, refuse_trashed
from store.remarks import change_remark
from store.tables import (
    Attempt,
    Checkpoint,
    Dependency,
    Job,
    Metric,
    MetricPoint,
    MetricSummary,
    Remark,
    Result,
    Run,
    table_of,
)

_FOR_GOOD = 0.0
"""The time of deletion of a run whose purge has begun: it does not come back."""

_AT_ONCE = 20_000
"""Points that are removed in one transaction, during which nobody else can write."""


@dataclass(frozen=True)
class TrashedRun:
    """A run in the trash: since when, and what goes with it."""

    run_id: int
    method: str
    experiment: str
    trashed: float
    points: int  # of all its curves
    checkpoints: tuple[CheckpointRow, ...]


def trash(engine: Engine, run_ids: Collection[int], now: float) -> None:
    """Put the runs into the trash, all or none.

    Raises RunNotFound, and InvalidTransition where one is queued or running, in the trash already, or what
    another run starts from that is not deleted with it.
    """
    with writing(engine) as connection:
        statuses = {run_id: job_row(connection, run_id).status for run_id in sorted(set(run_ids))}
        refuse_trashed(connection, statuses)
        active = [r for r, status in statuses.items() if status in (JobStatus.QUEUED, JobStatus.RUNNING)]
        if active:
            order = f"fsrun cancel {' '.join(map(str, active))}"
            raise InvalidTransition(
                f"{numbered(active)} {are(active)} queued or running: `{order}` comes first"
            )
        _refuse_needed(connection, statuses)
        for run_id in statuses:
            change_remark(connection, run_id, trashed=now)


def undo(engine: Engine, run_ids: Collection[int] = ()) -> tuple[int, ...]:
    """Take runs out of the trash, by default those deleted last; return them.

    What they start from comes with them. Raises RunNotFound, and InvalidTransition where there is nothing to
    take out.
    """
    with writing(engine) as connection:
        for run_id in run_ids:
            job_row(connection, run_id)
        latest = select(func.max(col(Remark.trashed))).scalar_subquery()
        wanted = col(Remark.run_id).in_(run_ids) if run_ids else col(Remark.trashed) == latest
        query = select(col(Remark.run_id)).where(wanted, col(Remark.trashed) > _FOR_GOOD)
        found = connection.execute(query).scalars().all()
        missing = sorted({*run_ids} - {*found})
        if missing or not found:
            lacking = f"{numbered(missing)} {are(missing)} not in the trash: `fsrun ls` lists what is there"
            raise InvalidTransition(lacking if missing else "the trash is empty: there is nothing to undo")
        family = ancestry(connection, found)
        lying = select(col(Run.id)).where(col(Run.id).in_(family), ~kept(Run.id)).order_by(col(Run.id))
        back = tuple(run_id for run_id in connection.execute(lying).scalars() if run_id is not None)
        connection.execute(update(Remark).where(col(Remark.run_id).in_(back)).values(trashed=None))
        return back


def trashed(engine: Engine, before: float) -> tuple[TrashedRun, ...]:
    """Return the runs that lie in the trash since that time or longer, in an order they can be purged in."""
    points = select(func.coalesce(func.sum(col(Metric.count)), 0)).where(col(Metric.run_id) == col(Run.id))
    columns = col(Run.id), col(Run.method), col(Run.experiment), col(Remark.trashed)
    query = (
        select(*columns, points.scalar_subquery().label("points"))
        .join(Remark, col(Remark.run_id) == col(Run.id))
        .where(col(Remark.trashed) <= before)
        .order_by(col(Run.id).desc())  # a run is always younger than what it starts from
    )
    with reading(engine) as connection:
        return tuple(
            TrashedRun(
                run_id=row.id,
                method=row.method,
                experiment=row.experiment,
                trashed=row.trashed,
                points=row.points,
                checkpoints=checkpoints_of(connection, row.id),
            )
            for row in connection.execute(query).all()
        )


def purge(engine: Engine, run_id: int, before: float) -> bool:
    """Remove everything about a run that lies in the trash since that time or longer; return whether it did.

    It stays where another run still starts from it. Others get their turn to write in between; a purge that
    was interrupted is finished by the next.
    """
    with writing(engine) as connection:
        this = col(Remark.run_id) == run_id
        lying = connection.execute(select(col(Remark.trashed)).where(this)).scalar_one_or_none()
        if lying is None or lying > before or _is_needed(connection, run_id):
            return False
        change_remark(connection, run_id, trashed=_FOR_GOOD)
        metrics = select(col(Metric.id)).where(col(Metric.run_id) == run_id)
        numbers = [number for number in connection.execute(metrics).scalars() if number is not None]
    for number in numbers:
        while _forget_points(engine, number):
            pass
    with writing(engine) as connection:
        connection.execute(delete(MetricSummary).where(col(MetricSummary.metric_id).in_(numbers)))
        for table in (Metric, Result, Checkpoint, Attempt, Dependency, Remark, Job):
            connection.execute(delete(table).where(table_of(table).c.run_id == run_id))
        connection.execute(delete(Run).where(col(Run.id) == run_id))
    return True


def _forget_points(engine: Engine, metric_id: int) -> bool:
    """Remove the first points of a metric; return whether there may be more."""
    with writing(engine) as connection:
        this = col(MetricPoint.metric_id) == metric_id
        steps = select(col(MetricPoint.step)).where(this).order_by(col(MetricPoint.step))
        end = connection.execute(steps.offset(_AT_ONCE).limit(1)).scalar_one_or_none()
        beginning = [] if end is None else [col(MetricPoint.step) < end]
        connection.execute(delete(MetricPoint).where(this, *beginning))
        return end is not None


def _refuse_needed(connection: Connection, run_ids: Collection[int]) -> None:
    """Raise InvalidTransition where runs that stay start from one of these."""
    query = (
        select(col(Dependency.parent_id), col(Dependency.run_id))
        .where(col(Dependency.parent_id).in_(run_ids), col(Dependency.run_id).not_in(run_ids))
        .where(kept(Dependency.run_id))
        .order_by(col(Dependency.parent_id), col(Dependency.run_id))
    )
    needs = connection.execute(query).all()
    if needs:
        parent = needs[0].parent_id
        children = [need.run_id for need in needs if need.parent_id == parent]
        start = "starts" if len(children) == 1 else "start"
        them = numbered(children)
        raise InvalidTransition(
            f"run {parent} cannot be deleted: {them} {start} from it; delete {them} before it or with it"
        )


def _is_needed(connection: Connection, run_id: int) -> bool:
    """Return whether any run, be it in the trash too, starts from this one."""
    children = select(col(Dependency.run_id)).where(col(Dependency.parent_id) == run_id).limit(1)
    return connection.execute(children).one_or_none() is not None
