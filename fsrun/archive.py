"""Finished runs as a file: config, provenance, everything they measured, and their validation curves.

Without weights, and without the curves of training.

Not here: the weights of a run (fsrun.models), and how the store takes runs in (store.archive).
"""

import json
import math
import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Engine

from experiments.config import config_from_json
from experiments.errors import ConfigError
from fsrun.errors import FsrunError
from fsrun.planning import run_spec
from fsrun.provenance import PROCESSOR_SECONDS
from fsrun.writing import put_text
from store.archive import Added, ForeignRun, add_finished
from store.curves import every_point, metric_names
from store.engine import reading
from store.jobs import JobStatus
from store.results import IMPORTED_FROM, ResultRow, measured_runs
from store.runs import ON_END, REPEATS, AttemptRecord, RunRecord, get_run, with_prerequisites


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResultPart(_Part):
    """One quantity; `episode_values` are float32, little endian, compressed by zlib, as base64."""

    name: str
    value: float | None
    interval: float | None = None
    episodes: int | None = None
    episode_values: str | None = None


class RunPart(_Part):
    """One run; `starts_from` are runs that stand before it in the file. Times in Unix seconds.

    `validation` has the curves on validation classes by name: steps and values, null for what is no number.
    """

    run: int = Field(ge=1)
    preset: str
    config: dict[str, Any]
    starts_from: tuple[int, ...] = ()
    created: float
    finished: float
    seconds: float = Field(ge=0)
    device: str
    asked_with: dict[str, str]
    made_with: dict[str, str]
    results: tuple[ResultPart, ...]
    validation: dict[str, tuple[tuple[int, float | None], ...]] = {}


class Archive(_Part):
    """The file."""

    format: Literal["fsrun runs 1"]
    runs: tuple[RunPart, ...]


@dataclass(frozen=True)
class Exported:
    """How many runs were asked for, and how many went along since those start from them."""

    asked: int
    along: int


def export_runs(engine: Engine, run_ids: Collection[int], path: Path) -> Exported:
    """Write the runs, all finished ones where none is named, and what they start from into one file.

    Raises RunNotFound, and FsrunError where one has not finished or the file cannot be written.
    """
    asked = set(run_ids) or set(measured_runs(engine))
    if not asked:
        raise FsrunError("no run has finished: there is nothing to export, see fsrun ls")
    records = [get_run(engine, run_id) for run_id in sorted(with_prerequisites(engine, asked))]
    for record in records:
        if record.status is not JobStatus.DONE:
            raise FsrunError(f"run {record.id} is {record.status}: only finished runs can be exported")
    archive = Archive(format="fsrun runs 1", runs=tuple(_run_part(engine, each) for each in records))
    lines = ",\n".join(
        json.dumps(run.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
        for run in archive.runs
    )
    put_text(path, f'{{"format": "{archive.format}", "runs": [\n{lines}\n]}}\n')
    return Exported(len(asked), len(records) - len(asked))


def import_runs(engine: Engine, path: Path) -> Added:
    """Take the runs of a file into the database, but for those that are there, all or nothing.

    Raises FsrunError for a file that is no archive of runs or holds one that this version cannot read.
    """
    runs = read_runs(path)
    return add_finished(engine, runs, path.name)


def read_runs(path: Path) -> tuple[ForeignRun, ...]:
    """Return the runs of a file. Raises FsrunError."""
    try:
        archive = Archive.model_validate_json(path.read_bytes())
    except OSError as error:
        remedy = "name a file of runs, or a folder that `fsrun export` wrote"
        raise FsrunError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    except ValidationError as error:
        raise FsrunError(f"{path} {_fault(error)}") from error
    known: set[int] = set()
    for part in archive.runs:
        _check(part, known, path)
        known.add(part.run)
    return tuple(_foreign(part, path) for part in archive.runs)


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid" or not where or where.split(".")[0] not in ("runs",):
        return "is not a file of runs: name a file that `fsrun export --format runs` wrote"
    return f"is damaged at {where} ({first['msg'].lower()}): export the runs again"


def _check(part: RunPart, known: Collection[int], path: Path) -> None:
    absent = [run for run in part.starts_from if run not in known]
    if part.run in known or absent:
        fault = f"starts from run {absent[0]}, which is not before it" if absent else "is there twice"
        raise FsrunError(f"{path} is damaged: run {part.run} {fault}; export the runs again")


def _run_part(engine: Engine, run: RunRecord) -> RunPart:
    attempt = run.attempts[-1]
    return RunPart(
        run=run.id,
        preset=run.spec.preset,
        config=json.loads(run.spec.config),
        starts_from=run.parents,
        created=run.created,
        finished=run.finished or 0.0,
        seconds=run.worked,
        device=attempt.device,
        asked_with=_lasting(run.provenance),
        made_with=_lasting(attempt.provenance) | _worked(run.attempts),
        results=tuple(map(_result_part, run.results)),
        validation=dict(_validation(engine, run.id)),
    )


def _validation(engine: Engine, run_id: int) -> Iterator[tuple[str, tuple[tuple[int, float | None], ...]]]:
    with reading(engine) as connection:
        names = [name for name in metric_names(connection, run_id) if name.startswith("val/")]
    for name in names:
        points = every_point(engine, run_id, name)
        yield name, tuple((each.step, None if math.isnan(each.value) else each.value) for each in points)


def _worked(attempts: Sequence[AttemptRecord]) -> dict[str, str]:
    """Return the processor's time of all attempts together, where each has kept its own or none has."""
    known = [each.provenance[PROCESSOR_SECONDS] for each in attempts if PROCESSOR_SECONDS in each.provenance]
    return {PROCESSOR_SECONDS: f"{sum(map(float, known)):.1f}"} if len(known) == len(attempts) else {}


def _lasting(provenance: Mapping[str, str]) -> dict[str, str]:
    """Return the facts that hold of the whole run, and in other databases: no run number, no command."""
    passing = (IMPORTED_FROM, ON_END, REPEATS, PROCESSOR_SECONDS)
    return {name: fact for name, fact in provenance.items() if name not in passing}


def _result_part(row: ResultRow) -> ResultPart:
    values = row.episode_values
    return ResultPart(
        name=row.name,
        value=None if math.isnan(row.value) else row.value,
        interval=row.interval,
        episodes=row.episodes,
        episode_values=None if values is None else b64encode(zlib.compress(values, 9)).decode("ascii"),
    )


def _foreign(part: RunPart, path: Path) -> ForeignRun:
    try:
        config = config_from_json(json.dumps(part.config))
    except ConfigError as error:
        raise FsrunError(f"{path}: run {part.run} is of another version of fsrun: {error}") from error
    return ForeignRun(
        number=part.run,
        spec=run_spec(config, part.preset),
        parents=part.starts_from,
        created=part.created,
        finished=part.finished,
        seconds=part.seconds,
        device=part.device,
        asked_with=part.asked_with,
        made_with=part.made_with,
        results=tuple(_results(part.results, path)),
        curves={
            name: [(step, math.nan if value is None else value) for step, value in points]
            for name, points in part.validation.items()
        },
    )


def _results(parts: Iterable[ResultPart], path: Path) -> Iterable[ResultRow]:
    for part in parts:
        try:
            values = part.episode_values and zlib.decompress(b64decode(part.episode_values, validate=True))
        except (ValueError, zlib.error) as error:
            raise FsrunError(f"{path} is damaged at the episodes of {part.name}: export again") from error
        value = math.nan if part.value is None else part.value
        yield ResultRow(part.name, value, part.interval, part.episodes, values or None)
