"""Workers, their heartbeats, and the slots that one command has started on other machines."""

from collections.abc import Collection
from dataclasses import dataclass
from json import loads

from sqlalchemy import Engine, delete, select, update
from sqlmodel import col

from store.engine import reading, upsert, writing
from store.jobs import JobStatus, Outcome, settle_crash
from store.queue import is_paused
from store.tables import Attempt, Job, Setting, Worker, table_of


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


@dataclass(frozen=True)
class Holding:
    """The slots of a fleet that have begun, those that hold a job, and whether the queue is paused."""

    begun: frozenset[str]
    held: frozenset[str]
    paused: bool


def worker_name(host: str, slot: str) -> str:
    """Return the worker's id under which a slot works on a machine."""
    return f"{host}-{slot}"


def is_of(fleet: str, worker_id: str | None) -> bool:
    """Say whether a worker is a slot of the fleet."""
    return f"-{fleet}-" in (worker_id or "")


def holding(engine: Engine, fleet: str) -> Holding:
    """Look at what a fleet's slots are about."""
    slots = col(Worker.id).contains(f"-{fleet}-", autoescape=True)
    owned = col(Job.worker_id).contains(f"-{fleet}-", autoescape=True)
    running = col(Job.status) == JobStatus.RUNNING.value
    with reading(engine) as connection:
        begun = connection.execute(select(col(Worker.id)).where(slots)).scalars()
        held = connection.execute(select(col(Job.worker_id)).where(running, owned)).scalars()
        return Holding(
            frozenset(_slot(fleet, each) for each in begun),
            frozenset(_slot(fleet, each) for each in held if each is not None),
            is_paused(connection),
        )


def died(engine: Engine, slot: str, reason: str, now: float) -> tuple[int, ...]:
    """Take the jobs of a slot that is known to be dead from it, as if its lease had run out; return them.

    Should it live after all, it is shut out as any other that lost its lease.
    """
    with writing(engine) as connection:
        works = col(Worker.id).endswith(f"-{slot}", autoescape=True)
        connection.execute(
            update(Worker).where(works, col(Worker.stopped).is_(None)).values(stopped=now, run_id=None)
        )
        owned = col(Job.worker_id).endswith(f"-{slot}", autoescape=True)
        orphans = select(table_of(Job)).where(col(Job.status) == JobStatus.RUNNING.value, owned)
        jobs = connection.execute(orphans.with_for_update()).all()
        for job in jobs:
            settle_crash(connection, job, f"worker {job.worker_id} died: {reason}", Outcome.LOST, now)
        return tuple(job.run_id for job in jobs)


def order_to_stop(engine: Engine, fleet: str, now: float) -> None:
    """Have every slot of the fleet hand back its job after a checkpoint and end."""
    with writing(engine) as connection:
        upsert(connection, table_of(Setting), [{"name": _order(fleet), "value": "yes", "changed": now}])


def is_to_stop(engine: Engine, fleet: str) -> bool:
    """Say whether the slots of the fleet have been ordered to stop."""
    with reading(engine) as connection:
        asked = select(col(Setting.changed)).where(col(Setting.name) == _order(fleet))
        return connection.execute(asked).one_or_none() is not None


def forget(engine: Engine, fleet: str) -> None:
    """Take the order back, once no slot of the fleet is left."""
    with writing(engine) as connection:
        connection.execute(delete(Setting).where(col(Setting.name) == _order(fleet)))


def _order(fleet: str) -> str:
    return f"stop {fleet}"


def _slot(fleet: str, worker_id: str) -> str:
    return worker_id[worker_id.index(f"-{fleet}-") + 1 :]
