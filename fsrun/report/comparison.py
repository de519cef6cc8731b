"""Two runs, or two groups of seeds, compared on the test episodes that both met.

Not here: the arithmetic of pairs (paired.py), and repeats of one run (repetition.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from json import loads
from math import erfc, sqrt
from typing import Any

from sqlalchemy import Engine

from experiments.errors import ConfigError
from fsrun.axes import with_interval
from fsrun.differences import complete
from fsrun.errors import FsrunError, UsageError
from fsrun.report.measured import Measured, combine
from fsrun.report.paired import Difference, difference_of, episodes_of, shared_values
from fsrun.report.repetition import MAIN
from fsrun.stored_options import ABSENT, different_options, is_seed
from fsrun.words import method_title
from store.jobs import JobStatus, numbered
from store.results import FinishedResult, finished_results
from store.runs import get_run

_TESTED_BY = ("split", "sampling", "n_way", "k_shot", "n_query", "seed")


@dataclass(frozen=True)
class Effect:
    """One quantity of both sides on shared episodes, in the unit shown; `p` is None with several seeds.

    `apart` is how far A is ahead of B; `better`, `equal`, `worse` count the episodes where it is.
    """

    name: str
    a: Measured
    b: Measured
    apart: Difference
    better: int
    equal: int
    worse: int
    p: float | None

    @property
    def unit(self) -> str:
        """What its numbers are in, behind a blank."""
        return " %" if _scale(self.name) != 1 else ""

    @property
    def shown(self) -> bool:
        """Whether the interval of the difference leaves out zero."""
        return self.apart.shown


@dataclass(frozen=True)
class Comparison:
    """Both sides by name, what they measured, the main quantity first, and the options that differ."""

    a: str
    b: str
    runs: tuple[tuple[int, ...], tuple[int, ...]]
    config: str  # of one of the runs, for what both share
    effects: tuple[Effect, ...]
    options: tuple[tuple[str, tuple[str, str]], ...]


def compare(engine: Engine, a: Sequence[int], b: Sequence[int]) -> Comparison:
    """Return A compared with B. Raises FsrunError or UsageError where they cannot be, and RunNotFound."""
    if both := sorted({*a} & {*b}):
        raise UsageError(f"{numbered(both)} cannot be compared with itself: name two, or two groups")
    results = _results(engine, [*a, *b])
    sides = [[results[run_id] for run_id in group] for group in (a, b)]
    for group in sides:
        _check_seeds([side[0] for side in group])
    first, second = sides[0][0][0], sides[1][0][0]
    names = sorted(set.intersection(*({row.result.name for row in run} for group in sides for run in group)))
    names.sort(key=lambda name: not name.endswith(MAIN))
    if not names:
        raise FsrunError(f"runs {first.run_id} and {second.run_id} have no results in common")
    effects = tuple(_effect(name, *(_named(group, name) for group in sides)) for name in names)
    options = [
        (name, (one, other))
        for name, (one, other) in different_options([_complete(first), _complete(second)])
        if not is_seed(name)
    ]
    titles = _titles([side[0] for side in sides[0]], [side[0] for side in sides[1]], options)
    return Comparison(*titles, (tuple(a), tuple(b)), first.config, effects, tuple(options))


def _results(engine: Engine, run_ids: Sequence[int]) -> dict[int, list[FinishedResult]]:
    for run_id in run_ids:
        run = get_run(engine, run_id)
        if run.status is not JobStatus.DONE:
            raise FsrunError(f"run {run_id} is {run.status.value}: compare runs that are done, see fsrun ls")
        if run.trashed is not None:
            raise FsrunError(f"run {run_id} is deleted: fsrun rm --undo {run_id} brings it back")
        if run.spec.n_way is None:
            raise FsrunError(
                f"run {run_id} is of {run.spec.experiment}, whose test tasks cannot be paired by number: "
                "fsrun report --theory and --mixture compare such runs"
            )
    found: dict[int, list[FinishedResult]] = {run_id: [] for run_id in run_ids}
    for each in finished_results(engine):
        if each.run_id in found:
            found[each.run_id].append(each)
    return found


def _check_seeds(runs: Sequence[FinishedResult]) -> None:
    """Refuse a group whose members differ in more than their seed, or have one seed twice."""
    first = runs[0]
    for other in runs[1:]:
        differing = different_options([_complete(first), _complete(other)])
        names = [name for name, _ in differing if not is_seed(name)]
        if names:
            raise UsageError(
                f"runs {first.run_id} and {other.run_id} are not seeds of one config: they differ in "
                f"{', '.join(names[:3])}: compare them with each other"
            )
    by_seed: dict[int, int] = {}
    for run in runs:
        if run.seed in by_seed:
            raise UsageError(
                f"runs {by_seed[run.seed]} and {run.run_id} are both of seed {run.seed}: name one"
            )
        by_seed[run.seed] = run.run_id


def _named(group: Sequence[Sequence[FinishedResult]], name: str) -> list[FinishedResult]:
    return [next(row for row in run if row.result.name == name) for run in group]


def _effect(name: str, a: list[FinishedResult], b: list[FinishedResult]) -> Effect:
    values = shared_values(a, b)
    if values is None or (len(values[0]), len(values[1])) != (len(a), len(b)):
        raise FsrunError(_why_not(a, b))
    one, other = values
    scale = _scale(name)
    apart = difference_of(one, other, scale=scale)
    single = len(one) == len(other) == 1 and apart.interval > 0
    episodes = one.mean(axis=0) - other.mean(axis=0)
    better, worse = int((episodes > 0).sum()), int((episodes < 0).sum())
    return Effect(
        name=name,
        a=combine(a, scale=scale),
        b=combine(b, scale=scale),
        apart=apart,
        better=better,
        equal=len(episodes) - better - worse,
        worse=worse,
        p=erfc(1.96 * abs(apart.mean) / apart.interval / sqrt(2)) if single else None,
    )


def _why_not(a: Sequence[FinishedResult], b: Sequence[FinishedResult]) -> str:
    """Say why runs share no episodes."""
    first = a[0]
    other = next((run for run in (*a, *b) if episodes_of(run) != episodes_of(first)), None)
    if other is None:
        bare = next(run for run in (*a, *b) if len(run.result.episode_values or b"") < 8)
        return (
            f"run {bare.run_id} kept no values of its episodes: fsrun rerun {bare.run_id} measures them anew"
        )
    tests = [
        {"split": "test", "sampling": "mixed"} | loads(run.config)["evaluation"] for run in (first, other)
    ]
    differing = [f"{name} {tests[0].get(name)} and {tests[1].get(name)}" for name in _TESTED_BY]
    told = [
        words
        for words, name in zip(differing, _TESTED_BY, strict=True)
        if tests[0].get(name) != tests[1].get(name)
    ]
    reason = ", ".join(told) or "their test classes are others"
    return (
        f"runs {first.run_id} and {other.run_id} did not meet the same test episodes ({reason}): compare "
        "runs that were tested alike"
    )


def _titles(
    a: Sequence[FinishedResult], b: Sequence[FinishedResult], options: Sequence[tuple[str, tuple[str, str]]]
) -> tuple[str, str]:
    """Return what tells the sides apart: their methods, else the options that differ, else their numbers."""
    one, other = method_title(a[0].method), method_title(b[0].method)
    if one != other:
        return one, other
    if options and len(options) <= 2:
        values = [
            ", ".join(f"{name.rpartition('.')[2]}={pair[side]}" for name, pair in options) for side in (0, 1)
        ]
        return f"{one} with {values[0]}", f"{other} with {values[1]}"
    runs = [numbered([run.run_id for run in side]) for side in (a, b)]
    return f"{one} ({runs[0]})", f"{other} ({runs[1]})"


def _complete(run: FinishedResult) -> str:
    try:
        return complete(run.config)
    except ConfigError:  # stored by another version of the program
        return run.config


def _scale(name: str) -> float:
    return 100.0 if name.endswith("/accuracy") else 1.0


def sentence(found: Comparison) -> str:
    """Return what one may write of the main quantity in a paper."""
    main = found.effects[0]
    test = loads(found.config)
    evaluation = test["evaluation"]
    split = {"val": "validation"}.get(evaluation.get("split", "test"), "test")
    task = f"{evaluation['n_way']}-way {evaluation['k_shot']}-shot {split} episodes of {test['experiment']}"
    sides = [_side(name, each, main.unit) for name, each in ((found.a, main.a), (found.b, main.b))]
    low, high = main.apart.mean - main.apart.interval, main.apart.mean + main.apart.interval
    points = " points" if main.unit else ""
    interval = f"95 % interval {low:.2f} to {high:.2f}{f', p {p_text(main.p)}' if main.p is not None else ''}"
    begins = f"On the same {main.apart.episodes:,} numbered {task}, {sides[0]}"
    trained = "" if len(main.a.runs) > 1 and len(main.b.runs) > 1 else _single(main)
    apart = f"{abs(main.apart.mean):.2f} ± {main.apart.interval:.2f}{points}"
    if not main.shown:
        return (
            f"{begins} and {sides[1]} could not be told apart: the paired difference is "
            f"{main.apart.mean:+.2f} ± {main.apart.interval:.2f}{points} ({interval}).{trained}"
        )
    ahead = "ahead of" if main.apart.mean > 0 else "behind"
    return f"{begins} is {apart} {ahead} {sides[1]} (paired difference, {interval}).{trained}"


def _side(name: str, side: Measured, unit: str) -> str:
    seeds = f" ({len(side.runs)} seeds)" if len(side.runs) > 1 else ""
    return f"{name} at {with_interval(side.mean, side.interval)}{unit}{seeds}"


def _single(main: Effect) -> str:
    """Warn where a side was trained once."""
    trains = any(loads(run.config)["method"].get("steps") for run in (*main.a.runs, *main.b.runs))
    words = " One training of a side says nothing of how much trainings vary: compare several seeds."
    return words if trains else ""


def p_text(value: float) -> str:
    """Return how small a p-value is, as one writes it behind the p."""
    return "< 1e-16" if value < 1e-16 else f"= {value:.2g}"


def record(effect: Effect) -> dict[str, Any]:
    """Return an effect for programs."""
    return {
        "name": effect.name,
        "a": effect.a.mean,
        "a_interval": effect.a.interval,
        "a_run_ids": list(effect.a.run_ids),
        "a_seeds": list(effect.a.seeds),
        "b": effect.b.mean,
        "b_interval": effect.b.interval,
        "b_run_ids": list(effect.b.run_ids),
        "b_seeds": list(effect.b.seeds),
        "difference": effect.apart.mean,
        "difference_interval": effect.apart.interval,
        "episodes": effect.apart.episodes,
        "better": effect.better,
        "equal": effect.equal,
        "worse": effect.worse,
        "p": effect.p,
        "interval_leaves_out_zero": effect.shown,
    }


def only_one_has(found: Comparison) -> int:
    """Return how many options one side alone has."""
    return sum(ABSENT in pair for _, pair in found.options)
