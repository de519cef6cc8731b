"""The columns of Table 2: what each says of a row, and the value behind it.

Not here: the rows (rows.py), the notes and the records (table2.py).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from experiments.registry import BUILT_IN, methods_of
from experiments.table2 import Shape
from fsrun.report.measured import IMPORTED_MARK, Measured, written
from fsrun.report.paired import signed
from fsrun.report.paper import K_SHOT, N_WAY, TABLE2
from fsrun.report.render import Column
from fsrun.report.rows import MINI, MINI_FIVE, Cell, Table2Row
from fsrun.report.table import Show, field
from fsrun.report.trainings import Training

NOT_RUN = "not run"


RISING_MARK = "↑"


OTHER_TASK_MARK = "‡"


ALIKE_MARK = "~"
"""Stands at numbers that are not told apart from Fast/Slow's over the test classes."""


def short(shape: Shape) -> str:
    """Return ways and shots for a narrow column, for example 20w1s."""
    return f"{shape[0]}w{shape[1]}s"


IN_PAPER = frozenset(row.method for row in TABLE2)


_OMNIGLOT = f"Omniglot {N_WAY}-way {K_SHOT}-shot"


_MINI = f"mini-ImageNet {MINI[0]}-way {MINI[1]}-shot"


def columns_of(shapes: Sequence[Shape], lines: Sequence[Table2Row]) -> tuple[Column, ...]:
    """Return the columns: the paper's two, ours beside them, then the others in the order of their worth.

    What is left out first where there is no room for all has the highest number.
    """
    in_paper, mark = (N_WAY, K_SHOT) in shapes, mark_of(lines)
    others = [shape for shape in shapes if shape != (N_WAY, K_SHOT)] if in_paper else []
    spared = [
        *_cost_columns(),
        *(_accuracy(shape, mark) for shape in others),
        *([_accuracy(MINI_FIVE, mark, "mini_five")] if in_paper else []),
        Column("± classes", _main("over_classes", "{:.2f}"), "main_interval_over_classes", **_OF_MAIN),
        *(_to_fastslow(shape) for shape in sorted(shapes, key=lambda shape: shape != (N_WAY, K_SHOT))),
        Column("Runs", lambda row: ranges(_behind(row, "measured"))),
        *([_imported()] if any(line.main.elsewhere for line in lines) else []),
        Column("Preset", _preset, "main_preset", runs="main_run_ids"),
        Column("Parameters", _parameters, "main_parameters", numeric=True, runs="main_trained_by"),
        Column("Source measured", field("source")),
        Column("Trained by", lambda row: ranges(_behind(row, "training")), runs="main_trained_by"),
        Column("Episodes", _episodes, "main_episodes", **_OF_MAIN),
    ]
    return (
        Column("Method", _titled),
        *(_paper_columns(mark) if in_paper else [_accuracy(shapes[0], mark)]),
        *(replace(column, spare=place) for place, column in enumerate(spared, start=2)),
    )


_OF_MAIN: dict[str, Any] = {"numeric": True, "runs": "main_run_ids"}


def _paper_columns(mark: str) -> list[Column]:
    """Return the two columns of the paper, with ours and the difference beside each."""
    mini_delta = Column(
        "Mini Δ",
        lambda row: _signed(to_paper(row, mini=True)),
        "mini_to_paper_points",
        numeric=True,
        runs="mini_run_ids",
        inner="Δ",
    )
    delta = Column("Δ", _delta, "to_paper_points", numeric=True, runs="20w1s_run_ids")
    paper, mini = _from_paper("Paper", "paper"), _from_paper("Mini paper", "mini")
    ours = replace(_accuracy((N_WAY, K_SHOT), mark), inner="ours")
    ours_mini = replace(_accuracy(MINI, mark, "mini"), inner="ours")
    return [
        *(replace(column, group=_OMNIGLOT) for column in (paper, ours, delta)),
        *(replace(column, group=_MINI) for column in (mini, ours_mini, mini_delta)),
    ]


def _delta(row: Table2Row) -> str:
    return OTHER_TASK_MARK if row.measured and not row.is_comparable else _signed(to_paper(row))


def _from_paper(heading: str, name: str) -> Column:
    """Return a column of the paper's cells; a row of the paper without a cell says so."""

    def show(row: Table2Row) -> str:
        value: float | None = getattr(row, name)
        return f"{value:.1f}" if value else "–" if name == "mini" and row.name in IN_PAPER else ""

    value = "paper_percent" if name == "paper" else "paper_mini_percent"
    return Column(heading, show, value, numeric=True, inner="paper")


def _cost_columns() -> list[Column]:
    about: dict[str, Any] = {"numeric": True, "runs": "main_trained_by"}
    return [
        Column("Images", lambda row: images(_images_of(row)), "main_images", **about),
        Column("Core min", lambda row: core_minutes(row.main.training), "main_core_minutes", **about),
    ]


def _images_of(row: Table2Row) -> int | None:
    return row.main.training.images if row.main.training else None


