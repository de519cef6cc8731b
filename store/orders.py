"""What the user orders for the queue and the order of jobs in it, and what a worker looks up often.

Not here: orders that change what becomes of a job (store.queue).
"""

from collections.abc import Callable, Collection

from sqlalchemy import Connection, Engine, delete, select
from sqlmodel import col

from store.engine import reading, writing
from store.errors import InvalidTransition
from store.jobs import PAUSED, JobStatus, ancestry, job_row, set_job
from store.tables import Job, Setting, table_of
from store.upserts import upsert


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
