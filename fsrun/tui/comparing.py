"""Several runs side by side: names that tell them apart, their curves as one chart, and what differs.

Not here: the numbers they ended with (outcomes.py), and the screen (screens/compare.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fsrun.stored_options import different_options, is_seed
from fsrun.tui.curves import Chart, Line, lines_of
from fsrun.tui.rulers import steps_per_epoch
from fsrun.words import method_title, plain, seeds_text, short_task
from store.views import RunDetail

_LONGEST = 24  # characters of one option's value in a name


@dataclass(frozen=True)
class Member:
    """What is one line of a comparison: a run, or runs that differ in their seed alone."""

    name: str
    runs: tuple[RunDetail, ...]


def members_of(runs: Sequence[RunDetail], *, merge: bool) -> tuple[Member, ...]:
    """Return the lines of the comparison, in the order of the runs given."""
    groups: dict[object, list[RunDetail]] = {}
    for run in runs:
        groups.setdefault(run.row.group_hash if merge else run.row.id, []).append(run)
    found = list(groups.values())
    names = names_of([group[0] for group in found], with_seed=not merge)
    seeds = [{seed for run in group for seed in run.row.all_seeds} for group in found]
    return tuple(
        Member(f"{name} ({len(each)} seeds)" if merge and len(each) > 1 else name, tuple(group))
        for name, group, each in zip(names, found, seeds, strict=True)
    )


def names_of(runs: Sequence[RunDetail], *, with_seed: bool = True) -> list[str]:
    """Return a name for each run made of what tells it from the others, the most telling first.

    Runs that nothing tells apart are told apart by their numbers.
    """
    facets = [*_told(runs), *_options(runs, with_seed=with_seed)]
    parts: list[list[str]] = [[] for _ in runs]
    for facet in facets:
        alike: dict[tuple[str, ...], set[str]] = {}
        for part, value in zip(parts, facet, strict=True):
            alike.setdefault(tuple(part), set()).add(value)
        for part, value in zip(parts, facet, strict=True):
            if len(alike.get(tuple(part), ())) > 1:
                part.append(value)
    names = [" ".join(part) for part in parts]
    clashing = {name for name in names if not name or names.count(name) > 1}
    if len(runs) == 1:
        return [method_title(runs[0].row.method)]
    return [
        f"{name} #{run.row.id}".strip() if name in clashing else name
        for name, run in zip(names, runs, strict=True)
    ]


def chart_of(members: Sequence[Member], metric: str) -> Chart:
    """Return one chart with the metric of all members."""
    lines = tuple(line for member in members if (line := _line(member)) is not None)
    length = max((run.row.total_steps for member in members for run in member.runs), default=0)
    return Chart(metric.rpartition("/")[2], lines, float(length), label=plain(metric))


def _told(runs: Sequence[RunDetail]) -> Iterator[list[str]]:
    """Give what is asked first of any run: its method, data, task and preset."""
    yield [method_title(run.row.method) for run in runs]
    yield [plain(run.row.experiment) for run in runs]
    yield [short_task(run.row) for run in runs]
    yield [plain(run.row.preset) for run in runs]


def _options(runs: Sequence[RunDetail], *, with_seed: bool) -> Iterator[list[str]]:
    """Give the options that differ, under the last part of their names, the seed last."""
    for name, values in different_options([run.config for run in runs]):
        if is_seed(name):
            continue
        short = name.rpartition(".")[2]
        yield [f"{short}={value.strip(chr(34))[:_LONGEST]}" for value in values]
    if with_seed:
        yield [seeds_text(run.row) for run in runs]


def _line(member: Member) -> Line | None:
    found = [(run, lines_of(run.curves)) for run in member.runs]
    drawn = [(run, lines[0]) for run, lines in found if lines and lines[0].curves[0].steps]
    if not drawn:
        return None
    first, line = drawn[0]
    return Line(
        member.name,
        tuple(each.curves[0] for _, each in drawn),
        line.band if len(drawn) == 1 else None,
        tuple(run.row.started for run, _ in drawn),
        steps_per_epoch(first.config),
    )
