"""The numbers that compared runs ended with, and how far they are from each other on shared episodes.

Not here: the arithmetic of intervals and pairs (fsrun.intervals, fsrun.report.paired).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fsrun.axes import with_interval
from fsrun.intervals import interval_of
from fsrun.report.paired import Difference, paired_difference
from fsrun.tui.comparing import Member
from store.results import ResultRow


@dataclass(frozen=True)
class Outcome:
    """One result of one member; `difference` is how far it is ahead of the first one, where that is known."""

    value: str
    difference: str = ""


def outcomes(members: Sequence[Member]) -> list[tuple[str, list[Outcome]]]:
    """Return each result by name with the outcome of every member, one without it an empty one."""
    names = sorted({result.name for member in members for run in member.runs for result in run.results})
    names.sort(key=lambda name: not name.endswith(("/accuracy", "/loss_ratio")))
    return [(name, [_outcome(name, member, members[0]) for member in members]) for name in names]


def ahead(member: Member, other: Member, name: str) -> Difference | None:
    """Return how far the one is ahead of the other, in the unit shown; None without shared episodes."""
    ours, theirs = _tested(member, name), _tested(other, name)
    runs = (*member.runs, *other.runs)
    image_runs = all(run.row.n_way is not None for run in runs)  # others have no numbered episodes
    if member is other or not ours or not theirs or not image_runs:
        return None
    return paired_difference(ours, theirs, scale=_scale(name))


def _outcome(name: str, member: Member, first: Member) -> Outcome:
    found = [(run, result) for run in member.runs for result in run.results if result.name == name]
    if not found:
        return Outcome("")
    scale = _scale(name)
    values = [result.value for _, result in found]
    interval = interval_of(values, [result.interval for _, result in found])
    mean = scale * sum(values) / len(values)
    unit = " %" if scale != 1 else ""
    apart = ahead(member, first, name)
    return Outcome(
        with_interval(mean, None if interval is None else scale * interval) + unit,
        ""
        if apart is None
        else f"{'+' if apart.mean >= 0 else ''}{with_interval(apart.mean, apart.interval)}",
    )


def _scale(name: str) -> float:
    return 100.0 if name.endswith("/accuracy") else 1.0


@dataclass(frozen=True)
class _Tested:
    """One result of a run that has finished, as pairs are made of them."""

    config: str
    provenance: Mapping[str, str]
    result: ResultRow


def _tested(member: Member, name: str) -> list[_Tested]:
    return [
        _Tested(run.config, run.attempts[-1].provenance if run.attempts else {}, result)
        for run in member.runs
        for result in run.results
        if result.name == name and run.row.finished is not None
    ]
