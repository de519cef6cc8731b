"""A sweep is the product of its lists: from the words of a command to checked configs.

Not here: the queue, and how a sweep is shown.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from experiments.config import OwnFeatures, OwnImages, RunConfig, parse_config, share_trainings
from experiments.config.base import AllBut, Unmet
from experiments.config.data import ImageSet
from experiments.config.features import FeatureSet
from experiments.errors import ConfigError, InertOption, unknown_name
from experiments.own import method_named, presets_of, with_code
from experiments.presets import DEFAULT_PRESET, PRESETS, preset_options
from experiments.registry import EXPERIMENTS, METHODS, like, methods_of
from experiments.values import values_of

_SHAPE = ("n_way", "k_shot", "evaluation.n_way", "evaluation.k_shot")  # have columns of their own


@dataclass(frozen=True)
class Sweep:
    """What a user asks for in one command; empty sequences mean the defaults."""

    experiment: str
    methods: Sequence[str] = ()
    preset: str = DEFAULT_PRESET
    n_way: Sequence[int] = ()
    k_shot: Sequence[int] = ()
    seeds: int = 1
    seeds_per_run: int = 1  # only where a run can carry several, see registry.py
    settings: Mapping[str, Sequence[Any]] | None = None  # option name -> values
    told: Collection[str] = ()  # settings that tell runs apart, though each has one value here
    beside_others: bool = False  # the settings are for other sweeps, too, and may change nothing of this one


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep, checked and ready to be stored; `purpose` says what it is for, where that helps."""

    config: RunConfig
    preset: str
    purpose: str = ""


def parse_settings(words: Iterable[str]) -> dict[str, list[Any]]:
    """Return name -> values of words like "slow_lr=0.1,0.01" or "spectrum=@file".

    Raises ConfigError for a word without "=", or a file that holds no numbers.
    """
    settings: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not name or not values:
            raise ConfigError(f"setting {word!r} is not name=value: write for example --set slow_lr=0.01")
        settings[name.strip()] = values_of(values)
    return settings


def plan(sweep: Sweep) -> list[PlannedRun]:
    """Return the runs: methods x settings x n_way x k_shot x seeds; ConfigError if one cannot be.

    Runs that differ in nothing but their evaluation measure one model, which a run of its own trains. Of
    several methods, one of which a setting changes nothing goes without it, as one that lacks the option.
    Raises InertOption for a setting that changes nothing of a run.
    """
    methods = _methods(sweep)
    settings = dict(sweep.settings or {})
    seeds = _seeds(sweep, settings.pop("seed", None))
    for name, values in (("evaluation.n_way", sweep.n_way), ("evaluation.k_shot", sweep.k_shot)):
        if values:
            settings[name] = list(values)
    unused, useless = set(settings), set[str]()
    runs: list[PlannedRun] = []
    for method in methods:
        options = option_names(sweep.experiment, method)
        paths = {name: path for name in settings if (path := resolve_option(name, method, options))}
        made = _runs_of(sweep, method, settings, paths, seeds)
        if len(methods) > 1 or sweep.beside_others:
            useless |= (spare := {name for name in paths if _idle(made, paths[name])})
            paths = {name: path for name, path in paths.items() if name not in spare}
            made = _runs_of(sweep, method, settings, paths, seeds) if spare else made
        raw = _defaults(sweep.experiment, method, sweep.preset)
        for run in made:
            _refuse_inert(run.config, paths.values(), raw)
        unused -= set(paths)
        runs += made
    if unused - useless:
        known = {name for method in methods for name in option_names(sweep.experiment, method)}
        short = {name.split(".")[-1] for name in known}
        raise unknown_name("option", min(unused - useless), known | short)
    if unused and not sweep.beside_others:
        raise InertOption(f"{min(unused)} changes nothing of {' and '.join(methods)} here: leave it out")
    configs = share_trainings(run.config for run in runs)
    return [replace(run, config=config) for run, config in zip(runs, configs, strict=True)]


def _runs_of(
    sweep: Sweep,
    method: str,
    settings: Mapping[str, Sequence[Any]],
    paths: Mapping[str, str],
    seeds: Sequence[Any],
) -> list[PlannedRun]:
    """Return the runs of one method with the settings it has, whose dotted names are in `paths`."""
    raw = _defaults(sweep.experiment, method, sweep.preset)
    seed = resolve_option("seed", method, option_names(sweep.experiment, method)) or "seed"
    several = {name for name, values in settings.items() if len(values) > 1 or name in sweep.told}
    swept = {name: path for name, path in paths.items() if name in several and name not in _SHAPE}
    runs = []
    for values in product(*(settings[name] for name in paths), seeds):
        chosen: dict[str, Any] = {seed: values[-1]}
        if sweep.seeds_per_run > 1:
            chosen["seeds"] = sweep.seeds_per_run
        chosen |= dict(zip(paths.values(), values[:-1], strict=True))
        chosen = _fewer_episodes(sweep.experiment, chosen) | chosen
        if chosen.get("method.start") == "pretrain":
            chosen = _as_fastslow_starts(sweep.experiment, sweep.preset) | chosen
        config = parse_config(_with(raw, chosen))
        runs.append(PlannedRun(config, sweep.preset, _told(config, swept)))
    return runs


