"""How far a study is: which of its runs are measured, running, queued or missing, and the hours left.

Not here: what a study is made of (experiments.studies), and how long runs take (experiments.budgets).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Engine

from experiments.budgets import run_seconds
from experiments.config import RunConfig, config_hash, prerequisites
from experiments.errors import unknown_name
from experiments.presets import DEFAULT_PRESET
from experiments.studies import STUDIES
from experiments.sweeps import PlannedRun
from fsrun.report.render import Column, Table, document_of
from fsrun.report.report import Report
from fsrun.words import duration, method_title
from store.jobs import JobStatus
from store.results import finished_results
from store.runs import get_run, runs_there

_STATES = (JobStatus.DONE, JobStatus.RUNNING, JobStatus.QUEUED)
_WORDS = ("Measured", "Running", "Queued", "Missing")


@dataclass
class Part:
    """The runs of one row of a study: their numbers by status, and what is left of them.

    `seconds` is about how long the rest takes, `unknown` how many trainings and tests that leaves out.
    """

    title: str
    run_ids: dict[JobStatus, list[int]] = field(default_factory=dict)
    missing: int = 0
    seconds: float = 0.0
    unknown: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """How many are measured, running, queued, missing."""
        return (*(len(self.run_ids.get(status, ())) for status in _STATES), self.missing)


@dataclass(frozen=True)
class Progress:
    """A study's rows in the order in which they are queued."""

    study: str
    experiment: str
    preset: str
    parts: tuple[Part, ...]


def progress(
    engine: Engine, study: str, *, experiment: str = "omniglot", preset: str | None = None, seeds: int = 1
) -> Progress:
    """Return how far a study is on an experiment's data. Raises ConfigError for one that there is not."""
    if study not in STUDIES:
        raise unknown_name("study", study, STUDIES)
    preset = preset or DEFAULT_PRESET
    planned = STUDIES[study](experiment, preset=preset, seeds=seeds, settings=[])
    needed = {config_hash(config): config for each in planned for config in _with_needs(each.config)}
    there = runs_there(engine, needed)
    left = _Left(engine, there)
    parts: dict[str, Part] = {}
    for each in planned:
        part = parts.setdefault(_title(each), Part(_title(each)))
        run_id, status = there.get(config_hash(each.config), (0, None))
        if status is None:
            part.missing += 1
        else:
            part.run_ids.setdefault(status, []).append(run_id)
        left.add(part, each)
    return Progress(study, experiment, preset, tuple(parts.values()))


def progress_report(
    engine: Engine, study: str, *, experiment: str = "omniglot", preset: str | None = None
) -> Report:
    """Return the report on a study's progress. Raises ConfigError."""
    table = progress_table(progress(engine, study, experiment=experiment, preset=preset))
    return Report(f"report --progress {study}", (table,), partial(document_of, table))


def progress_table(found: Progress) -> Table:
    """Return a line for each row of the study, and one for all."""
    counts = [sum(column) for column in zip(*(part.counts for part in found.parts), strict=True)]
    unknown = sum(part.unknown for part in found.parts)
    total = Part("All", seconds=sum(part.seconds for part in found.parts), unknown=unknown)
    return Table.of(
        f"{found.study} on {found.experiment}, preset {found.preset}: {counts[0]} of {sum(counts)} "
        "runs measured",
        (
            Column("Row", lambda part: part.title),
            *(_count_of(place, word, total, counts) for place, word in enumerate(_WORDS)),
            Column("Left", _left, "seconds_left", numeric=True),
        ),
        found.parts,
        _record,
        total=total,
        notes=tuple(_notes(found, total)),
    )


def _count_of(place: int, word: str, total: Part, counts: Sequence[int]) -> Column:
    """Return the column of the runs of one status; of no runs it says nothing, but in the line for all."""

    def show(part: Part) -> str:
        return str(counts[place]) if part is total else str(part.counts[place] or "")

    return Column(word, show, word.lower(), numeric=True)


class _Left:
    """Adds up how long runs take that are not measured, with what they start from, each of these once."""

    def __init__(self, engine: Engine, there: Mapping[str, tuple[int, JobStatus]]) -> None:
        self.engine = engine
        self.there = there
        self.counted: set[str] = set()
        self.worked = {each.group_hash: each.seconds for each in finished_results(engine)}

    def add(self, part: Part, planned: PlannedRun) -> None:
        """Add to a part what is left of a planned run."""
        for config in _with_needs(planned.config):
            name = config_hash(config)
            run_id, status = self.there.get(name, (0, None))
            if name in self.counted or status is JobStatus.DONE:
                continue
            self.counted.add(name)
            seconds = run_seconds(config, planned.preset)
            if seconds is None:  # as long as another seed of it took
                seconds = self.worked.get(config_hash(config, with_seed=False))
            if seconds is None:
                part.unknown += 1
            else:
                part.seconds += seconds * (self._share_left(run_id) if status is JobStatus.RUNNING else 1)

    def _share_left(self, run_id: int) -> float:
        run = get_run(self.engine, run_id)
        return 1 - run.step / run.spec.total_steps if run.spec.total_steps else 1.0


def _with_needs(config: RunConfig) -> Iterator[RunConfig]:
    for need in prerequisites(config):
        yield from _with_needs(need)
    yield config


def _title(planned: PlannedRun) -> str:
    return planned.purpose.partition(",")[0] if planned.purpose else method_title(planned.config.method.name)


def _left(part: Part) -> str:
    """Return about how long the rest of a part takes, with a mark where some of it was never measured."""
    if not part.seconds:
        return "?" if part.unknown else ""
    return duration(part.seconds) + "+" * bool(part.unknown)


def _notes(found: Progress, total: Part) -> Iterator[str]:
    data = "" if found.experiment == "omniglot" else f" --on {found.experiment}"
    command = f"fsrun queue {found.study}{data} --preset {found.preset}"
    missing = sum(part.missing for part in found.parts)
    if missing:
        yield f"Missing: neither there nor queued, or failed. `{command}` queues them."
    if total.seconds or total.unknown:
        yield (
            "Left: on one quiet core, with what the runs start from, a shared training once; what was never "
            "measured there takes as long as another seed of it."
        )
    if total.unknown:
        runs = "run's time was" if total.unknown == 1 else "runs' times were"
        yield f"+ or ?: {total.unknown} {runs} never measured at all."


def _record(part: Part) -> dict[str, Any]:
    run_ids = sorted(run_id for ids in part.run_ids.values() for run_id in ids)
    return {
        "row": part.title,
        "title": part.title,
        **{word.lower(): count for word, count in zip(_WORDS, part.counts, strict=True)},
        "seconds_left": part.seconds,
        "never_measured": part.unknown,
        "run_ids": run_ids,
    }
