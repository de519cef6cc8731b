"""Finished runs of other databases, taken into this one: what was asked for, measured, and seen on the way.

Not here: the files they travel in (fsrun.archive, fsrun.models), and their weights (store.checkpoints).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from json import dumps

from sqlalchemy import Connection, Engine, insert, select
from sqlmodel import col

from store.curves import add_points
from store.engine import writing
from store.jobs import JobStatus, Outcome
from store.results import IMPORTED_FROM, ResultRow
from store.runs import RunSpec
from store.tables import Attempt, Dependency, Job, Remark, Result, Run, table_of

TAG = "imported"
"""What every run from elsewhere is tagged with."""


@dataclass(frozen=True)
class ForeignRun:
    """A finished run of another database; `number` and those of its `parents` are what they are called there.

    `seconds` is the time all its attempts worked; `asked_with` and `made_with` are the provenance of the
    request and of the attempt that finished. `curves` are metrics by name, values by their steps.
    """

    number: int
    spec: RunSpec
    parents: tuple[int, ...]
    created: float
    finished: float
    seconds: float
    device: str
    asked_with: Mapping[str, str]
    made_with: Mapping[str, str]
    results: tuple[ResultRow, ...]
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Added:
    """The runs that were taken in, as they are called here, and those that were here already.

    `numbers` maps what each was called there to what it is called here.
    """

    new: tuple[int, ...]
    present: tuple[int, ...]
    numbers: Mapping[int, int]


def add_finished(engine: Engine, runs: Sequence[ForeignRun], origin: str) -> Added:
    """Take in the runs that are not here, all or nothing; `origin` says where from, and is kept with each.

    A run comes after those it starts from. It is here already if one of the same config finished at the same
    moment.
    """
    numbers: dict[int, int] = {}
    present = []
    with writing(engine) as connection:
        for run in runs:
            here = _same(connection, run)
            if here is not None:
                present.append(here)
            numbers[run.number] = here or _insert(
                connection, run, [numbers[parent] for parent in run.parents], origin
            )
    new = tuple(number for number in numbers.values() if number not in present)
    return Added(new, tuple(present), numbers)


def _same(connection: Connection, run: ForeignRun) -> int | None:
    query = (
        select(col(Run.id))
        .join(Job, col(Job.run_id) == col(Run.id))
        .where(col(Run.config_hash) == run.spec.config_hash, col(Job.finished) == run.finished)
    )
    return connection.execute(query.limit(1)).scalar_one_or_none()


def _insert(connection: Connection, run: ForeignRun, parents: Sequence[int], origin: str) -> int:
    asked = asdict(run.spec) | {"created": run.created, "provenance": dumps(dict(run.asked_with))}
    run_id: int = connection.execute(insert(Run).values(asked).returning(table_of(Run).c.id)).scalar_one()
    began = run.finished - run.seconds
    connection.execute(
        insert(Job).values(
            run_id=run_id,
            status=JobStatus.DONE.value,
            priority=0,
            attempt=1,
            step=run.spec.total_steps,
            queued=run.created,
            started=began,
            finished=run.finished,
            cancel_requested=False,
            crashes=0,
            crash_step=0,
        )
    )
    connection.execute(
        insert(Attempt).values(
            run_id=run_id,
            number=1,
            worker_id=TAG,
            device=run.device,
            started=began,
            ended=run.finished,
            outcome=Outcome.DONE.value,
            from_step=0,
            provenance=dumps({**run.made_with, IMPORTED_FROM: origin}),
        )
    )
    for parent in parents:
        connection.execute(insert(Dependency).values(run_id=run_id, parent_id=parent))
    for result in run.results:
        connection.execute(insert(Result).values(result.columns(run_id, run.finished)))
    for name, points in run.curves.items():
        add_points(connection, run_id, name, points, run.finished)
    connection.execute(insert(Remark).values(run_id=run_id, note="", tags=dumps([TAG]), trashed=None))
    return run_id