def _idle(runs: Iterable[PlannedRun], option: str) -> bool:
    """Return whether an option changes nothing of any of the runs."""
    return all(run.config.inert(option) for run in runs)


def _seeds(sweep: Sweep, named: Sequence[Any] | None) -> Sequence[Any]:
    """Return the first seed of each run of a config: from 0 on, or those that are named."""
    if named is None:
        return range(0, sweep.seeds * sweep.seeds_per_run, sweep.seeds_per_run)
    if sweep.seeds > 1:
        raise ConfigError(f"--seeds {sweep.seeds} counts from 0, and --set seed names seeds: leave out one")
    return named


def _told(config: RunConfig, swept: Mapping[str, str]) -> str:
    """Return what tells a run from the others of its sweep: "protocol=R2"; `swept` maps names to dotted ones.

    Values are as the config has them: "lr=10.0" whether the sweep was over 10 or 10.0.
    """
    now = config.model_dump(mode="json")
    return ", ".join(f"{name}={written(_found(now, path))}" for name, path in swept.items())


def _fewer_episodes(experiment: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many episodes to measure at so many ways, where the data set says so."""
    data = EXPERIMENTS[experiment].data()
    if not isinstance(data, ImageSet):
        return {}
    n_way = chosen.get("evaluation.n_way", data.standard.n_way)
    return {"evaluation.episodes": data.episodes_at(n_way)} if isinstance(n_way, int) else {}


def _as_fastslow_starts(experiment: str, preset: str) -> dict[str, Any]:
    """Return the data and the pre-training that Fast/Slow has in a preset, so that others can share it."""
    raw = _defaults(experiment, "fastslow", preset)
    if raw["method"]["pretrain"] is None:  # the data are features already, and the config refuses to start so
        return {}
    taken = {f"data.{name}": value for name, value in raw["data"].items()}
    return taken | {"method.pretrain": raw["method"]["pretrain"]}


def changed(config: RunConfig, sets: Mapping[str, Any]) -> RunConfig:
    """Return a config with options, by their dotted names, set otherwise; ConfigError if that cannot be."""
    return parse_config(_with(config.model_dump(mode="json"), sets))


def edited(config: RunConfig, sets: Mapping[str, Any]) -> RunConfig:
    """Return the same for what a user sets. Raises InertOption besides, where that changes nothing."""
    config = with_code(config)
    after = changed(config, sets)
    _refuse_inert(after, sets, config.model_dump(mode="json"))
    return after


def _refuse_inert(config: RunConfig, options: Iterable[str], before: Mapping[str, Any]) -> None:
    """Raise InertOption for one of the options, by dotted names, that the others keep from counting.

    `before` is the raw config without what was set: an option that is as it was makes no other run.
    """
    now = config.model_dump(mode="json")
    before = _with(dict(before), {})
    for leaf in (leaf for option in options for leaf in _leaves(option, _found(now, option))):
        unmet = config.inert(leaf)
        if unmet and _found(now, leaf) != _found(before, leaf):
            raise InertOption(_changes_nothing(leaf, _found(now, leaf), unmet, config.method.name))


def _found(raw: Mapping[str, Any], option: str) -> Any:
    """Return the value of an option by its dotted name, None where there is none."""
    value: Any = raw
    for part in option.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _changes_nothing(option: str, value: Any, unmet: Unmet, method: str) -> str:
    begins = f"{_short(option)}={written(value)} changes nothing"
    if unmet.option is None:
        return f"{begins} of {method}: leave it out"
    other = _short(unmet.option)
    begins += f" while {other}={written(unmet.value)}: leave it out"
    if other.rpartition(".")[2] in ("name", "kind"):  # another method, other data
        return begins
    if isinstance(unmet.needed, AllBut):
        return f"{begins}, or change {other}"
    return f"{begins}, or set {other}={' or '.join(map(written, unmet.needed))}"


def _short(option: str) -> str:
    return option.removeprefix("method.").removeprefix("data.")


def written(value: Any) -> str:
    """Return a value as `--set` takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _methods(sweep: Sweep) -> list[str]:
    """Return the names of the methods; those that are code of the user's are loaded."""
    if sweep.experiment not in EXPERIMENTS:
        raise unknown_name("experiment", sweep.experiment, EXPERIMENTS)
    if sweep.preset not in PRESETS:
        raise unknown_name("preset", sweep.preset, PRESETS)
    sources: dict[str, str] = {}
    methods = []
    for word in sweep.methods:
        method = method_named(word)
        if method not in methods_of(sweep.experiment):
            raise unknown_name(f"method of {sweep.experiment}", method, methods_of(sweep.experiment))
        source = METHODS[method].source
        if sources.setdefault(method, source) != source:  # runs and reports tell methods apart by name
            raise ConfigError(
                f"{sources[method]} and {source} are both called {method}: give one class another name"
            )
        methods.append(method)
    return methods or [EXPERIMENTS[sweep.experiment].default_method]


def _defaults(experiment: str, method: str, preset: str) -> dict[str, Any]:
    """Return the raw config of a method before the user's settings."""
    data = EXPERIMENTS[experiment].data()
    raw: dict[str, Any] = {
        "experiment": experiment,
        "data": data.model_dump(),
        "method": METHODS[method].config().model_dump(),
    }
    if isinstance(data, ImageSet):
        raw["evaluation"] = data.standard.model_dump()
    entry = METHODS[method]
    own = presets_of(entry, preset) if entry.source else _preset(experiment, method, preset)
    raw = _with(raw, own)
    return _fitted(raw, data) if isinstance(data, OwnImages) else raw


def _preset(experiment: str, method: str, preset: str) -> Mapping[str, Any]:
    """Return what a preset changes; of an own data set, but for the options of the data it is like."""
    found = preset_options(like(experiment), method, preset)
    if not issubclass(EXPERIMENTS[experiment].data, OwnImages):
        return found
    return {name: value for name, value in found.items() if not name.startswith("data.")}


def _fitted(raw: dict[str, Any], data: OwnImages) -> dict[str, Any]:
    """Return a raw config whose training episodes are no larger than the data set, whatever the preset."""
    lower: dict[str, Any] = {}
    for section, name in (("method", raw["method"]["name"]), ("method.pretrain", "pretrain")):
        options = _found(raw, section)
        if not isinstance(options, dict):
            continue
        splits = METHODS[name].config.model_validate(options).splits  # type: ignore[attr-defined]
        classes = min((count for each in splits if (count := data.class_count(each))), default=2)
        most = {
            "train_n_way": classes,
            "label_slots": classes,
            "train_images": data.facts.each,
            "train_n_query": data.facts.each - 1,
            "batch_per_class": data.facts.each - 1,
        }
        lower |= {
            f"{section}.{option}": limit
            for option, limit in most.items()
            if options.get(option) is not None and options[option] > limit
        }
    return _with(raw, lower)


def option_names(experiment: str, method: str) -> dict[str, None]:
    """Return every dotted option a run of this method has, for example "method.slow_lr"."""
    entry = EXPERIMENTS[experiment]
    sections = {"data": entry.data(), "method": METHODS[method].config(), "evaluation": entry.evaluation()}
    names = [name for section, model in sections.items() for name in _leaves(section, model.model_dump())]
    if issubclass(entry.data, FeatureSet) and "method.start" not in names:
        names = [name for name in names if not name.startswith("method.pretrain.")]  # there is none
    given = ["data.kind", "method.name", "method.source", "method.code"]
    if issubclass(entry.data, OwnImages):
        given += [name for name in names if name.startswith("data.facts")]
    if issubclass(entry.data, OwnFeatures):
        given.append("data.features")
    return dict.fromkeys(name for name in names if name not in given)


def _leaves(prefix: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [prefix]
    inner = [leaf for key, item in value.items() for leaf in _leaves(f"{prefix}.{key}", item)]
    return [prefix, *inner] if "." in prefix else inner


def resolve_option(name: str, method: str, options: Iterable[str]) -> str | None:
    """Return the dotted option a short name means for a method, or None where it has no such option.

    "slow_lr" means "method.slow_lr"; "fastslow.slow_lr" means the same, for fastslow alone. Of several, the
    option with the fewest dots is meant. A seed is a pre-training's own; None says that it is the run's.
    Raises ConfigError where two options have the fewest dots.
    """
    first, _, rest = name.partition(".")
    if first in METHODS and rest and f"method.{first}" not in options:
        if first != method:
            return None
        name = rest
    if name == "seed":  # of the run, unless it is a pre-training: never of its episodes or drawn data
        return "method.seed" if "method.seed" in options else None
    matches = [option for option in options if option == name or option.endswith(f".{name}")]
    fewest = min((option.count(".") for option in matches), default=0)
    meant = [option for option in matches if option.count(".") == fewest]
    if len(meant) > 1:
        raise ConfigError(f"{name} is the end of two options of {method}: use {' or '.join(meant)}")
    return meant[0] if meant else None


def _with(raw: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a nested dict with dotted paths replaced."""
    copy: dict[str, Any] = json.loads(json.dumps(raw))
    for path, value in overrides.items():
        *parents, leaf = path.split(".")
        target = copy
        for parent in parents:
            if not isinstance(target.get(parent), dict):
                target[parent] = {}
            target = target[parent]
        target[leaf] = value
    return copy
