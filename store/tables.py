"""The tables, one class each; the migrations build exactly these.

Not here: queries. Times are float Unix seconds because SQLite forgets time zones; NaN is stored as NULL.
"""

# No `from __future__ import annotations` here: SQLModel reads the annotations while it builds the class.

from typing import ClassVar

from sqlalchemy import Index, Table
from sqlmodel import Field, SQLModel, col


class Run(SQLModel, table=True):
    """What was asked for; never changes once stored."""

    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    experiment: str
    method: str
    preset: str
    seed: int
    n_way: int | None = None
    k_shot: int | None = None
    config: str  # JSON, complete
    config_hash: str = Field(index=True)
    group_hash: str = Field(index=True)  # of the config without its seed
    variant: str = ""  # for a person: what tells it from other runs of its preset
    total_steps: int
    created: float
    provenance: str  # JSON object of strings


class Remark(SQLModel, table=True):
    """What the user says of one run, and may change at any time; a run that nobody spoke of has none."""

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    note: str = ""
    tags: str = "[]"  # JSON list of strings, in alphabetical order
    trashed: float | None = None  # since when it lies in the trash


class Job(SQLModel, table=True):
    """The order to execute one run, and how far it has come."""

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    status: str  # a store.jobs.JobStatus
    priority: int = 0
    attempt: int = 0  # of the latest attempt; every write of a worker names it
    worker_id: str | None = None
    lease_until: float | None = None
    step: int = 0
    rate: float | None = None  # steps per second
    reported: float | None = None  # when the runner last wrote
    queued: float
    started: float | None = None  # of the first attempt
    finished: float | None = None
    cancel_requested: bool = False
    crashes: int = 0  # in a row, without progress
    crash_step: int = 0  # furthest step that any crash has reached
    error: str | None = None


# In the order of claims, which so look at the first jobs only, however many are queued.
Index("ix_job_claim", col(Job.status), col(Job.priority).desc(), col(Job.queued), col(Job.run_id))


class Dependency(SQLModel, table=True):
    """Run run_id starts from what run parent_id made, and waits for it."""

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    parent_id: int = Field(primary_key=True, foreign_key="run.id", index=True)


class Attempt(SQLModel, table=True):
    """One execution of a job."""

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    number: int = Field(primary_key=True)
    worker_id: str
    device: str
    started: float
    ended: float | None = None
    outcome: str | None = None  # a store.jobs.Outcome
    from_step: int = 0
    error: str | None = None
    provenance: str  # JSON object of strings


class Metric(SQLModel, table=True):
    """The directory of curves: one row per run and metric name, with its newest point."""

    __table_args__: ClassVar[tuple[Index, ...]] = (
        Index("ix_metric_run_name", "run_id", "name", unique=True),
    )

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id")
    name: str  # split/quantity, for example test/accuracy
    last_step: int
    last_value: float | None = None
    last_time: float
    count: int


class MetricPoint(SQLModel, table=True):
    """One value of one metric at one step; clustered, so that reading a stretch of a curve is one seek."""

    __tablename__ = "point"
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_with_rowid": False}

    metric_id: int = Field(primary_key=True, foreign_key="metric.id")
    step: int = Field(primary_key=True)
    value: float | None = None
    time: float


class MetricSummary(SQLModel, table=True):
    """The points of one metric with step // RADIX**level == bucket, folded into one row."""

    __tablename__ = "summary"
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_with_rowid": False}

    metric_id: int = Field(primary_key=True, foreign_key="metric.id")
    level: int = Field(primary_key=True)
    bucket: int = Field(primary_key=True)
    count: int
    nan_count: int
    low: float | None = None
    high: float | None = None
    total: float | None = None  # of the values that are numbers
    last_step: int
    last_value: float | None = None
    last_time: float


class Result(SQLModel, table=True):
    """What a finished run measured."""

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    name: str = Field(primary_key=True)
    value: float | None = None
    interval: float | None = None  # half width of the 95 % confidence interval
    episodes: int | None = None
    created: float
    episode_values: bytes | None = None  # float32, little endian, one per episode


class Checkpoint(SQLModel, table=True):
    """One file from which a run can go on."""

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    step: int = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    path: str
    sha256: str
    created: float


class Worker(SQLModel, table=True):
    """One process that executes jobs on one device."""

    id: str = Field(primary_key=True)
    host: str
    pid: int
    device: str
    started: float
    heartbeat: float
    stopped: float | None = None
    run_id: int | None = None


class Setting(SQLModel, table=True):
    """What holds for the whole queue, until it is changed."""

    name: str = Field(primary_key=True)
    value: str
    changed: float


def table_of(model: type[SQLModel]) -> Table:
    """Return the SQLAlchemy table behind a class above, for statements on many rows at once."""
    return SQLModel.metadata.tables[str(model.__tablename__)]
