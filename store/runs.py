"""What was asked for: queueing runs with what they need, and looking one up.

Not here: executing them (store.queue) and what they reported (store.metrics, store.results).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from json import dumps, loads

from sqlalchemy import Connection, Engine, case, insert, select
from sqlmodel import col

from store.checkpoints import CheckpointRow, checkpoints_of
from store.engine import reading, writing
from store.jobs import JobStatus, Outcome, ancestry, job_row, kept, leaves_something, set_job
from store.remarks import tags_of
from store.results import ResultRow, result_row
from store.tables import Attempt, Dependency, Job, Remark, Result, Run, table_of


@dataclass(frozen=True)
class RunSpec:
    """One run as asked for; `config` is its complete JSON text, `group_hash` that of all but the seed.

    `variant` says to a person what tells it from other runs of its preset.
    """

    experiment: str
    method: str
    preset: str
    seed: int
    n_way: int | None
    k_shot: int | None
    config: str
    config_hash: str
    group_hash: str
    total_steps: int
    variant: str = ""


@dataclass(frozen=True)
class RunRequest:
    """A run to queue, and the runs it starts from."""

    spec: RunSpec
    needs: tuple["RunRequest", ...] = ()


@dataclass(frozen=True)
class Enqueued:
    """A queued run, the runs it starts from, and which runs were made for its sake by this call."""

    run_id: int
    parents: tuple[int, ...]
    new_parents: tuple[int, ...]


@dataclass(frozen=True)
class AttemptRecord:
    """One execution of a job; `outcome` is None while it goes on."""

    number: int
    worker_id: str
    device: str
    started: float
    ended: float | None
    outcome: Outcome | None
    from_step: int
    error: str | None
    provenance: Mapping[str, str]


@dataclass(frozen=True)
class RunRecord:
    """All there is to know about one run, its curves aside."""

    id: int
    spec: RunSpec
    created: float
    provenance: Mapping[str, str]
    note: str
    tags: tuple[str, ...]
    trashed: float | None
    status: JobStatus
    priority: int
    step: int
    queued: float
    started: float | None
    finished: float | None
    cancel_requested: bool
    error: str | None
    worker_id: str | None
    attempts: tuple[AttemptRecord, ...]
    parents: tuple[int, ...]
    results: tuple[ResultRow, ...]
    checkpoints: tuple[CheckpointRow, ...]

    @property
    def worked(self) -> float:
        """The time in seconds that all ended attempts of the run took."""
        return sum(each.ended - each.started for each in self.attempts if each.ended is not None)


def enqueue(
    engine: Engine,
    requests: Sequence[RunRequest],
    *,
    now: float,
    priority: int = 0,
    provenance: Mapping[str, str],
) -> list[Enqueued]:
    """Queue the runs and what they need, all or nothing.

    Each request becomes a new run. A needed run is shared: a queued, running or done run of the same config
    that is not in the trash is taken where there is one, at no lower priority than what needs it; otherwise
    one is made. What was done elsewhere has left nothing here to start from.
    """
    with writing(engine) as connection:
        placing = _Placing(connection, now, priority, dumps(dict(provenance)))
        return [placing.new_run(request) for request in requests]


def runs_there(engine: Engine, config_hashes: Iterable[str]) -> dict[str, tuple[int, JobStatus]]:
    """Return the newest queued, running or done run of each config that has one, with its status."""
    there = [JobStatus.QUEUED.value, JobStatus.RUNNING.value, JobStatus.DONE.value]
    query = (
        select(col(Run.config_hash), col(Run.id), col(Job.status))
        .join(Job, col(Job.run_id) == col(Run.id))
        .where(col(Job.status).in_(there), kept(Run.id))
    )
    found: dict[str, tuple[int, JobStatus]] = {}
    with reading(engine) as connection:
        for config_hash in config_hashes:
            newest = query.where(col(Run.config_hash) == config_hash).order_by(col(Run.id).desc()).limit(1)
            if row := connection.execute(newest).one_or_none():
                found[config_hash] = row.id, JobStatus(row.status)
    return found


def group_statuses(engine: Engine) -> dict[str, JobStatus]:
    """Return the status of the newest run of every config, by the hash of the config without its seed."""
    query = select(col(Run.group_hash), col(Job.status)).join(Job, col(Job.run_id) == col(Run.id))
    with reading(engine) as connection:
        rows = connection.execute(query.where(kept(Run.id)).order_by(col(Run.id))).all()
    return {row.group_hash: JobStatus(row.status) for row in rows}


def with_prerequisites(engine: Engine, run_ids: Iterable[int]) -> frozenset[int]:
    """Return the runs and every run they start from, directly or not."""
    with reading(engine) as connection:
        return ancestry(connection, run_ids)


def get_run(engine: Engine, run_id: int) -> RunRecord:
    """Return everything stored about a run, its curves aside. Raises RunNotFound."""
    with reading(engine) as connection:
        job = job_row(connection, run_id)
        query = select(table_of(Run), col(Remark.note), col(Remark.tags), col(Remark.trashed))
        query = query.outerjoin(Remark, col(Remark.run_id) == col(Run.id)).where(col(Run.id) == run_id)
        run = connection.execute(query).one()
        return RunRecord(
            id=run_id,
            spec=RunSpec(**{name: getattr(run, name) for name in RunSpec.__dataclass_fields__}),
            created=run.created,
            provenance=loads(run.provenance),
            note=run.note or "",
            tags=tags_of(run.tags),
            trashed=run.trashed,
            status=JobStatus(job.status),
            priority=job.priority,
            step=job.step,
            queued=job.queued,
            started=job.started,
            finished=job.finished,
            cancel_requested=job.cancel_requested,
            error=job.error,
            worker_id=job.worker_id,
            attempts=attempts_of(connection, run_id),
            parents=parents_of(connection, run_id),
            results=results_of(connection, run_id),
            checkpoints=checkpoints_of(connection, run_id),
        )


def attempts_of(connection: Connection, run_id: int) -> tuple[AttemptRecord, ...]:
    """Return the run's attempts, the first one first."""
    query = select(table_of(Attempt)).where(col(Attempt.run_id) == run_id).order_by(col(Attempt.number))
    return tuple(
        AttemptRecord(
            number=row.number,
            worker_id=row.worker_id,
            device=row.device,
            started=row.started,
            ended=row.ended,
            outcome=None if row.outcome is None else Outcome(row.outcome),
            from_step=row.from_step,
            error=row.error,
            provenance=loads(row.provenance),
        )
        for row in connection.execute(query)
    )


