"""What finished runs measured, read back for reports.

Not here: writing results, which is part of finishing a job (store.queue.finish).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from json import loads
from typing import Any

from sqlalchemy import Engine, Row, and_, func, select
from sqlmodel import col

from store.engine import reading
from store.jobs import JobStatus, kept
from store.tables import Attempt, Dependency, Job, Result, Run, table_of

IMPORTED_FROM = "imported from"
"""The entry of a run's provenance that says in which file it came, where it was not made here."""


@dataclass(frozen=True)
class ResultRow:
    """One measured quantity of one run; `interval` is the half width of the 95 % confidence interval.

    `episode_values` holds one float32, little endian, per episode, for comparing runs episode by episode.
    """

    name: str
    value: float
    interval: float | None
    episodes: int | None
    episode_values: bytes | None = None

    def columns(self, run_id: int, now: float) -> dict[str, Any]:
        """Return the row of the result table."""
        value = None if self.value != self.value else self.value
        interval = None if self.interval != self.interval else self.interval
        return {
            "run_id": run_id,
            "name": self.name,
            "value": value,
            "interval": interval,
            "episodes": self.episodes,
            "created": now,
            "episode_values": self.episode_values,
        }


@dataclass(frozen=True)
class FinishedResult:
    """A result beside the run that measured it.

    `seconds` is the time all attempts of the run worked; `provenance` is that of the request, overlaid by
    that of the attempt which finished.
    """

    run_id: int
    experiment: str
    method: str
    preset: str
    seed: int
    n_way: int | None
    k_shot: int | None
    config: str
    group_hash: str
    created: float
    finished: float
    seconds: float
    device: str
    provenance: Mapping[str, str]
    result: ResultRow

    @property
    def imported(self) -> bool:
        """Whether the run was made elsewhere."""
        return IMPORTED_FROM in self.provenance


def result_row(row: Row[Any]) -> ResultRow:
    """Return the ResultRow of a row that has the columns of the result table."""
    value = float("nan") if row.value is None else row.value
    return ResultRow(row.name, value, row.interval, row.episodes, row.episode_values)


def measured_runs(engine: Engine, experiment: str | None = None) -> tuple[int, ...]:
    """Return the finished runs, of an experiment or all, newest first: while they stay, so do the results."""
    query = select(col(Run.id)).join(Job, col(Job.run_id) == col(Run.id)).where(kept(Run.id))
    query = query.where(col(Job.status) == JobStatus.DONE.value)
    if experiment is not None:
        query = query.where(col(Run.experiment) == experiment)
    with reading(engine) as connection:
        return tuple(row.id for row in connection.execute(query.order_by(col(Run.id).desc())))


def finished_results(
    engine: Engine, *, experiment: str | None = None, name: str | None = None
) -> tuple[FinishedResult, ...]:
    """Return the results of finished runs, newest run first, of one experiment or result name if given.

    Those of runs in the trash are left out.
    """
    spent = select(col(Attempt.run_id), func.sum(col(Attempt.ended) - col(Attempt.started)).label("seconds"))
    time_of = spent.group_by(col(Attempt.run_id)).subquery()
    columns: list[Any] = [
        *table_of(Result).c,
        *(column for column in table_of(Run).c if column.name not in ("provenance", "created")),
        col(Run.created).label("run_created"),
        col(Run.provenance).label("asked_with"),
        col(Job.finished),
        col(Attempt.device),
        col(Attempt.provenance).label("made_with"),
        time_of.c.seconds,
    ]
    query = (
        select(*columns)
        .join(Run, col(Run.id) == col(Result.run_id))
        .join(Job, col(Job.run_id) == col(Run.id))
        .join(Attempt, and_(col(Attempt.run_id) == col(Job.run_id), col(Attempt.number) == col(Job.attempt)))
        .join(time_of, time_of.c.run_id == col(Run.id))
        .where(kept(Run.id))
        .order_by(col(Run.id).desc(), col(Result.name))
    )
    if experiment is not None:
        query = query.where(col(Run.experiment) == experiment)
    if name is not None:
        query = query.where(col(Result.name) == name)
    with reading(engine) as connection:
        return tuple(_finished(row) for row in connection.execute(query))


@dataclass(frozen=True)
class Lineage:
    """What every run starts from, and the time in seconds all ended attempts of every run worked.

    `attempts` are those ended attempts: seconds, device, and what made them as JSON.
    """

    parents: Mapping[int, tuple[int, ...]]
    seconds: Mapping[int, float]
    attempts: Mapping[int, tuple[tuple[float, str, str], ...]]

    def ancestors(self, run_id: int) -> tuple[int, ...]:
        """Return all runs that a run builds on, each once, those it starts from first."""
        found: dict[int, None] = {}
        waiting = list(self.parents.get(run_id, ()))
        while waiting:
            parent = waiting.pop(0)
            found[parent] = None
            waiting += [each for each in self.parents.get(parent, ()) if each not in found]
        return tuple(found)


def lineage(engine: Engine) -> Lineage:
    """Return who starts from whom, how long each run worked, and on what."""
    edges = select(col(Dependency.run_id), col(Dependency.parent_id)).order_by(col(Dependency.parent_id))
    ended = (
        select(
            col(Attempt.run_id),
            (col(Attempt.ended) - col(Attempt.started)).label("seconds"),
            col(Attempt.device),
            col(Attempt.provenance),
        )
        .where(col(Attempt.ended).is_not(None))
        .order_by(col(Attempt.number))
    )
    parents: dict[int, tuple[int, ...]] = {}
    attempts: dict[int, tuple[tuple[float, str, str], ...]] = {}
    with reading(engine) as connection:
        for run_id, parent in connection.execute(edges):
            parents[run_id] = (*parents.get(run_id, ()), parent)
        for row in connection.execute(ended):
            attempt = row.seconds, row.device, row.provenance
            attempts[row.run_id] = (*attempts.get(row.run_id, ()), attempt)
    worked = {run_id: sum(seconds for seconds, *_ in each) for run_id, each in attempts.items()}
    return Lineage(parents, worked, attempts)


def _finished(row: Row[Any]) -> FinishedResult:
    return FinishedResult(
        run_id=row.run_id,
        experiment=row.experiment,
        method=row.method,
        preset=row.preset,
        seed=row.seed,
        n_way=row.n_way,
        k_shot=row.k_shot,
        config=row.config,
        group_hash=row.group_hash,
        created=row.run_created,
        finished=row.finished,
        seconds=row.seconds,
        device=row.device,
        provenance=loads(row.asked_with) | loads(row.made_with),
        result=result_row(row),
    )
