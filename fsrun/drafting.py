"""Runs as they are being asked for in a form: what was written so far, what is wrong with it, what it makes.

Not here: the form (fsrun.tui.screens.queue_form), and what a command asks for (fsrun.cli.queueing).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from json import dumps
from typing import Any

from experiments.config import RunConfig, config_from_json
from experiments.datasets import load_own
from experiments.errors import ExperimentError
from experiments.options import Option, options_of
from experiments.registry import EXPERIMENTS
from experiments.sweeps import PlannedRun
from experiments.values import values_of
from fsrun.errors import FsrunError, UsageError
from fsrun.paths import Home, place_of_home
from fsrun.planning import Asked, effort, plan_asked, plan_edited, require_data, warnings

MAX_SEEDS = 1000
ALSO, SEEDS, PRIORITY = "also", "seeds", "priority"
N_WAY, K_SHOT = "evaluation.n_way", "evaluation.k_shot"


@dataclass(frozen=True)
class Draft:
    """What was written so far; `changes` maps dotted options to the text that was written for them.

    `also` are further methods, a comma or a blank between; the options are those of `method`. `source` is the
    run that this is a copy of, with its config; the preset is then only a name.
    """

    experiment: str
    method: str
    preset: str
    also: str = ""
    seeds: str = "1"
    priority: str = "0"
    changes: Mapping[str, str] = field(default_factory=dict)
    source: int | None = None
    config: RunConfig | None = None

    def with_word(self, name: str, text: str) -> "Draft":
        """Return the draft with another text for the field of this name."""
        word: dict[str, Any] = {name: text}
        return replace(self, **word)

    def with_change(self, name: str, text: str) -> "Draft":
        """Return the draft with a text for an option, or without one where it is empty."""
        rest = {each: kept for each, kept in self.changes.items() if each != name}
        return replace(self, changes={**rest, name: text.strip()} if text.strip() else rest)


@dataclass(frozen=True)
class Checked:
    """A draft and what comes of it: its options with the values they have untouched, faults, and the runs.

    `faults` has one line by option, or by "also", "seeds" or "priority"; under "" what is wrong with the
    whole.
    """

    draft: Draft
    options: tuple[Option, ...]
    faults: Mapping[str, str]
    planned: tuple[PlannedRun, ...] = ()
    says: tuple[str, ...] = ()  # about how long they take, and which may diverge
    priority: int = 0


def new_draft(experiment: str = "synthetic") -> Draft:
    """Return the draft a form begins with; data sets of one's own can be chosen besides."""
    load_own(place_of_home().data)
    return Draft(experiment, EXPERIMENTS[experiment].default_method, "quick")


def draft_of(run_id: int, preset: str, config: str) -> Draft:
    """Return the draft of a copy of a stored run. Raises ConfigError where its config is not understood."""
    known = config_from_json(config)
    return Draft(known.experiment, known.method.name, preset, source=run_id, config=known)


def check(draft: Draft, home: Home) -> Checked:
    """Return what comes of a draft; takes longer than a moment, so not for the thread that draws."""
    faults: dict[str, str] = {}
    seeds = _counted(SEEDS, draft.seeds, faults, low=1, high=MAX_SEEDS)
    priority = _counted(PRIORITY, draft.priority, faults, low=-1000, high=1000)
    untouched, fault = _tried(lambda: _plan(replace(draft, changes={}, also=""), 1)[0].config)
    if fault:
        return Checked(draft, (), {**faults, "": fault})
    checked = Checked(draft, options_of(untouched), faults, priority=priority)
    planned, fault = _tried(lambda: _plan(draft, seeds))
    if fault:
        alone = {name: _fault_alone(draft, name) for name in draft.changes}
        alone[ALSO] = _tried(lambda: _plan(replace(draft, changes={}), 1))[1]
        faults |= {name: line for name, line in alone.items() if line} or {"": fault}
    elif not faults:
        _, fault = _tried(lambda: require_data(planned, home))
        faults |= {"": fault} if fault else {}
    if faults:
        return checked
    says = tuple(line for line in (effort(planned), *warnings(planned)[:1]) if line)
    return replace(checked, planned=tuple(planned), says=says)


def differences(checked: Checked) -> list[str]:
    """Return what differs from the untouched config, an option a line: method.lr 0.001 → 0.01."""
    before = {option.name: option.value for option in checked.options}
    return [
        f"{name} {written(before[name]) if name in before else ''} → {text}"
        for name, text in checked.draft.changes.items()
        if name not in before or values_of(text) != [before[name]]
    ]


def written(value: Any) -> str:
    """Return a value as one would type it."""
    return value if isinstance(value, str) else dumps(value)


def _plan(draft: Draft, seeds: int) -> list[PlannedRun]:
    if draft.config is not None:
        edits = {name: values_of(text) for name, text in draft.changes.items()}
        return plan_edited(draft.config, draft.preset, edits, seeds)
    settings = [f"{name}={text}" for name, text in draft.changes.items()]
    methods = dict.fromkeys((draft.method, *draft.also.replace(",", " ").split()))  # each once
    return plan_asked(Asked(draft.experiment, tuple(methods), draft.preset, seeds=seeds, settings=settings))


def _fault_alone(draft: Draft, name: str) -> str:
    """Return what is wrong with one change by itself, nothing where it is only so beside the others."""
    return _tried(lambda: _plan(replace(draft, changes={name: draft.changes[name]}, also=""), 1))[1]


def _tried(act: Callable[[], Any]) -> tuple[Any, str]:
    """Return what an act gives, or the one line that says why it cannot be."""
    try:
        return act(), ""
    except (ExperimentError, FsrunError) as error:
        return None, " ".join(str(error).split())


def _counted(name: str, text: str, faults: dict[str, str], *, low: int, high: int) -> int:
    """Return a whole number, or note the fault and return the lowest."""
    number, fault = _tried(lambda: _whole(name, text, low, high))
    if fault:
        faults[name] = fault
        return low
    return int(number)


def _whole(name: str, text: str, low: int, high: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise UsageError(f"{name} {text!r} is not a whole number from {low:,} to {high:,}")
    return number
