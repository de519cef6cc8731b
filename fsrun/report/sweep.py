"""What a sweep measured: a result against one option, with a line for each value of another.

Not here: queueing a sweep (experiments.sweeps), and studies that change one thing at a time (one_change.py).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import log10
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from experiments.errors import ConfigError, unknown_name
from fsrun.axes import with_interval
from fsrun.differences import complete
from fsrun.errors import UsageError
from fsrun.plot import Plot, Series, draw
from fsrun.report.canvas import Picture, empty_picture, printed_style
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured, combine, imported_note, newest_group, traced, written
from fsrun.report.render import document_of
from fsrun.report.report import Report
from fsrun.report.table import Column, Table, field, listed
from fsrun.stored_options import options_of
from fsrun.words import count, method_title
from store.results import FinishedResult, finished_results

MOST_LINES = 6  # of a chart in a terminal
CHART_HEIGHT = 16  # lines
_LOG_FROM = 20  # the largest value over the smallest, from which on an axis is logarithmic
_TRIED = 20  # configs of a method among which the newest sweep is looked for
_QUANTITIES = ("/accuracy", "/loss_ratio")
_BESIDE = ("seed", "seeds", "method.seed", "evaluation.episodes")
"""What may differ between two points: the seed, and how many episodes the same thing is measured on."""

Options = Mapping[str, str]  # dotted name -> JSON text


@dataclass(frozen=True)
class SweepPoint:
    """What the seeds of one config measured; `value` is that of the axis, `line` that of the other option."""

    value: Any
    line: Any
    measured: Measured


@dataclass(frozen=True)
class Swept:
    """A sweep over the option `axis`, and over `by` unless that is empty; its points line by line."""

    metric: str
    axis: str
    by: str
    points: tuple[SweepPoint, ...]

    @property
    def lines(self) -> dict[Any, list[SweepPoint]]:
        """The points by the value of the other option."""
        found: dict[Any, list[SweepPoint]] = {}
        for point in self.points:
            found.setdefault(json.dumps(point.line), []).append(point)
        return found

    @property
    def unit(self) -> str:
        """What the numbers are in."""
        return "%" if self.metric.endswith("/accuracy") else "L1/L0"

    @property
    def title(self) -> str:
        """What was measured, and against what."""
        run = self.points[0].measured.runs[0]
        lines = f", a line for each {_short(self.by)}" if self.by else ""
        subject = f"{method_title(run.method)} on {run.experiment}"
        return f"{subject}: {self.metric}, {self.unit}, against {_short(self.axis)}{lines}"


@dataclass(frozen=True)
class _Group:
    """The finished runs of one config, whose options are by name, and what they measured."""

    runs: tuple[FinishedResult, ...]
    options: Options


def sweep(engine: Engine, *, run_id: int | None = None, by: Sequence[str] = ()) -> Swept:
    """Return the sweep that a run belongs to, or the newest; over the options named, else those swept most.

    Raises NothingToReport where there is none, UsageError for a run without such a result, and ConfigError
    for an option that the run has not.
    """
    families = _families(engine)
    if run_id is not None:
        families = [family for family in families if run_id in _run_ids(family)]
        if not families:
            raise UsageError(f"--run {run_id} is no finished run with an accuracy or a loss: see `fsrun ls`")
    for family in families:
        asked = [group for group in family if run_id in _run_ids([group])]
        for base in asked or family[:_TRIED]:
            names = _named(by, base) if by else _most_swept(base, family)
            points = _points(base, family, names)
            if len({json.dumps(point.value) for point in points}) > 1:
                return Swept(base.runs[0].result.name, names[0], "".join(names[1:]), tuple(points))
    raise NothingToReport(
        "no sweep has finished: type for example `fsrun queue omniglot --method protonet --set "
        "lr=0.001,0.01,0.1 --set split=val`, `fsrun worker --drain`"
    )


def _families(engine: Engine) -> list[list[_Group]]:
    """Return the groups of finished runs by experiment, method and main result, the newest first."""
    families: dict[tuple[str, str, str], dict[str, list[FinishedResult]]] = {}
    for each in finished_results(engine):
        if each.result.name.endswith(_QUANTITIES) and each.result.name.count("/") == 1:
            family = families.setdefault((each.experiment, each.method, each.result.name), {})
            family.setdefault(each.group_hash, []).append(each)
    return [
        [_Group(newest_group(runs), _options(runs[0])) for runs in groups.values()]
        for groups in families.values()
    ]


def _options(run: FinishedResult) -> Options:
    try:
        config = complete(run.config)
    except ConfigError:  # stored by another version of the program
        config = run.config
    options = options_of(config).items()
    return {
        name: value for name, value in options if name not in _BESIDE and not name.startswith("trained_by")
    }


def _run_ids(family: Iterable[_Group]) -> set[int]:
    return {run.run_id for group in family for run in group.runs}


def _apart(one: _Group, other: _Group) -> frozenset[str]:
    """Return the options in which two configs differ."""
    names = one.options.keys() | other.options.keys()
    return frozenset(name for name in names if one.options.get(name) != other.options.get(name))


def _named(by: Sequence[str], base: _Group) -> tuple[str, ...]:
    """Return the dotted names of options that a user named."""
    found = []
    for word in by:
        names = [name for name in base.options if name == word or name.endswith(f".{word}")]
        if not names:
            raise unknown_name("option", word, {name.rpartition(".")[2] for name in base.options})
        found.append(min(names, key=lambda name: name.count(".")))
    if len(found) > 2 or len({*found}) < len(found):
        raise UsageError("--by takes one option for the axis, and one for the lines: --by lr,filters")
    return tuple(found)


def _most_swept(base: _Group, family: Sequence[_Group]) -> tuple[str, ...]:
    """Return the one or two options that lead from the base to most configs, that of most values first."""
    near = Counter(names for group in family if 0 < len(names := _apart(base, group)) <= 2)
    candidates = {*near, *(frozenset((name,)) for names in near for name in names)}

    def reached(names: frozenset[str]) -> int:
        return sum(number for each, number in near.items() if each <= names)

    best = max(candidates, key=lambda names: (reached(names), -len(names), sorted(names)), default=None)
    if best is None:
        return ("",)
    inside = [group for group in family if _apart(base, group) <= best]

    def values(name: str) -> tuple[bool, int, str]:
        found = {group.options.get(name, "null") for group in inside}
        return all(_number(json.loads(each)) is not None for each in found), len(found), name

    return tuple(sorted(best, key=values, reverse=True))


def _points(base: _Group, family: Sequence[_Group], names: Sequence[str]) -> list[SweepPoint]:
    """Return the points of the sweep: configs that differ from the base in these options alone."""
    axis, by = names[0], "".join(names[1:])
    scale = 100.0 if base.runs[0].result.name.endswith("/accuracy") else 1.0
    points = [
        SweepPoint(
            json.loads(group.options.get(axis, "null")),
            json.loads(group.options.get(by, "null")),
            combine(group.runs, scale=scale),
        )
        for group in family
        if _apart(base, group) <= {*names}
    ]
    return sorted(points, key=lambda point: (_order(point.line), _order(point.value)))


def _order(value: Any) -> tuple[bool, float, str]:
    number = _number(value)
    return (True, 0.0, json.dumps(value)) if number is None else (False, number, "")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _short(name: str) -> str:
    return name.partition(".")[2] or name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def sweep_report(engine: Engine, *, run_id: int | None = None, by: Sequence[str] = ()) -> Report:
    """Return the sweep as a report. Raises what `sweep` raises."""
    found = sweep(engine, run_id=run_id, by=by)
    table = sweep_table(found)
    return Report(
        "report --sweep",
        (table,),
        partial(document_of, table),
        charts=partial(chart, found),
        picture=partial(draw_sweep, found),
    )


def sweep_table(found: Swept) -> Table:
    """Return one row for each point, line by line."""
    by = (Column(_short(found.by), field("line", _text), "line", repeats=True),) if found.by else ()
    return Table.of(
        found.title,
        (
            *by,
            Column(_short(found.axis), field("value", _text), "value"),
            Column(found.metric, lambda point: written(point.measured), "mean", numeric=True),
            Column("Seeds", lambda point: str(len(point.measured.seeds)), "n_seeds", numeric=True),
            Column("Runs", lambda point: listed(point.measured.run_ids), spare=1),
        ),
        found.points,
        lambda point: _record(found, point),
        notes=tuple(_notes(found)),
    )


def _notes(found: Swept) -> Iterator[str]:
    seeds = {len(point.measured.seeds) for point in found.points}
    if 1 in seeds:
        yield "±: half of the 95 % interval; with one seed over episodes, which says nothing of other seeds."
    if seeds - {1}:
        yield "±: half of the 95 % interval; with several seeds over seeds and episodes (Student's t)."
    if found.metric.startswith("test/") and len(found.points) > 1:
        yield "These are test classes: choose by validation classes instead, with --set split=val."
    yield from imported_note([point.measured for point in found.points])


def _record(found: Swept, point: SweepPoint) -> dict[str, Any]:
    measured = point.measured
    return {
        "axis": found.axis,
        "value": point.value,
        "by": found.by or None,
        "line": point.line,
        "metric": found.metric,
        "mean": measured.mean,
        "interval": measured.interval,
        "interval_over": measured.interval_over,
        "n_seeds": len(measured.seeds),
        "seeds": list(measured.seeds),
        "run_ids": list(measured.run_ids),
        "runs": {str(run.run_id): traced(run) for run in measured.runs},
    }


@dataclass(frozen=True)
class _Axis:
    """Where the values of the axis lie; those that are no numbers lie side by side, and have `names`."""

    places: Mapping[str, float]
    log: bool
    names: tuple[tuple[float, str], ...]


def _axis(found: Swept) -> _Axis:
    values = sorted(
        {json.dumps(point.value) for point in found.points}, key=lambda each: _order(json.loads(each))
    )
    numbers = [number for each in values if (number := _number(json.loads(each))) is not None]
    if len(numbers) < len(values):
        places = dict(zip(values, map(float, range(len(values))), strict=True))
        return _Axis(places, False, tuple((place, _text(json.loads(each))) for each, place in places.items()))
    log = numbers[0] > 0 and numbers[-1] / numbers[0] >= _LOG_FROM
    return _Axis(dict(zip(values, numbers, strict=True)), log, ())


def chart(found: Swept, *, width: int, colour: bool) -> Text:
    """Draw the lines with their intervals."""
    axis = _axis(found)
    series = []
    for line, points in islice(found.lines.items(), MOST_LINES):
        means = [point.measured.mean for point in points]
        halves = [point.measured.interval or 0.0 for point in points]
        series.append(
            Series(
                f"{_short(found.by)}={_text(json.loads(line))}" if found.by else found.metric,
                [axis.places[json.dumps(point.value)] for point in points],
                means,
                [mean - half for mean, half in zip(means, halves, strict=True)],
                [mean + half for mean, half in zip(means, halves, strict=True)],
            )
        )
    ticks = axis.names or tuple(
        (log10(place) if axis.log else place, f"{place:g}") for place in axis.places.values()
    )
    more = len(found.lines) - MOST_LINES
    title = f"{found.metric}, {found.unit}" + (f" (and {count(more, 'line')} more)" if more > 0 else "")
    plot = Plot(tuple(series), title, log_x=axis.log, x_label=_short(found.axis), x_ticks=ticks)
    return Text("\n").join(draw(plot, width=width, height=CHART_HEIGHT, colour=colour).rows)


@printed_style
def draw_sweep(found: Swept) -> Picture:
    """Draw the lines with their intervals on a sheet."""
    axis, picture = _axis(found), empty_picture(6, 4)
    axes = picture.figure.subplots()
    for line, points in found.lines.items():
        places = [axis.places[json.dumps(point.value)] for point in points]
        means = [point.measured.mean for point in points]
        halves = [point.measured.interval or 0.0 for point in points]
        name = f"{_short(found.by)}={_text(json.loads(line))}" if found.by else found.metric
        axes.errorbar(places, means, yerr=halves, marker=".", capsize=2, linewidth=1, label=name)
        texts = [with_interval(point.measured.mean, point.measured.interval) for point in points]
        said = [
            f"{_short(found.axis)} {_text(point.value)}: {text} {found.unit}"
            for point, text in zip(points, texts, strict=True)
        ]
        picture.mark(axes, name, places, means, said)
    if axis.log:
        axes.set_xscale("log")
    if axis.names:
        axes.set_xticks([place for place, _ in axis.names], [name for _, name in axis.names])
    axes.set(title=f"{found.metric}, {found.unit}", xlabel=_short(found.axis))
    if found.by:
        axes.legend()
    return picture
