"""What lists and screens show of runs and workers: plain values, no rows of the ORM."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from json import loads

from sqlalchemy import Connection, select
from sqlmodel import col

from store.curves import Curve, metric_names, read_curve
from store.jobs import JobStatus
from store.results import ResultRow
from store.runs import AttemptRecord, attempts_of, parents_of, results_of
from store.tables import Job, Run


@dataclass(frozen=True)
class RunRow:
    """One run as a line of a list; ages and the remaining time in seconds, `rate` in steps per second.

    A run may carry several `seeds`, from `seed` on; `worked` is the time all its ended attempts took.
    `latest` maps each metric to its newest value, `results` each result to its value, `intervals` to half of
    its 95 % interval, NaN where unknown. `waits_for` are the runs it starts from that are not done. `error`
    is the one line of the error that says most, `variant` what tells the run from others of its preset. Runs
    of one `group_hash` differ by their seeds only. When the lease of a running run, with `lease_left`
    seconds, has run out, another worker resumes it. `worker_died` is False as stored: whoever can look for
    the process may know better.
    """

    id: int
    experiment: str
    method: str
    preset: str
    seed: int
    n_way: int | None
    k_shot: int | None
    status: JobStatus
    priority: int
    step: int
    total_steps: int
    rate: float | None
    eta_seconds: float | None
    latest: Mapping[str, float]
    results: Mapping[str, float]
    worker_id: str | None
    attempt: int
    created: float
    started: float | None
    finished: float | None
    cancel_requested: bool
    heartbeat_age: float | None
    waits_for: tuple[int, ...]
    error: str | None
    group_hash: str = ""
    variant: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    intervals: Mapping[str, float] = field(default_factory=dict)
    lease_left: float | None = None
    worker_died: bool = False
    seeds: int = 1
    worked: float = 0.0

    @property
    def all_seeds(self) -> range:
        """Every seed that the run carries."""
        return range(self.seed, self.seed + self.seeds)


@dataclass(frozen=True)
class WorkerRow:
    """One worker that has not signed off; silent for long means that it died, as `died` may say for sure."""

    id: str
    host: str
    pid: int
    device: str
    started: float
    heartbeat_age: float
    run_id: int | None
    died: bool = False


def seeds_in(config: str) -> int:
    """Return how many seeds a run of this config carries; one where the config does not say."""
    try:
        found = loads(config).get("seeds", 1) if '"seeds"' in config else 1
    except ValueError:
        return 1
    return found if isinstance(found, int) else 1


@dataclass(frozen=True)
class Look:
    """How closely runs are looked at: how many entries a curve may have, and between which steps.

    Of the runs in `compared` only one metric is read, with the ends of its band, called metric.low and
    metric.high. The window holds for all runs.
    """

    max_points: int = 200
    window: tuple[int, int] | None = None
    compared: tuple[int, ...] = ()
    metric: str = ""


@dataclass(frozen=True)
class RunDetail:
    """One run in full: `config` is its JSON text, `error` the whole traceback."""

    row: RunRow
    config: str
    curves: tuple[Curve, ...]
    results: tuple[ResultRow, ...]
    attempts: tuple[AttemptRecord, ...]
    parents: tuple[int, ...]
    error: str | None


SettledDetails = dict[int, tuple[object, RunDetail]]
"""Compared runs that are not running, each with all that can change what was read of it."""


def read_detail(connection: Connection, row: RunRow, look: Look, metric: str | None = None) -> RunDetail:
    """Return everything about the run of this line, its curves of one metric or of all."""
    query = select(col(Run.config), col(Job.error)).join(Job, col(Job.run_id) == col(Run.id))
    config, error = connection.execute(query.where(col(Run.id) == row.id)).one()
    names = metric_names(connection, row.id)
    first, last = look.window or (None, None)
    return RunDetail(
        row=row,
        config=config,
        curves=tuple(
            read_curve(connection, row.id, name, max_points=look.max_points, first=first, last=last)
            for name in names
            if metric is None or name.removesuffix(".low").removesuffix(".high") == metric
        ),
        results=results_of(connection, row.id),
        attempts=attempts_of(connection, row.id),
        parents=parents_of(connection, row.id),
        error=error,
    )


def read_compared(
    connection: Connection, rows: Mapping[int, RunRow], settled: SettledDetails, look: Look
) -> tuple[RunDetail, ...]:
    """Return the compared runs that are among the rows; those in `settled` are not read again."""
    asked = look.max_points, look.window, look.metric
    found = []
    for row in (rows[run_id] for run_id in look.compared if run_id in rows):
        standing = asked, row.status, row.attempt, row.finished
        known = settled.get(row.id)
        if known is None or known[0] != standing:
            known = standing, read_detail(connection, row, look, look.metric)
            if row.finished is not None:
                settled[row.id] = known
        found.append(replace(known[1], row=row))
    for run_id in settled.keys() - set(look.compared):
        del settled[run_id]
    return tuple(found)
