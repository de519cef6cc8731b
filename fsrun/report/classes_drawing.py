"""Drawing accuracy against the number of classes: in the terminal, and into a picture file.

Not here: what is drawn (classes.py).
"""

from collections.abc import Callable
from math import log10
from pathlib import Path

from rich.text import Text
from sqlalchemy import Engine

from fsrun.plot import Plot, Series, draw
from fsrun.report.canvas import check_picture, empty_figure, save
from fsrun.report.classes import REFERENCE, Classes, MethodCurve, Point, classes, classes_table
from fsrun.report.render import Format, printed, render, to_markdown, to_text

CHART_HEIGHT = 18  # lines
MOST_CURVES = 4  # in a terminal, which has marks for so many
_X_LABEL = "classes"


def render_classes(
    engine: Engine, experiment: str, form: Format, *, k_shot: int = 1, width: int = 80, colour: bool = False
) -> str:
    """Return the report in a format: curves and table, as CSV and JSON the table. Raises NothingToReport."""
    found = classes(engine, experiment, k_shot=k_shot)
    table = classes_table(found)
    match form:
        case Format.TEXT:
            drawn = printed(chart(found, width=width, colour=colour), width=width, colour=colour)
            return f"{drawn}\n\n{to_text(table, width=width, colour=colour)}"
        case Format.MARKDOWN:
            return f"{to_markdown(table)}\n\n```\n{chart(found, width=width, colour=False)}\n```"
        case _:
            return render(table, form)


def chart(found: Classes, *, width: int, colour: bool) -> Text:
    """Draw the curves of Fast/Slow and of the best others, on a logarithmic axis."""
    return Text("\n").join(draw(plots(found)[0], width=width, height=CHART_HEIGHT, colour=colour).rows)


def plots(found: Classes) -> tuple[Plot, ...]:
    """Return accuracy, and time and memory of an episode where they are known, by number of classes."""
    curves = _drawn(found)
    costs = {
        "seconds per episode": [_cost(curve, lambda point: point.seconds_per_episode) for curve in curves],
        "memory of the evaluation, MB": [_cost(curve, _megabytes) for curve in curves],
    }
    ways = sorted({point.n_way for curve in curves for point in curve.points})
    ticks = tuple((log10(n_way), f"{n_way:,}") for n_way in ways)
    accuracy = Plot(tuple(map(_series, curves)), _title(found), log_x=True, x_label=_X_LABEL, x_ticks=ticks)
    known = {name: [one for one in series if one.values] for name, series in costs.items()}
    drawn = (
        Plot(tuple(series), name, log_y=True, log_x=True, x_label=_X_LABEL, x_ticks=ticks)
        for name, series in known.items()
        if series
    )
    return (accuracy, *drawn)


def save_classes(found: Classes, path: Path) -> None:
    """Draw accuracy with its intervals, and the time of an episode, into a png, svg or pdf file.

    Raises UsageError for another ending, FsrunError where matplotlib or the folder is missing.
    """
    check_picture(path)
    picture = empty_figure()
    left, right = picture.subplots(1, 2)
    for curve in found.curves:
        ways = [point.n_way for point in curve.points]
        means = [point.measured.mean for point in curve.points]
        intervals = [point.measured.interval or 0.0 for point in curve.points]
        left.errorbar(ways, means, yerr=intervals, marker=".", capsize=2, linewidth=1, label=curve.title)
        timed = [(each.n_way, each.seconds_per_episode) for each in curve.points if each.seconds_per_episode]
        right.plot(*zip(*timed, strict=True) if timed else ((), ()), marker=".", linewidth=1)
    left.set(title=_title(found), xlabel=_X_LABEL, xscale="log")
    right.set(title="seconds per episode", xlabel=_X_LABEL, xscale="log", yscale="log")
    ways = sorted({point.n_way for curve in found.curves for point in curve.points})
    for axes in (left, right):
        axes.set_xticks(ways, [f"{n_way:,}" for n_way in ways], rotation=45)
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    left.legend()
    save(picture, path)


def _title(found: Classes) -> str:
    return f"{found.subject}, {found.k_shot}-shot accuracy, %"


def _drawn(found: Classes) -> list[MethodCurve]:
    """Return the curves that fit: those of several points if any, Fast/Slow first, then by the last point."""
    curves = [curve for curve in found.curves if len(curve.points) > 1] or list(found.curves)
    curves.sort(key=lambda curve: (curve.method != REFERENCE, -curve.points[-1].measured.mean))
    return curves[:MOST_CURVES]


def _series(curve: MethodCurve) -> Series:
    means = [point.measured.mean for point in curve.points]
    halves = [point.measured.interval or 0.0 for point in curve.points]
    return Series(
        curve.title,
        [point.n_way for point in curve.points],
        means,
        [mean - half for mean, half in zip(means, halves, strict=True)],
        [mean + half for mean, half in zip(means, halves, strict=True)],
    )


def _cost(curve: MethodCurve, of: Callable[[Point], float | None]) -> Series:
    known = [(point.n_way, cost) for point in curve.points if (cost := of(point))]
    return Series(curve.title, [place for place, _ in known], [cost for _, cost in known])


def _megabytes(point: Point) -> float | None:
    return None if point.peak_bytes is None else point.peak_bytes / 2**20
