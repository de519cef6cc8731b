"""What the user orders for the whole queue, and what a worker looks up often without writing.

Not here: orders about one job (store.queue).
"""

from sqlalchemy import Connection, Engine, delete, select
from sqlmodel import col

from store.engine import reading, upsert, writing
from store.jobs import PAUSED
from store.tables import Job, Setting, table_of


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


def is_paused(connection: Connection) -> bool:
    """Return whether the queue is paused."""
    paused = select(col(Setting.changed)).where(col(Setting.name) == PAUSED)
    return connection.execute(paused).one_or_none() is not None


def cancel_requested(engine: Engine, run_id: int) -> bool:
    """Return whether the user has asked to cancel the run: a look without a write, for every second."""
    with reading(engine) as connection:
        asked = select(col(Job.cancel_requested)).where(col(Job.run_id) == run_id)
        return bool(connection.execute(asked).scalar_one_or_none())