def _imported() -> Column:
    return Column(
        "Imported",
        lambda row: "" if row.main.elsewhere is None else written(row.main.elsewhere),
        "main_imported_percent",
        numeric=True,
        runs="main_imported_run_ids",
    )


def _main(name: str, form: str) -> Show:
    """Return what says one field of the row's main cell."""

    def show(row: Table2Row) -> str:
        value = getattr(row.main, name)
        return "" if value is None else form.format(value)

    return show


def _behind(row: Table2Row, name: str) -> list[int]:
    """Return the runs that measured, or those that trained, all of a row's cells on Omniglot."""
    found = [getattr(cell, name) for cell in row.cells]
    return [run_id for each in found if each for run_id in each.run_ids]


def _titled(row: Table2Row) -> str:
    seeds = len(row.measured.runs) if row.measured else 1
    return row.title + f" ×{seeds}" * (seeds > 1)


def _preset(row: Table2Row) -> str:
    return row.measured.preset + "+" * bool(row.measured.differences) if row.measured else ""


def _parameters(row: Table2Row) -> str:
    training = row.main.training
    return "" if training is None or training.parameters is None else f"{training.parameters:,}"


def _episodes(row: Table2Row) -> str:
    return str(row.measured.episodes or "") if row.measured else ""


def _accuracy(shape: Shape, mark: str, field_of: str = "") -> Column:
    """Return the column of an accuracy on Omniglot, or with `field_of` on mini-ImageNet."""
    name = field_of or short(shape)
    experiment = "miniimagenet" if field_of else "omniglot"

    def show(row: Table2Row) -> str:
        may_run = row.method not in BUILT_IN or row.method in methods_of(experiment)
        return in_cell(cells_of(row)[name], mark, may_run=may_run)

    heading = f"Mini {short(shape)}" if field_of else name
    return Column(heading, show, f"{name}_percent", numeric=True, runs=f"{name}_run_ids")


def _to_fastslow(shape: Shape) -> Column:
    name = short(shape)
    return Column(
        f"to F/S {name}",
        lambda row: signed(cells_of(row)[name].behind),
        f"{name}_to_fastslow_points",
        numeric=True,
        runs=f"{name}_run_ids",
    )


def cells_of(row: Table2Row) -> dict[str, Cell]:
    """Return the cells of a row by the names of their columns."""
    return {short(cell.shape): cell for cell in row.cells} | {
        "mini": row.on_mini,
        "mini_five": row.on_mini_five,
    }


def to_paper(row: Table2Row, *, mini: bool = False) -> float | None:
    """Return ours minus the paper's, in points; None where one is missing or is of another task."""
    paper, cell = (row.mini, row.on_mini) if mini else (row.paper, row.main)
    if paper is None or cell.measured is None or not row.is_comparable:
        return None
    return None if not mini and cell.shape != (N_WAY, K_SHOT) else cell.measured.mean - paper


def _signed(value: float | None) -> str:
    said = "" if value is None else f"{value:+.1f}"
    return "0.0" if said == "-0.0" else said


def mark_of(lines: Sequence[Table2Row]) -> str:
    """Return the mark of imported numbers; nothing where all are, which a note says once."""
    measured = [cell.measured for line in lines for cell in (*line.cells, line.on_mini) if cell.measured]
    return "" if all(each.imported for each in measured) else IMPORTED_MARK


def percent(measured: Measured | None) -> str:
    """Return an accuracy with its interval, in percent."""
    return NOT_RUN if measured is None else written(measured)


def in_cell(cell: Cell, mark: str = IMPORTED_MARK, *, may_run: bool = True) -> str:
    """Return what a cell measured with its marks: imported, still rising, not told apart from Fast/Slow."""
    if cell.measured is None:
        return NOT_RUN if may_run else "–"
    rising = bool(cell.validation and cell.validation.rising)
    alike = cell.behind_classes is not None and not cell.behind_classes.shown
    half = cell.measured.interval
    spread = "" if half is None else f" ± {half:.2f}"
    marks = mark * cell.measured.imported + RISING_MARK * rising + ALIKE_MARK * alike
    return f"{cell.measured.mean:.2f}{spread}{marks}"


def images(count: int | None) -> str:
    """Return a number of images in a few characters: 416k, 4.40M."""
    if count is None:
        return ""
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count / 1e3:.0f}k" if count >= 1e3 else str(count)


def core_minutes(training: Training | None) -> str:
    """Return how many minutes of a core a training took."""
    return "" if training is None or training.core_seconds is None else f"{training.core_seconds / 60:.0f}"


def ranges(run_ids: Sequence[int]) -> str:
    """Return run numbers in order, each once, for example 3-6, 9."""
    parts: list[list[int]] = []
    for run_id in sorted(set(run_ids)):
        if parts and parts[-1][-1] == run_id - 1:
            parts[-1] = [parts[-1][0], run_id]
        else:
            parts.append([run_id])
    return ", ".join("-".join(map(str, part)) for part in parts)
