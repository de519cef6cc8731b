"""What each row of Table 2 cost: images and core minutes beside its accuracy, and its validation curve.

Not here: how images are counted (experiments.budgets), and where curves are from (validation.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, product
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from experiments.table2 import Shape, main_shape
from fsrun.axes import format_number
from fsrun.plot import Plot, Series, draw
from fsrun.report.canvas import COLOURS, DASHES, Picture, empty_picture, printed_style
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import imported_note, traced
from fsrun.report.render import Column, Table, document_of
from fsrun.report.report import Report
from fsrun.report.rows import Cell, Table2Row, rows
from fsrun.report.table import field
from fsrun.report.table2_columns import RISING_MARK, core_minutes, images, in_cell, ranges, short
from fsrun.report.validation import SHORTEST, Validation

DATA = ("omniglot", "miniimagenet")
CHART_HEIGHT = 30  # lines, of which the names of the curves take some
_X_LABEL = "images"


@dataclass(frozen=True)
class Line:
    """A measured row with the cell that its cost is of, and its curve where that is of the ways shown."""

    row: Table2Row
    cell: Cell
    curve: Validation | None


@dataclass(frozen=True)
class Budget:
    """The measured rows of a data set in the paper's order, and the names of the others."""

    experiment: str
    shape: Shape
    lines: tuple[Line, ...]
    not_run: tuple[str, ...]

    @property
    def title(self) -> str:
        """What was measured on what."""
        name = "mini-ImageNet" if self.experiment == "miniimagenet" else "Omniglot"
        return f"{name} {self.shape[0]}-way {self.shape[1]}-shot"


def budget(engine: Engine, experiment: str = "omniglot") -> Budget:
    """Return what the rows of Table 2 cost. Raises NothingToReport where none was measured."""
    shape = main_shape(experiment)
    lines, not_run = [], []
    for row in rows(engine):
        cell = row.on_mini if experiment == "miniimagenet" else row.main
        if cell.measured is None:
            not_run.append(row.title)
            continue
        curve = cell.validation
        lines.append(Line(row, cell, curve if curve and curve.shape == shape else None))
    if not lines:
        data = "" if experiment == "omniglot" else f" --on {experiment}"
        raise NothingToReport(
            f"no row of Table 2 was measured: type `fsrun queue table2{data}`, `fsrun worker --drain`"
        )
    return Budget(experiment, shape, tuple(lines), tuple(not_run))


def budget_report(engine: Engine, experiment: str = "omniglot") -> Report:
    """Return the report on budgets, with a chart where there is a curve. Raises NothingToReport."""
    found = budget(engine, experiment)
    table = budget_table(found)
    curves = any(line.curve for line in found.lines)
    return Report(
        "report --budget",
        (table,),
        partial(document_of, table),
        charts=partial(chart, found) if curves else None,
        picture=partial(draw_budget, found) if curves else None,
    )


def budget_table(found: Budget) -> Table:
    """Return accuracy and cost of each row, and where its validation curve ended."""
    trained: dict[str, Any] = {"numeric": True, "runs": "trained_by"}
    return Table.of(
        f"What Table 2 cost: {found.title}, %",
        (
            Column("Method", lambda line: line.row.title),
            Column(short(found.shape), lambda line: _accuracy(found, line), "percent", numeric=True),
            Column("Images", _images, "images", **trained),
            Column("Before", _images_before, "images_before", **trained, spare=1),
            Column("Core min", _core_minutes, "core_minutes", **trained),
            Column("Validation", _validation, "validation_percent", numeric=True, spare=2, runs="curve_of"),
            Column("Runs", lambda line: ranges(line.cell.measured.run_ids), spare=3),
            Column("Curve of", field("curve", lambda curve: ranges(curve.run_ids)), spare=4, runs="curve_of"),
        ),
        found.lines,
        lambda line: _record(found, line),
        notes=tuple(_notes(found)),
    )


def chart(found: Budget, *, width: int, colour: bool) -> Text:
    """Draw all curves, accuracy against images, on a logarithmic axis."""
    return Text("\n").join(draw(plot(found), width=width, height=CHART_HEIGHT, colour=colour).rows)


def plot(found: Budget) -> Plot:
    """Return all curves as one plot, the best at its end first."""
    curves = sorted(_curves(found), key=lambda pair: -pair[1].accuracy[-1])
    series = [Series(title, curve.images, curve.accuracy) for title, curve in curves]
    return Plot(tuple(series), f"Validation accuracy, {found.title}, %", log_x=True, x_label=_X_LABEL)


