"""The processes that execute jobs: who they are and when they last gave a sign of life.

Not here: their right to a job, which is the lease (store.queue).
"""

from collections.abc import Collection
from json import loads

from sqlalchemy import Engine, select, update
from sqlmodel import col

from store.engine import reading, writing
from store.tables import Attempt, Worker, table_of
from store.upserts import upsert


def register(engine: Engine, worker_id: str, *, host: str, pid: int, device: str, now: float) -> None:
    """Enter a worker that has just started; a known id starts anew."""
    row = {
        "id": worker_id,
        "host": host,
        "pid": pid,
        "device": device,
        "started": now,
        "heartbeat": now,
        "stopped": None,
        "run_id": None,
    }
    with writing(engine) as connection:
        upsert(connection, table_of(Worker), [row])


def beat(engine: Engine, worker_id: str, now: float, run_id: int | None = None) -> None:
    """Note that the worker is alive, and which run it executes, if any."""
    with writing(engine) as connection:
        known = update(Worker).where(col(Worker.id) == worker_id)
        connection.execute(known.values(heartbeat=now, run_id=run_id))


def computes_on(engine: Engine, worker_id: str, device: str) -> None:
    """Note what the worker really computes on, once that is known: it may have been asked for "auto"."""
    with writing(engine) as connection:
        connection.execute(update(Worker).where(col(Worker.id) == worker_id).values(device=device))


def stopped(engine: Engine, worker_id: str, now: float) -> None:
    """Note that the worker has ended in good order."""
    with writing(engine) as connection:
        known = update(Worker).where(col(Worker.id) == worker_id)
        connection.execute(known.values(heartbeat=now, stopped=now, run_id=None))


def made_with(engine: Engine, worker_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Return what the newest attempt of each worker was made with, nothing of one without a job so far."""
    newest = select(col(Attempt.worker_id), col(Attempt.provenance)).where(
        col(Attempt.worker_id).in_(list(worker_ids))
    )
    with reading(engine) as connection:
        rows = connection.execute(newest.order_by(col(Attempt.started), col(Attempt.run_id))).all()
    return {row.worker_id: loads(row.provenance) for row in rows}
