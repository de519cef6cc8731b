"""From what a user asks for to rows in the queue: where experiments and store meet on the way in.

Not here: what a sweep is (experiments.sweeps), and the queue itself (store.runs).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sqlalchemy import Engine

from experiments import datasets
from experiments.budgets import planned_seconds, trainings
from experiments.config import (
    ImageRun,
    RunConfig,
    SyntheticRun,
    config_hash,
    config_to_json,
    prerequisites,
    share_trainings,
    training_steps,
)
from experiments.draws import drawn, ranges_in
from experiments.errors import unknown_name
from experiments.presets import DEFAULT_PRESET
from experiments.registry import EXPERIMENTS
from experiments.studies import STUDIES
from experiments.sweeps import PlannedRun, Sweep, edited, parse_settings, plan
from fsrun.differences import variant
from fsrun.errors import UsageError
from fsrun.paths import Home, place_of_home
from fsrun.provenance import provenance
from fsrun.shared_data import fetch
from fsrun.words import duration
from store.jobs import JobStatus, numbered
from store.runs import ON_END, Enqueued, RunRequest, RunSpec, enqueue, runs_there


@dataclass(frozen=True)
class Asked:
    """What a user asks for; `settings` are name=value as `--set` takes them.

    `on` is a study's data, None for Omniglot and wherever no study is asked for. `draws` says how many values
    are drawn from each range among the settings, 0 where there is none.
    """

    experiment: str
    methods: Sequence[str] = ()
    preset: str = DEFAULT_PRESET
    n_way: Sequence[int] = ()
    k_shot: Sequence[int] = ()
    seeds: int = 1
    settings: Sequence[str] = ()
    on: str | None = None
    draws: int = 0


def plan_asked(asked: Asked) -> list[PlannedRun]:
    """Return the runs of a sweep or a study, each once. Raises ConfigError or UsageError."""
    if asked.draws and asked.experiment in STUDIES:
        raise UsageError(f"--random draws options of an experiment: {asked.experiment} is a study")
    datasets.load_own(place_of_home().data)
    if asked.experiment in STUDIES:
        return each_once(_plan_study(asked))
    if asked.experiment not in EXPERIMENTS:
        raise unknown_name("experiment", asked.experiment, [*EXPERIMENTS, *STUDIES])
    if asked.on is not None:
        raise UsageError(f"--on picks the data of a study: {asked.experiment} is none, leave it out")
    together = EXPERIMENTS[asked.experiment].seeds_in_one_run
    settings = parse_settings(asked.settings)
    sweep = Sweep(
        asked.experiment,
        asked.methods,
        asked.preset,
        asked.n_way,
        asked.k_shot,
        1 if together else asked.seeds,
        asked.seeds if together else 1,
        settings,
    )
    ranges = ranges_in(settings)
    if bool(ranges) != bool(asked.draws):
        name = min(ranges, default="")
        raise UsageError(
            f"{name}={settings[name][0]} is a range: fsrun queue --random N draws N values"
            if ranges
            else "--random draws from ranges: name one, for example --set lr=1e-4..1e-1:log"
        )
    draws = [settings | drawn(ranges, number) for number in range(asked.draws)] if ranges else [settings]
    return each_once(run for each in draws for run in plan(replace(sweep, settings=each, told=[*ranges])))


def each_once(planned: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return the runs without those whose config another has before them, as in a sweep over 10,10.0."""
    first: dict[str, PlannedRun] = {}
    for each in planned:
        first.setdefault(config_hash(each.config), each)
    return list(first.values())


def plan_edited(
    config: RunConfig, preset: str, settings: Mapping[str, Sequence[Any]], seeds: int = 1
) -> list[PlannedRun]:
    """Return runs like one that is stored, with options set otherwise; a list of values is swept.

    Several seeds follow on the seed of the config. Raises ConfigError.
    """
    together = isinstance(config, SyntheticRun)
    alone = not together and seeds > 1
    settings = {**settings, "seed": range(config.seed, config.seed + seeds)} if alone else {**settings}
    if together:
        settings["seeds"] = [seeds]
    sets = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
    configs = share_trainings([edited(config, each) for each in sets])
    return each_once(PlannedRun(each, preset) for each in configs)


def _plan_study(asked: Asked) -> list[PlannedRun]:
    if asked.methods:
        raise UsageError(f"{asked.experiment} picks its methods: leave out --method")
    words = [("n_way", asked.n_way), ("k_shot", asked.k_shot)]
    lists = [f"{name}={','.join(map(str, values))}" for name, values in words if values]
    study = STUDIES[asked.experiment]
    settings = [*lists, *asked.settings]
    return study(asked.on or "omniglot", preset=asked.preset, seeds=asked.seeds, settings=settings)