def parents_of(connection: Connection, run_id: int) -> tuple[int, ...]:
    """Return the runs this one starts from, the oldest first."""
    query = select(col(Dependency.parent_id)).where(col(Dependency.run_id) == run_id)
    return tuple(connection.execute(query.order_by(col(Dependency.parent_id))).scalars())


def unfinished_parents(connection: Connection) -> dict[int, list[int]]:
    """Return run -> the runs it starts from that are not done, for all runs there are."""
    query = (
        select(col(Dependency.run_id), col(Dependency.parent_id))
        .join(Job, col(Job.run_id) == col(Dependency.parent_id))
        .where(col(Job.status) != JobStatus.DONE.value)
    )
    parents: dict[int, list[int]] = {}
    for run_id, parent_id in connection.execute(query.order_by(col(Dependency.parent_id))):
        parents.setdefault(run_id, []).append(parent_id)
    return parents


def results_of(connection: Connection, run_id: int) -> tuple[ResultRow, ...]:
    """Return what the run measured, by name."""
    query = select(table_of(Result)).where(col(Result.run_id) == run_id).order_by(col(Result.name))
    return tuple(result_row(row) for row in connection.execute(query))


@dataclass
class _Placing:
    """One call of enqueue under way."""

    connection: Connection
    now: float
    priority: int
    provenance: str
    made: list[int] = field(default_factory=list)  # for the sake of others
    shared: dict[str, int] = field(default_factory=dict)  # config_hash -> run

    def new_run(self, request: RunRequest) -> Enqueued:
        already = len(self.made)
        parents = tuple(dict.fromkeys(self.needed_run(need) for need in request.needs))
        new_parents = tuple(self.made[already:])
        run_id = self.insert_run(request.spec)
        if parents:
            edges = [{"run_id": run_id, "parent_id": parent} for parent in parents]
            self.connection.execute(insert(Dependency), edges)
        return Enqueued(run_id, parents, new_parents)

    def needed_run(self, request: RunRequest) -> int:
        """Return the run to share, made now if there is none."""
        config_hash = request.spec.config_hash
        if config_hash not in self.shared:
            self.shared[config_hash] = self.find_or_make(request)
        return self.shared[config_hash]

    def find_or_make(self, request: RunRequest) -> int:
        live = [
            JobStatus.DONE.value,
            JobStatus.RUNNING.value,
            JobStatus.QUEUED.value,
        ]  # the nearest to done first
        rank = case({status: place for place, status in enumerate(live)}, value=col(Job.status))
        query = (
            select(col(Job.run_id))
            .join(Run, col(Job.run_id) == col(Run.id))
            .where(col(Run.config_hash) == request.spec.config_hash, col(Job.status).in_(live), kept(Run.id))
            .where(leaves_something())
            .order_by(rank, col(Run.id))
        )
        found = self.connection.execute(query.limit(1)).scalar_one_or_none()
        if found is None:
            made = self.new_run(request).run_id
            self.made.append(made)
            return made
        for run_id in ancestry(self.connection, [found]):
            if job_row(self.connection, run_id).priority < self.priority:
                set_job(self.connection, run_id, priority=self.priority)
        return found

    def insert_run(self, spec: RunSpec) -> int:
        values = asdict(spec) | {"created": self.now, "provenance": self.provenance}
        made = insert(Run).values(values).returning(table_of(Run).c.id)
        run_id: int = self.connection.execute(made).scalar_one()
        job = {
            "run_id": run_id,
            "status": JobStatus.QUEUED.value,
            "priority": self.priority,
            "queued": self.now,
        }
        idle = {"attempt": 0, "step": 0, "cancel_requested": False, "crashes": 0, "crash_step": 0}
        self.connection.execute(insert(Job).values(job | idle))
        return run_id
