"""Whether a run that was repeated came to the same numbers: bit for bit, within the interval, or not.

Not here: asking for the repeat (fsrun.repeating), and comparing different runs (comparison.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import hypot

from sqlalchemy import Engine

from experiments.errors import ConfigError
from fsrun.axes import with_interval
from fsrun.differences import complete
from fsrun.errors import FsrunError
from fsrun.provenance import PEAK_BYTES, PROCESSOR_SECONDS, SECONDS_PER_EPISODE
from fsrun.report.paired import Difference, difference_of, values_of
from fsrun.words import count
from store.errors import RunNotFound
from store.jobs import JobStatus
from store.results import ResultRow
from store.runs import ON_END, REPEATS, RunRecord, curve_ends, get_run, repeats_of

MAIN = ("/accuracy", "/loss_ratio")


class Match(StrEnum):
    """How close two executions of one config came."""

    IDENTICAL = "identical"
    """Every value of every episode is equal, bit for bit, and every curve ends where it did."""
    WITHIN = "within the interval"
    """The 95 % interval of the difference holds zero."""
    APART = "not the same"
    """It does not."""


@dataclass(frozen=True)
class Repeated:
    """One quantity of both executions; `apart` is the second minus the first, None where it is the same."""

    name: str
    first: ResultRow
    again: ResultRow
    match: Match
    apart: Difference | None


@dataclass(frozen=True)
class Repetition:
    """Two executions of one config; `changed` are the facts of what made them that differ."""

    first: RunRecord
    again: RunRecord
    results: tuple[Repeated, ...]
    match: Match
    changed: Mapping[str, tuple[str, str]]

    @property
    def sentence(self) -> str:
        """What it comes to, in one sentence."""
        main = self.results[0]
        if self.match is Match.IDENTICAL:
            others = len(self.results) - 1
            more = f", and so are those of {others} other results" if others else ""
            values = (
                "the value"
                if main.first.episode_values is None
                else f"all {main.first.episodes:,} episode values"
            )
            are = "is" if main.first.episode_values is None else "are"
            return f"identical: {values} of {main.name} {are} equal{more}"
        if main.apart is None:
            return f"{self.match.value}: {main.name} is the same, a curve or another result is not"
        scale, unit = (100, " points") if main.name.endswith("/accuracy") else (1, "")
        mean, half = scale * main.apart.mean, scale * main.apart.interval
        return (
            f"{self.match.value}: {main.name} of run {self.again.id} is {'+' * (mean >= 0)}"
            f"{with_interval(mean, half)}{unit} from that of run {self.first.id}, over "
            f"{count(main.apart.episodes, 'episode')}"
        )


def original_of(engine: Engine, run: RunRecord) -> int | None:
    """Return the run that a run repeats, None where it repeats none, or one that was deleted for good.

    What was queued for the sake of a repeat carries its provenance too, and is none.
    """
    named = run.provenance.get(REPEATS, "")
    if not named.isdecimal():
        return None
    try:
        return int(named) if same_config(get_run(engine, int(named)), run) else None
    except RunNotFound:
        return None


def repeats(engine: Engine, run: RunRecord) -> tuple[RunRecord, ...]:
    """Return the runs that repeat a run, the oldest first."""
    found = (get_run(engine, run_id) for run_id in repeats_of(engine, run.id))
    return tuple(each for each in found if same_config(run, each))


def same_config(one: RunRecord, other: RunRecord) -> bool:
    """Return whether two runs were asked for the same, as this version reads it."""
    if one.spec.config == other.spec.config:
        return True
    try:
        return complete(one.spec.config) == complete(other.spec.config)
    except ConfigError:
        return False


def told(engine: Engine, run: RunRecord) -> list[str]:
    """Say of which run this is a repeat, and which repeat it, with what each came to."""
    pairs = [(run, each, f"repeated by run {each.id}") for each in repeats(engine, run)]
    original = original_of(engine, run)
    if original is not None:
        pairs.insert(0, (get_run(engine, original), run, f"repeats run {original}"))
    return [f"{words}: {_came_to(engine, first, again)}" for first, again, words in pairs]


def repetition(engine: Engine, first: RunRecord, again: RunRecord) -> Repetition:
    """Return how close two finished executions of one config came."""
    theirs = {row.name: row for row in again.results}
    rows = [row for row in first.results if row.name in theirs]
    rows.sort(key=lambda row: not row.name.endswith(MAIN))
    results = tuple(_repeated(row, theirs[row.name]) for row in rows)
    if not results:
        raise FsrunError(f"runs {first.id} and {again.id} have no results in common")
    ends = [curve_ends(engine, run.id) for run in (first, again)]
    curves = not all(ends) or ends[0] == ends[1]  # what was imported has none
    same = curves and len(theirs) == len(first.results)
    if same and all(each.match is Match.IDENTICAL for each in results):
        match = Match.IDENTICAL
    else:
        match = Match.APART if results[0].match is Match.APART else Match.WITHIN
    return Repetition(first, again, results, match, _changed(first, again))


def _came_to(engine: Engine, first: RunRecord, again: RunRecord) -> str:
    if first.status is again.status is JobStatus.DONE:
        return repetition(engine, first, again).sentence
    return f"{again.status.value}, nothing to compare yet"


def _repeated(first: ResultRow, again: ResultRow) -> Repeated:
    alike = repr(first.value) == repr(again.value)  # so that what is no number equals itself
    if alike and first.episode_values == again.episode_values:
        return Repeated(first.name, first, again, Match.IDENTICAL, None)
    one, other = values_of(first), values_of(again)
    if len(one) == len(other) > 1:
        apart = difference_of(other[None], one[None])
    else:
        half = hypot(first.interval or 0.0, again.interval or 0.0)
        apart = Difference(again.value - first.value, half, again.episodes or 0)
    match = Match.WITHIN if abs(apart.mean) <= apart.interval else Match.APART
    return Repeated(first.name, first, again, match, apart)


def _changed(first: RunRecord, again: RunRecord) -> dict[str, tuple[str, str]]:
    """Return the facts about versions and machine in which the executions differ."""
    one, other = (_made_by(run) for run in (first, again))
    names: Sequence[str] = sorted({*one, *other})
    return {
        name: (one.get(name, ""), other.get(name, "")) for name in names if one.get(name) != other.get(name)
    }


def _made_by(run: RunRecord) -> dict[str, str]:
    """Return what made a run, but for what differs from hour to hour."""
    last = run.attempts[-1]
    facts = {**run.provenance, **last.provenance, "device": last.device}
    passing = (SECONDS_PER_EPISODE, PEAK_BYTES, PROCESSOR_SECONDS, ON_END, REPEATS)
    return {name: fact for name, fact in facts.items() if name not in passing}
