"""Accuracy against the number of classes as a report: curves in the terminal and on a sheet, and the table.

Not here: what is drawn (classes.py).
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import log10
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from fsrun.axes import with_interval
from fsrun.plot import Plot, Series, draw
from fsrun.report.canvas import Picture, empty_picture, printed_style
from fsrun.report.classes import REFERENCE, Classes, MethodCurve, Point, classes, classes_table
from fsrun.report.render import document_of
from fsrun.report.report import Report

CHART_HEIGHT = 18  # lines
MOST_CURVES = 4  # in a terminal, which has marks for so many
_X_LABEL = "classes"


def classes_report(
    engine: Engine, experiment: str, *, k_shot: int = 1, features: str | None = None
) -> Report:
    """Return the report on an experiment's classes. Raises NothingToReport and ConfigError."""
    found = classes(engine, experiment, k_shot=k_shot, features=features)
    table = classes_table(found)
    return Report(
        f"report --classes {experiment}",
        (table,),
        partial(document_of, table),
        charts=partial(chart, found),
        picture=partial(draw_classes, found),
    )


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


@printed_style
def draw_classes(found: Classes) -> Picture:
    """Draw accuracy with its intervals, and the time of an episode where it is known."""
    panels = {_title(found): _accuracies}
    if any(point.seconds_per_episode for curve in found.curves for point in curve.points):
        panels["seconds per episode"] = _seconds
    picture = empty_picture(5 * len(panels), 4)
    ways = sorted({point.n_way for curve in found.curves for point in curve.points})
    for axes, (title, draw_panel) in zip(
        picture.figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        draw_panel(picture, axes, found.curves)
        axes.set(title=title, xlabel=_X_LABEL, xscale="log")
        axes.set_xticks(ways, [f"{n_way:,}" for n_way in ways], rotation=45)
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    return picture


def _accuracies(picture: Picture, axes: Any, curves: Sequence[MethodCurve]) -> None:
    for curve in curves:
        ways = [point.n_way for point in curve.points]
        means = [point.measured.mean for point in curve.points]
        halves = [point.measured.interval or 0.0 for point in curve.points]
        axes.errorbar(ways, means, yerr=halves, marker=".", capsize=2, linewidth=1, label=curve.title)
        texts = [with_interval(point.measured.mean, point.measured.interval) for point in curve.points]
        said = [f"{n_way:,} classes: {text} %" for n_way, text in zip(ways, texts, strict=True)]
        picture.mark(axes, curve.title, ways, means, said)
    axes.legend()


def _seconds(picture: Picture, axes: Any, curves: Sequence[MethodCurve]) -> None:
    """Draw each method in the colour it has beside, those without times left out."""
    axes.set_yscale("log")
    for curve in curves:
        timed = [(point.n_way, cost) for point in curve.points if (cost := point.seconds_per_episode)]
        ways, seconds = [n_way for n_way, _ in timed], [cost for _, cost in timed]
        axes.plot(ways, seconds, marker=".", linewidth=1)
        said = [f"{n_way:,} classes: {cost:.3g} s" for n_way, cost in zip(ways, seconds, strict=True)]
        picture.mark(axes, curve.title, ways, seconds, said)


def _title(found: Classes) -> str:
    return f"{found.subject}, {found.k_shot}-shot accuracy, %"


def _drawn(found: Classes) -> list[MethodCurve]:
    """Return the curves that fit: Fast/Slow first, then those of most points, of equals by the last one."""
    curves = [curve for curve in found.curves if len(curve.points) > 1] or list(found.curves)
    curves.sort(
        key=lambda curve: (curve.method != REFERENCE, -len(curve.points), -curve.points[-1].measured.mean)
    )
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