def effort(planned: Sequence[PlannedRun]) -> str:
    """Say how many of the runs train and about how long all take, where that was measured; else nothing."""
    count = len(trainings(planned))
    if not count:
        return ""
    seconds, unknown = planned_seconds(planned)
    length = f"about {duration(seconds)} on two quiet cores" if seconds else "how long was not measured"
    others = f", and {unknown} run{'s' * (unknown > 1)} never measured" if seconds and unknown else ""
    return f"{count} training{'s' * (count > 1)}; {length}{others}"


def require_data(planned: Iterable[PlannedRun], home: Home, *, stored: bool = False) -> None:
    """Raise DataError where a run needs images that are not here: no worker here could run it.

    What the storage has is fetched. Raises StorageUnavailable where that cannot be done now, and InertOption
    where an option changes nothing of these data, but for runs as they were stored.
    """
    configs = [each.config for each in planned]
    fetch(home, datasets.folders_needed(configs))
    datasets.require_data(configs, home.data)
    if not stored:
        datasets.refuse_inert(configs, home.data)


def enqueue_planned(
    engine: Engine, planned: Sequence[PlannedRun], *, now: float, priority: int = 0, on_end: str = ""
) -> list[Enqueued]:
    """Queue the runs and what they start from, all or nothing, each with the command for its end."""
    facts = provenance() | ({ON_END: on_end} if on_end else {})
    return enqueue(engine, requests(planned), now=now, priority=priority, provenance=facts)


@dataclass(frozen=True)
class Known:
    """What is there of a sweep: its runs that wait, run or are done, and what no run has been asked for."""

    statuses: Mapping[int, JobStatus]
    fresh: tuple[PlannedRun, ...]

    @property
    def line(self) -> str:
        """Which runs are there: "run 5 has this config (queued)"."""
        counts = Counter(self.statuses.values())
        said = ", ".join(f"{number} {status}" for status, number in counts.items())
        said = next(iter(counts)).value if len(counts) == 1 else said
        has = "have these configs" if len(self.statuses) > 1 else "has this config"
        return f"{numbered(sorted(self.statuses))} {has} ({said})"


def known_runs(engine: Engine, planned: Sequence[PlannedRun]) -> Known:
    """Return which runs of a sweep exist, and which do not."""
    hashes = [config_hash(each.config) for each in planned]
    there = runs_there(engine, hashes)
    fresh = [each for each, name in zip(planned, hashes, strict=True) if name not in there]
    return Known(dict(there.values()), tuple(fresh))


def queued_line(queued: Sequence[Enqueued]) -> str:
    """Say which runs were queued, which were made for their sake, and which that exist already are used."""
    made = sorted(run_id for each in queued for run_id in each.new_parents)
    shared = sorted({parent for each in queued for parent in each.parents} - {*made})
    parts = [f"queued {numbered([each.run_id for each in queued])}"]
    if made:
        parts.append(f"waiting for {numbered(made)}")
    if shared:
        parts.append(f"starting from {numbered(shared)}, already there")
    return "; ".join(parts)


def run_spec(config: RunConfig, preset: str, purpose: str = "") -> RunSpec:
    """Return what the store keeps of a config: the whole of it, and the columns lists are made of."""
    image = config if isinstance(config, ImageRun) else None
    spec = RunSpec(
        experiment=config.experiment,
        method=config.method.name,
        preset=preset,
        seed=_seed(config),
        n_way=image.evaluation.n_way if image else None,
        k_shot=image.evaluation.k_shot if image else None,
        config=config_to_json(config),
        config_hash=config_hash(config),
        group_hash=config_hash(config, with_seed=False),
        total_steps=training_steps(config),
    )
    return replace(spec, variant=variant(spec, purpose))


def _seed(config: RunConfig) -> int:
    """Return the seed a run draws from: a pre-training may have one of its own, beside that of its run."""
    own: int | None = getattr(config.method, "seed", None)
    return config.seed if own is None else own


def run_request(planned: PlannedRun) -> RunRequest:
    """Return the request for a planned run together with the runs it starts from."""
    needs = tuple(run_request(PlannedRun(need, planned.preset)) for need in prerequisites(planned.config))
    return RunRequest(run_spec(planned.config, planned.preset, planned.purpose), needs)


def requests(planned: Iterable[PlannedRun]) -> list[RunRequest]:
    """Return the requests of a whole sweep, in order."""
    return [run_request(each) for each in planned]


def warnings(planned: Iterable[PlannedRun]) -> list[str]:
    """Return what is to be said of runs before they start: a line for each that theory expects to diverge."""
    runs = [each.config for each in planned if isinstance(each.config, SyntheticRun)]
    if not runs:
        return []
    from experiments.linear.stability import rate_warning  # loads numpy

    return [line for line in map(rate_warning, runs) if line]
