"""What the store holds of a linear case study: its runs, their curves over seeds, what they measured.

Not here: what theory expects of them (prediction.py).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection, Engine

from experiments.config import SyntheticRun, config_from_json
from fsrun.errors import UsageError
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured, combine, newest_group
from store.curves import Curve, read_curve
from store.engine import reading
from store.jobs import JobStatus
from store.results import FinishedResult, finished_results
from store.runs import RunRecord, get_run
from store.snapshot import Which, snapshot

QUANTITIES = ("loss_ratio", "frobenius", "fixed_point_distance", "eigenvalue_low", "eigenvalue_high")


@dataclass(frozen=True)
class Band:
    """A quantity over the tasks met: its median over seeds, and the ends between which most seeds lie.

    The ends are the 5th and 95th percentile over the seeds of one run, the extremes over several runs, and
    those of each stretch of a single seed's curve.
    """

    steps: tuple[int, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """The runs of one config, in order of their seeds; `results` by quantity, empty while they go on."""

    runs: tuple[RunRecord, ...]
    config: SyntheticRun
    bands: Mapping[str, Band]
    results: Mapping[str, Measured]

    @property
    def seeds(self) -> int:
        """The number of seeds behind each band."""
        return self.config.seeds if len(self.runs) == 1 else len(self.runs)

    @property
    def run_ids(self) -> str:
        """The runs, for people."""
        return ", ".join(str(run.id) for run in self.runs)

    @property
    def name(self) -> str:
        """Whose curves these are, for a legend."""
        return "measured" if self.seeds == 1 else f"median of {self.seeds} seeds"


def find_study(engine: Engine, run_id: int | None, *, max_points: int) -> Study:
    """Return the study a run belongs to; without one the newest finished or, if none has, a running one.

    Curves come in at most about `max_points` entries. Raises NothingToReport, RunNotFound, UsageError for a
    run of something else, and ConfigError if this version does not understand the stored config.
    """
    if run_id is None:
        return _read(engine, newest_runs(engine), max_points)
    run = get_run(engine, run_id)
    if run.spec.experiment != "synthetic":
        raise UsageError(f"--run {run_id} is of {run.spec.experiment}: name a synthetic run, see `fsrun ls`")
    group = [one for one in _finished(engine) if one.group_hash == run.spec.group_hash]
    ours = newest_group(group) if group else ()
    if run_id in (one.run_id for one in ours) and _parse(run).seeds == 1:
        return _read(engine, [get_run(engine, one.run_id) for one in ours], max_points)
    return _read(engine, [run], max_points)


def newest_runs(engine: Engine) -> list[RunRecord]:
    """Return the group of synthetic runs that finished last or, if none has, the newest that is running."""
    finished = _finished(engine)
    if not finished:
        return _newest_running(engine)
    group = [get_run(engine, one.run_id) for one in newest_group(finished)]
    return group if _parse(group[0]).seeds == 1 else [max(group, key=lambda run: run.finished or 0)]


def read_study(engine: Engine, run: RunRecord, *, max_points: int) -> Study:
    """Return the study of one run alone."""
    return _read(engine, [run], max_points)


def _finished(engine: Engine) -> Sequence[FinishedResult]:
    found = finished_results(engine, experiment="synthetic", name="test/loss_ratio")
    return [one for one in found if not one.imported]  # those have no curves


def _newest_running(engine: Engine) -> list[RunRecord]:
    # All that are running are among them, however many are newer.
    synthetic = snapshot(engine, now=time.time(), limit=1, which=Which(experiment="synthetic")).runs
    running = [get_run(engine, row.id) for row in synthetic if row.status is JobStatus.RUNNING]
    if not running:
        remedy = "`fsrun worker --drain`" if synthetic else "`fsrun run synthetic --preset quick`"
        raise NothingToReport(f"no synthetic run has finished or is running: type {remedy}")
    group = {run.spec.seed: run for run in running if run.spec.group_hash == running[0].spec.group_hash}
    return [group[seed] for seed in sorted(group)] if _parse(running[0]).seeds == 1 else running[:1]


def _parse(run: RunRecord) -> SyntheticRun:
    config = config_from_json(run.spec.config)
    assert isinstance(config, SyntheticRun)
    return config


def _read(engine: Engine, runs: Sequence[RunRecord], max_points: int) -> Study:
    with reading(engine) as connection:
        bands = {name: _band(connection, runs, f"train/{name}", max_points) for name in QUANTITIES}
    return Study(tuple(runs), _parse(runs[0]), bands, _results(engine, runs))


def _results(engine: Engine, runs: Sequence[RunRecord]) -> dict[str, Measured]:
    """Return what the runs measured, without the split in its name; of several runs combined."""
    by_name: dict[str, list[FinishedResult]] = {}
    ids = [run.id for run in runs]
    for one in finished_results(engine, experiment="synthetic"):
        if one.run_id in ids:
            by_name.setdefault(one.result.name.removeprefix("test/"), []).append(one)
    return {name: combine(sorted(found, key=lambda one: one.seed)) for name, found in by_name.items()}


def _band(connection: Connection, runs: Sequence[RunRecord], name: str, most: int) -> Band:
    curves = [read_curve(connection, run.id, name, max_points=most) for run in runs]
    if len(curves) > 1:
        return _across(curves)
    only = curves[0]
    ends = [read_curve(connection, runs[0].id, f"{name}.{end}", max_points=most) for end in ("low", "high")]
    low, high = (end.mean if end.steps == only.steps else None for end in ends)
    return Band(only.steps, only.mean, low or only.low, high or only.high)


def _across(curves: Sequence[Curve]) -> Band:
    values = [dict(zip(curve.steps, curve.mean, strict=True)) for curve in curves]
    steps = tuple(sorted(set.intersection(*(set(each) for each in values))))
    columns = [[each[step] for each in values] for step in steps]
    return Band(steps, tuple(map(median, columns)), tuple(map(min, columns)), tuple(map(max, columns)))
