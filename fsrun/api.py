"""The Python API for notebooks: runs, their curves and their results as plain values.

`import fsrun` gives all that is public here. Not here: anything that changes a run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from json import loads
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.results import FinishedResult
    from store.views import RunRow

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class Run:
    """One run, with the names that `fsrun ls --json` has; times are aware datetimes in UTC.

    `newest` names the result or metric that says most. `latest` has the last value of each metric, `results`
    each result, and `intervals` half of its 95 % interval, NaN where it has none.
    """

    id: int
    status: str
    experiment: str
    method: str
    preset: str
    variant: str
    seed: int
    seeds: int
    n_way: int | None
    k_shot: int | None
    step: int
    total_steps: int
    steps_per_second: float | None
    seconds_left: float | None
    waits_for: tuple[int, ...]
    newest: str | None
    latest: Mapping[str, float]
    results: Mapping[str, float]
    intervals: Mapping[str, float]
    created: datetime
    started: datetime | None
    finished: datetime | None
    worked_seconds: float
    worker: str | None
    priority: int
    tags: tuple[str, ...]
    note: str
    error: str | None


@dataclass(frozen=True)
class Result:
    """One quantity that a finished run measured; `interval` is half of its 95 % interval.

    Accuracies are from 0 to 1. `config` has all options of the run.
    """

    run: int
    experiment: str
    method: str
    preset: str
    seed: int
    n_way: int | None
    k_shot: int | None
    name: str
    value: float
    interval: float | None
    episodes: int | None
    finished: datetime
    seconds: float
    device: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Curve:
    """One metric of a run: every point, in order of the steps; `times` in Unix seconds."""

    run: int
    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    times: tuple[float, ...]

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each point. Raises FsrunError without pandas."""
        return _frame({"step": self.steps, "value": self.values, "time": self.times})


class Rows(tuple[_Row, ...]):
    """Runs or results: a tuple that pandas can take over."""

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each. Raises FsrunError without pandas."""
        names = [each.name for each in fields(self[0])] if self else []  # type: ignore[arg-type]
        return _frame({name: [getattr(row, name) for row in self] for name in names})


def runs(*run_ids: int, status: str | None = None, tag: str | None = None) -> Rows[Run]:
    """Return runs of the home, the newest first: all, or those of these numbers, of a status, with a tag.

    Raises RunNotFound for a number that no run has, and UsageError for an unknown status.
    """
    from fsrun.choosing import runs_of
    from fsrun.liveness import Clock
    from store.runs import get_run

    with _opened() as engine:
        for run_id in run_ids:
            get_run(engine, run_id)
        found = runs_of(engine, Clock(engine)(), status, tag)
    return Rows(run_of(row) for row in found if not run_ids or row.id in run_ids)


def results(*, experiment: str | None = None, name: str | None = None) -> Rows[Result]:
    """Return what finished runs measured, the newest run first: all, or of one experiment, or of one name."""
    from store.results import finished_results

    with _opened() as engine:
        return Rows(map(_result_of, finished_results(engine, experiment=experiment, name=name)))


def curve(run: int, name: str) -> Curve:
    """Return every point of a run's metric, such as "val/accuracy".

    Raises RunNotFound, and ConfigError with the nearest name where the run has no such metric.
    """
    from experiments.errors import unknown_name
    from store.curves import every_point
    from store.runs import curve_ends, get_run

    with _opened() as engine:
        get_run(engine, run)
        if name not in (known := curve_ends(engine, run)):
            raise unknown_name(f"metric of run {run}", name, known)
        points = list(every_point(engine, run, name))
    steps, values, times = zip(*((each.step, each.value, each.time) for each in points), strict=True)
    return Curve(run, name, steps, values, times)


def run_of(row: "RunRow") -> Run:
    """Return a line of the store's list as the API and `ls --json` show it."""
    from fsrun.words import newest_name, status_word

    return Run(
        id=row.id,
        status=status_word(row) if row.status in ("queued", "running") else row.status.value,
        experiment=row.experiment,
        method=row.method,
        preset=row.preset,
        variant=row.variant,
        seed=row.seed,
        seeds=row.seeds,
        n_way=row.n_way,
        k_shot=row.k_shot,
        step=row.step,
        total_steps=row.total_steps,
        steps_per_second=row.rate,
        seconds_left=row.eta_seconds,
        waits_for=row.waits_for,
        newest=newest_name(row) or None,
        latest=dict(row.latest),
        results=dict(row.results),
        intervals=dict(row.intervals),
        created=datetime.fromtimestamp(row.created, UTC),
        started=None if row.started is None else datetime.fromtimestamp(row.started, UTC),
        finished=None if row.finished is None else datetime.fromtimestamp(row.finished, UTC),
        worked_seconds=row.worked,
        worker=row.worker_id,
        priority=row.priority,
        tags=row.tags,
        note=row.note,
        error=row.error,
    )


def _result_of(found: "FinishedResult") -> Result:
    return Result(
        run=found.run_id,
        experiment=found.experiment,
        method=found.method,
        preset=found.preset,
        seed=found.seed,
        n_way=found.n_way,
        k_shot=found.k_shot,
        name=found.result.name,
        value=found.result.value,
        interval=found.result.interval,
        episodes=found.result.episodes,
        finished=datetime.fromtimestamp(found.finished, UTC),
        seconds=found.seconds,
        device=found.device,
        config=loads(found.config),
    )


@contextmanager
def _opened() -> Iterator["Engine"]:
    """Open the database that commands use: that of FSRUN_HOME or FSRUN_DB_URL, which must be there."""
    from fsrun.paths import find_home
    from store.engine import open_store

    engine = open_store(find_home().database, create=False)
    try:
        yield engine
    finally:
        engine.dispose()


def _frame(columns: Mapping[str, Any]) -> Any:
    from fsrun.errors import FsrunError

    try:
        import pandas
    except ImportError as error:
        raise FsrunError("to_frame needs pandas, which is not installed: pip install pandas") from error
    return pandas.DataFrame(columns)