@printed_style
def draw_budget(found: Budget) -> Picture:
    """Draw all curves on a sheet."""
    picture = empty_picture(8, 4.5)
    axes = picture.figure.subplots()
    looks = cycle(product(DASHES, COLOURS))
    for (title, curve), (dash, colour) in zip(_curves(found), looks, strict=False):
        axes.plot(
            curve.images, curve.accuracy, label=title, color=colour, linestyle=dash, marker=".", linewidth=1
        )
        said = [
            f"{count:,} images: {value:.2f} %"
            for count, value in zip(curve.images, curve.accuracy, strict=True)
        ]
        picture.mark(axes, title, curve.images, curve.accuracy, said)
    axes.set(
        title=f"{found.title}: accuracy on validation classes, %", xlabel="images embedded", xscale="log"
    )
    axes.xaxis.set_major_formatter(lambda value, _: format_number(value))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return picture


def _curves(found: Budget) -> Iterator[tuple[str, Validation]]:
    """Yield each curve once under the names of its rows, which may differ in their test alone."""
    named: dict[Validation, list[str]] = {}
    for line in found.lines:
        if line.curve:
            named.setdefault(line.curve, []).append(line.row.title)
    for curve, titles in named.items():
        first, *others = titles
        yield first + "".join(f" = {title.removeprefix(f'{first}, ')}" for title in others), curve


def _accuracy(found: Budget, line: Line) -> str:
    elsewhere = "" if line.cell.shape == found.shape else f" ({short(line.cell.shape)})"
    return in_cell(line.cell) + elsewhere


def _images(line: Line) -> str:
    return images(line.cell.training.images) if line.cell.training else "0"


def _images_before(line: Line) -> str:
    before = line.cell.training.images_before if line.cell.training else None
    return images(before) if before else ""


def _core_minutes(line: Line) -> str:
    return core_minutes(line.cell.training) if line.cell.training else "0"


def _validation(line: Line) -> str:
    return f"{line.curve.accuracy[-1]:.2f}" if line.curve else ""


def _notes(found: Budget) -> Iterator[str]:
    yield (
        "Images: all that the training embeds, each pass counted; Before: of them by what it starts from. "
        "Core min: what these runs had of the processor; where that was not kept, their time on each thread."
    )
    bare = [line.row.title for line in found.lines if line.cell.training and not line.cell.validation]
    if bare:
        yield (
            f"No validation curve: {'; '.join(bare)}. `fsrun queue curves` trains with one what learned from "
            "its validation classes."
        )
    elsewhere = [
        f"{line.row.title} ({short(line.cell.validation.shape)})"
        for line in found.lines
        if line.cell.validation and not line.curve
    ]
    if elsewhere:
        yield f"Looked at in other ways, so not on the chart: {'; '.join(elsewhere)}."
    lent = [line.row.title for line in found.lines if line.curve and not line.curve.own]
    if lent:
        yield (
            f"Validation curves of the same recipe trained without its validation classes: {'; '.join(lent)}."
        )
    if any(line.cell.validation and line.cell.validation.rising for line in found.lines):
        yield f"{RISING_MARK} accuracy on validation classes was still rising when training ended."
    short_curves = [line.row.title for line in found.lines if line.curve and line.curve.rising is None]
    if short_curves:
        yield f"Too short to tell whether it was rising, below {SHORTEST} points: {'; '.join(short_curves)}."
    measured = [line.cell.measured for line in found.lines if line.cell.measured]
    yield from imported_note(measured)
    if found.not_run:
        yield f"Not run: {'; '.join(found.not_run)}."


def _record(found: Budget, line: Line) -> dict[str, Any]:
    training, measured, curve = line.cell.training, line.cell.measured, line.curve
    assert measured is not None
    return {
        "row": line.row.name,
        "method": line.row.method,
        "title": line.row.title,
        "experiment": found.experiment,
        "n_way": line.cell.shape[0],
        "k_shot": line.cell.shape[1],
        "percent": measured.mean,
        "interval": measured.interval,
        "images": training.images if training else 0,
        "images_before": training.images_before if training else 0,
        "core_minutes": training.core_seconds and training.core_seconds / 60 if training else 0,
        "train_seconds": training.seconds if training else 0,
        "trained_by": list(training.run_ids) if training else [],
        "still_rising": curve and curve.rising,
        "validation_percent": curve and curve.accuracy[-1],
        "curve_of": list(curve.run_ids) if curve else [],
        "run_ids": list(measured.run_ids),
        "curve": [list(point) for point in zip(curve.images, curve.accuracy, strict=True)] if curve else [],
        "runs": {str(run.run_id): traced(run) for run in measured.runs},
    }
