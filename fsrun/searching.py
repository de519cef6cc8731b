"""Configs that Optuna asks for next, told by the store what those before came to (extra `optuna`).

A trial is a run whose config differs from that of the search in the searched options alone; nothing else is
kept. Not here: any optimiser of our own, and random draws (experiments.draws).
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from sqlalchemy import Engine

from experiments.config import ImageRun, RunConfig, config_from_json, config_hash
from experiments.draws import Range, ranges_in
from experiments.errors import ConfigError
from experiments.sweeps import PlannedRun, changed, option_names, parse_settings, resolve_option, written
from fsrun.choosing import runs_of
from fsrun.errors import UsageError
from fsrun.liveness import Clock
from fsrun.planning import Asked, each_once, plan_asked
from store.jobs import JobStatus
from store.runs import get_run
from store.views import RunRow

SAMPLERS = ("tpe",)


@dataclass(frozen=True)
class Search:
    """How many configs to ask for, of which sampler, and the metric of validation classes that it goes by."""

    sampler: str
    trials: int
    metric: str

    def check(self) -> None:
        """Raise UsageError for a sampler nobody knows, and for a metric that a search must not look at."""
        if self.sampler not in SAMPLERS:
            raise UsageError(f"unknown sampler {self.sampler!r}: choose from {', '.join(SAMPLERS)}")
        if not self.metric.startswith("val/"):
            raise UsageError(
                f"--metric {self.metric}: a search goes by validation classes alone, for example val/accuracy"
            )


@dataclass(frozen=True)
class _Trial:
    """One run of the search that is there: its values of the searched options, and what it came to."""

    values: Mapping[str, Any]
    status: JobStatus
    result: float | None

    @property
    def state(self) -> str:
        """What Optuna calls its status; a run that diverged has failed."""
        if self.status is JobStatus.DONE and self.result is not None and isfinite(self.result):
            return "COMPLETE"
        return "FAIL" if self.status in (JobStatus.DONE, JobStatus.FAILED) else "RUNNING"


def plan_next(engine: Engine, asked: Asked, search: Search) -> list[PlannedRun]:
    """Return the configs that the sampler asks for next, each with one seed.

    Raises UsageError where they cannot be searched for, and what plan_asked raises.
    """
    search.check()
    ranges = ranges_in(parse_settings(asked.settings))
    if not ranges:
        raise UsageError("--sampler searches in ranges: name one, for example --set lr=1e-4..1e-1:log")
    base = _one(asked, {name: each.rounded(each.low) for name, each in ranges.items()})
    if isinstance(base, ImageRun) and base.evaluation.split != "val":
        raise UsageError("a search looks at validation classes alone: add --set split=val")
    trials = list(_trials(engine, base, ranges, search.metric))
    chosen = _ask(ranges, trials, search)
    return each_once(
        PlannedRun(
            _one(asked, values), asked.preset, ", ".join(f"{n}={written(v)}" for n, v in values.items())
        )
        for values in chosen
    )


def _one(asked: Asked, values: Mapping[str, Any]) -> RunConfig:
    """Return the config with these values in the place of the ranges. Raises UsageError for several."""
    others = [word for word in asked.settings if word.partition("=")[0].strip() not in values]
    settings = [*others, *(f"{name}={written(value)}" for name, value in values.items())]
    planned = plan_asked(replace(asked, settings=settings))
    if len(planned) > 1:
        raise UsageError(
            f"a search is over one config, these are {len(planned)}: leave out lists and --seeds"
        )
    return planned[0].config


def _trials(engine: Engine, base: RunConfig, ranges: Mapping[str, Range], metric: str) -> Iterator[_Trial]:
    """Yield the runs of the search, the oldest first."""
    known = option_names(base.experiment, base.method.name)
    paths = {name: str(resolve_option(name, base.method.name, known)) for name in ranges}
    fixed = {path: ranges[name].rounded(ranges[name].low) for name, path in paths.items()}
    wanted = config_hash(base)
    for row in reversed(runs_of(engine, Clock(engine)())):
        if (row.experiment, row.method) != (base.experiment, base.method.name):
            continue
        try:
            config = config_from_json(get_run(engine, row.id).spec.config)
            same = config_hash(changed(config, fixed)) == wanted
        except ConfigError:  # stored by another version of the program
            continue
        if same and row.status is not JobStatus.CANCELLED:
            yield _Trial(_values(config, paths), row.status, _result(row, metric))


def _values(config: RunConfig, paths: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, path in paths.items():
        value: Any = config.model_dump(mode="json")
        for part in path.split("."):
            value = value[part]
        found[name] = value
    return found


def _result(row: RunRow, metric: str) -> float | None:
    """Return what a finished run came to. Raises UsageError where it has no such metric."""
    if row.status is not JobStatus.DONE:
        return None
    found = row.results.get(metric, row.latest.get(metric))
    if found is None:
        has = ", ".join(sorted({*row.results, *row.latest})) or "no metric"
        raise UsageError(f"run {row.id} has no {metric}, but {has}: name one of validation classes")
    return found


def _ask(ranges: Mapping[str, Range], trials: Sequence[_Trial], search: Search) -> list[dict[str, Any]]:
    """Return the values that Optuna asks for next, away from those whose runs have not ended."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "--sampler needs Optuna, which is not installed: pip install 'fsrun[optuna]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces = {name: _space(optuna.distributions, each) for name, each in ranges.items()}
    states = optuna.trial.TrialState
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=len(trials), constant_liar=True)
        directions = optuna.study.StudyDirection
        better = directions.MAXIMIZE if search.metric.endswith("accuracy") else directions.MINIMIZE
        study = optuna.create_study(sampler=sampler, direction=better)
        for each in trials:
            if not all(ranges[name].holds(value) for name, value in each.values.items()):
                continue
            study.add_trial(
                optuna.trial.create_trial(
                    state=states[each.state],
                    params=dict(each.values),
                    distributions=spaces,
                    value=each.result if each.state == "COMPLETE" else None,
                )
            )
        asked = [study.ask(spaces).params for _ in range(search.trials)]
    return [{name: each.rounded(values[name]) for name, each in ranges.items()} for values in asked]


def _space(distributions: Any, each: Range) -> Any:
    if each.whole:
        return distributions.IntDistribution(int(each.low), int(each.high), log=each.log)
    return distributions.FloatDistribution(each.low, each.high, log=each.log)
