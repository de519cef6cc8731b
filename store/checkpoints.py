"""Which checkpoint files a run has.

Not here: the files themselves (fsrun.checkpoint_files); only their places, steps and hashes are known.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, select
from sqlmodel import col

from store.engine import reading, upsert, writing
from store.jobs import fence, job_row
from store.tables import Checkpoint, table_of


@dataclass(frozen=True)
class CheckpointRow:
    """One file from which a run can go on; `sha256` is the file's, in hexadecimal.

    `path` is relative to the folder of checkpoints, which may be copied or moved as a whole. A checkpoint
    that is kept at a `url` may have a copy there.
    """

    run_id: int
    step: int
    attempt: int
    path: Path
    sha256: str
    created: float
    url: str = ""


def add(engine: Engine, run_id: int, attempt: int, *, step: int, place: str, sha256: str, now: float) -> None:
    """Record a complete checkpoint, at a path below the folder of checkpoints or a URL. Raises LeaseLost."""
    with writing(engine) as connection:
        fence(connection, run_id, attempt)
        upsert(connection, table_of(Checkpoint), [_row(run_id, attempt, step, place, sha256, now)])


def attach(engine: Engine, run_id: int, *, step: int, place: str, sha256: str, now: float) -> None:
    """Record the weights of a finished run from elsewhere; others can start from it then."""
    with writing(engine) as connection:
        upsert(connection, table_of(Checkpoint), [_row(run_id, 1, step, place, sha256, now)])


def _row(run_id: int, attempt: int, step: int, place: str, sha256: str, now: float) -> dict[str, Any]:
    if Path(place).is_absolute():
        raise ValueError(f"{place} is absolute: a home that is copied or moved would lose its checkpoints")
    return {
        "run_id": run_id,
        "step": step,
        "attempt": attempt,
        "path": place,
        "sha256": sha256,
        "created": now,
    }


def prune(engine: Engine, run_id: int, attempt: int, *, keep: int) -> tuple[CheckpointRow, ...]:
    """Forget all but the furthest `keep` checkpoints; return those now unneeded. Raises LeaseLost.

    One beyond the step of the attempt goes first: passed over when the attempt resumed, it is damaged.
    """
    with writing(engine) as connection:
        fence(connection, run_id, attempt)
        step = job_row(connection, run_id).step
        rows = checkpoints_of(connection, run_id)
        kept = [row for row in rows if row.attempt == attempt or row.step <= step][:keep]
        dropped = [row for row in rows if row not in kept]
        for row in dropped:
            this = (col(Checkpoint.step) == row.step, col(Checkpoint.attempt) == row.attempt)
            connection.execute(delete(Checkpoint).where(col(Checkpoint.run_id) == run_id, *this))
    needed = {row.path for row in kept}
    return tuple(row for row in dropped if row.path not in needed)


def newest_first(engine: Engine, run_id: int) -> tuple[CheckpointRow, ...]:
    """Return the run's checkpoints, the furthest step first, and for one step the latest attempt first."""
    with reading(engine) as connection:
        return checkpoints_of(connection, run_id)


def checkpoints_of(connection: Connection, run_id: int) -> tuple[CheckpointRow, ...]:
    """Do what newest_first does, inside a transaction."""
    query = select(table_of(Checkpoint)).where(col(Checkpoint.run_id) == run_id)
    rows = connection.execute(query.order_by(col(Checkpoint.step).desc(), col(Checkpoint.attempt).desc()))
    return tuple(map(checkpoint_row, rows))


def checkpoint_row(row: Any) -> CheckpointRow:
    """Return a row of the table; a URL ends with the folders of the database and the run, and the file."""
    url = row.path if "://" in row.path else ""
    path = Path(*url.split("/")[-3:]) if url else Path(row.path)
    return CheckpointRow(row.run_id, row.step, row.attempt, path, row.sha256, row.created, url)
