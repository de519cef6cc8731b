"""Runs: queued with what they need, read whole, repeated, and the notes and tags of users."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from json import dumps, loads
from typing import Any

from sqlalchemy import Connection, Engine, case, insert, select
from sqlmodel import col

from store.checkpoints import CheckpointRow, checkpoints_of
from store.engine import reading, storable, upsert, writing
from store.errors import InvalidRemark
from store.jobs import JobStatus, Outcome, ancestry, job_row, kept, leaves_something, set_job
from store.results import ResultRow, result_row
from store.tables import Attempt, Dependency, Job, Metric, Remark, Result, Run, table_of

MAX_NOTE = 2000
"""Characters of a note."""

MAX_TAGS = 20
"""Tags of a run."""

_TAG = re.compile(r"(?!-)[\w.+/-]{1,40}")  # no blank and no leading hyphen: typed after other words


def set_note(engine: Engine, run_ids: Collection[int], note: str) -> None:
    """Put a note to the runs, all or none, in the place of what each had; an empty one takes it away.

    Raises RunNotFound or InvalidRemark.
    """
    note = storable(note.replace("\0", "")).strip()  # PostgreSQL stores no NUL
    check_note(note)
    with writing(engine) as connection:
        for run_id in run_ids:
            change_remark(connection, run_id, note=note)


def change_tags(
    engine: Engine, run_ids: Collection[int], *, add: Collection[str] = (), remove: Collection[str] = ()
) -> None:
    """Give tags to the runs and take others away, all or nothing; what is so already stays.

    Raises RunNotFound or InvalidRemark.
    """
    check_tags(add)
    with writing(engine) as connection:
        for run_id in run_ids:
            tags = ({*tags_of(_remark(connection, run_id)["tags"])} - {*remove}) | {*add}
            if len(tags) > MAX_TAGS:
                raise InvalidRemark(
                    f"run {run_id} would have {len(tags)} tags: {MAX_TAGS} are kept, remove some"
                )
            change_remark(connection, run_id, tags=dumps(sorted(tags)))


def check_note(note: str) -> None:
    """Raise InvalidRemark for a note that is too long."""
    if len(note) > MAX_NOTE:
        raise InvalidRemark(f"the note has {len(note):,} characters: {MAX_NOTE:,} are kept, shorten it")


def check_tags(tags: Collection[str]) -> None:
    """Raise InvalidRemark for the first invalid tag."""
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise InvalidRemark(f"invalid tag {tag!r}: use at most 40 letters, digits and . _ + / -")


def tags_of(stored: str | None) -> tuple[str, ...]:
    """Return the tags of a remark as stored, none where there is no remark."""
    return tuple(loads(stored)) if stored else ()


def change_remark(connection: Connection, run_id: int, **values: Any) -> None:
    """Change columns of the run's remark, which is made if there is none. Raises RunNotFound."""
    upsert(connection, table_of(Remark), [_remark(connection, run_id) | values])


def _remark(connection: Connection, run_id: int) -> dict[str, Any]:
    """Return the row of the run's remark, an empty one if there is none. Raises RunNotFound."""
    job_row(connection, run_id)
    found = connection.execute(select(table_of(Remark)).where(col(Remark.run_id) == run_id)).one_or_none()
    return dict(found._mapping) if found else {"run_id": run_id, "note": "", "tags": "[]", "trashed": None}


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


ON_END = "on end"
"""The fact in the provenance of a request that is a command for its worker, once the run has ended."""

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
