"""Runs that repeat other runs, and where the curves of a run ended.

Not here: whether a run came to the same numbers (fsrun.report.repetition).
"""

from collections.abc import Mapping
from json import loads

from sqlalchemy import Engine, select
from sqlmodel import col

from store.engine import reading
from store.jobs import kept
from store.tables import Metric, Run

REPEATS = "repeats run"
"""The fact in the provenance of a request that names the run it repeats."""


def repeats_of(engine: Engine, run_id: int) -> tuple[int, ...]:
    """Return the runs that were asked for to repeat a run, the oldest first."""
    query = select(col(Run.id), col(Run.provenance)).where(
        kept(Run.id), col(Run.provenance).contains(REPEATS)
    )
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(col(Run.id))).all()
    return tuple(row.id for row in rows if loads(row.provenance).get(REPEATS) == str(run_id))


def curve_ends(engine: Engine, run_id: int) -> Mapping[str, tuple[int, int, float | None]]:
    """Return by name how many points each curve of a run has, its last step, and its value there."""
    columns = (col(Metric.name), col(Metric.count), col(Metric.last_step), col(Metric.last_value))
    with reading(engine) as connection:
        rows = connection.execute(select(*columns).where(col(Metric.run_id) == run_id))
        return {name: (count, step, value) for name, count, step, value in rows}
