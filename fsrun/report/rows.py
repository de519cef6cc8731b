"""The rows of Table 2 as measured here: for each way and shot the number, its training, its way to Fast/Slow.

Not here: which rows there are (experiments.table2), the paper's cells (paper.py), and the table (table2.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from json import loads
from typing import Any

from sqlalchemy import Engine

from experiments.data.protocols import OMNIGLOT_PROTOCOLS, protocol_splits
from experiments.table2 import PRESENTATIONS, ROWS, SHAPES, Row, Shape
from fsrun.report.measured import Measured, combine, newest_group
from fsrun.report.paired import Difference, paired_difference, unusual_test
from fsrun.report.paper import K_SHOT, N_WAY, TABLE2, PaperRow
from fsrun.report.trainings import Training, training_of
from store.results import FinishedResult, Lineage, finished_results, lineage

REFERENCE = "fastslow"  # the row which the others are compared with
ACCURACY = "test/accuracy"
BY_PRESENTATION = ("test/first_presentation", "test/second_presentation")

_PAPER: Mapping[str, PaperRow] = {row.method: row for row in TABLE2}


@dataclass(frozen=True)
class Cell:
    """What a row measured in one number of ways and shots, in percent; None where no run may stand there.

    `behind` is its accuracy minus that of Fast/Slow, None where they did not meet the same numbered episodes.
    `elsewhere` is what imported runs measured, where `measured` is of runs made here.
    """

    shape: Shape
    measured: Measured | None = None
    behind: Difference | None = None
    training: Training | None = None
    elsewhere: Measured | None = None


@dataclass(frozen=True)
class Table2Row:
    """One row: the paper's cells, what the Omniglot cell's source measured, and what we did; percent.

    `paper` is None where the paper has no cell, for this row or for the ways and shots asked for.
    `presentations` are the accuracies on the first and second image of a class, where that was measured.
    """

    name: str
    title: str
    method: str
    paper: float | None
    mini: float | None
    source: str
    note: str
    cells: tuple[Cell, ...]
    presentations: tuple[Measured, ...] = ()

    @property
    def main(self) -> Cell:
        """The cell that stands for the row: 20-way 1-shot where measured, else the last that is."""
        measured = [cell for cell in self.cells if cell.measured is not None]
        usual = [cell for cell in measured if cell.shape == (N_WAY, K_SHOT)]
        return (usual or measured or self.cells)[-1]

    @property
    def measured(self) -> Measured | None:
        """What the main cell measured."""
        return self.main.measured


def rows(engine: Engine, *, shapes: Sequence[Shape] = SHAPES) -> tuple[Table2Row, ...]:
    """Return the rows in the paper's order, in each cell the group of runs that finished last.

    Only runs on Omniglot tested on the rotated test classes of P-V count; `left_out` names the others.
    """
    results = [each for each in finished_results(engine, experiment="omniglot") if _obstacle(each) is None]
    known = lineage(engine)
    imported = [each for each in results if each.imported]
    by_cell = {(row.name, shape): _of_cell(results, row, shape) for row in ROWS for shape in shapes}
    elsewhere = {(row.name, shape): _of_cell(imported, row, shape) for row in ROWS for shape in shapes}
    return tuple(_row(row, shapes, by_cell, elsewhere, results, known) for row in ROWS)


def left_out(engine: Engine, *, shapes: Sequence[Shape] = SHAPES) -> tuple[str, ...]:
    """Return a line for each method and reason why finished runs are not comparable with the rows."""
    methods = {row.method for row in ROWS}
    found = finished_results(engine, experiment="omniglot", name=ACCURACY)
    results = [each for each in found if each.method in methods and (each.n_way, each.k_shot) in shapes]
    alike: dict[tuple[str, str], list[int]] = {}
    for each in results:
        if why := _obstacle(each):
            alike.setdefault((each.method, why), []).append(each.run_id)
    return tuple(
        f"run{'s' * (len(runs) > 1)} {', '.join(map(str, runs))} ({method}): {why}"
        for (method, why), runs in alike.items()
    )


def _of_cell(results: Sequence[FinishedResult], row: Row, shape: Shape) -> tuple[FinishedResult, ...]:
    own = [
        each
        for each in results
        if each.method == row.method
        and each.result.name == ACCURACY
        and (each.n_way, each.k_shot) == shape
        and row.holds(loads(each.config))
    ]
    return newest_group(own) if own else ()


def _row(
    row: Row,
    shapes: Sequence[Shape],
    by_cell: Mapping[tuple[str, Shape], tuple[FinishedResult, ...]],
    elsewhere: Mapping[tuple[str, Shape], tuple[FinishedResult, ...]],
    results: Sequence[FinishedResult],
    known: Lineage,
) -> Table2Row:
    paper = _PAPER.get(row.name)
    in_paper = paper is not None and (N_WAY, K_SHOT) in shapes
    return Table2Row(
        name=row.name,
        title=row.title,
        method=row.method,
        paper=paper.omniglot if paper and in_paper else None,
        mini=paper.mini if paper and in_paper else None,
        source=paper.source + "*" * paper.second_hand if paper and in_paper else "",
        note=paper.note if paper and in_paper else "",
        cells=tuple(
            _cell(
                row,
                shape,
                by_cell[row.name, shape],
                by_cell[REFERENCE, shape],
                elsewhere[row.name, shape],
                known,
            )
            for shape in shapes
        ),
        presentations=_presentations(row, by_cell.get((row.name, PRESENTATIONS), ()), results),
    )


def _cell(
    row: Row,
    shape: Shape,
    runs: Sequence[FinishedResult],
    reference: Sequence[FinishedResult],
    elsewhere: Sequence[FinishedResult],
    known: Lineage,
) -> Cell:
    if not runs:
        return Cell(shape)
    compared = reference and row.name != REFERENCE
    return Cell(
        shape,
        _without_own(row, combine(runs, scale=100)),
        paired_difference(runs, reference, scale=100) if compared else None,
        training_of(runs, known),
        combine(elsewhere, scale=100) if elsewhere and not runs[0].imported else None,
    )


def _without_own(row: Row, measured: Measured) -> Measured:
    """Return the measurement with those options alone named as different that do not make the row."""
    own: dict[str, Any] = {**row.also.get(measured.preset, {}), **row.sets}
    method = loads(measured.runs[0].config)["method"]
    as_planned = {name for name, value in own.items() if _at(method, name.split(".")[1:]) == value}
    kept = (each for each in measured.differences if each.partition("=")[0] not in as_planned)
    return replace(measured, differences=tuple(kept))


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _presentations(
    row: Row, runs: Sequence[FinishedResult], results: Sequence[FinishedResult]
) -> tuple[Measured, ...]:
    run_ids = {run.run_id for run in runs}
    found = [
        [r for r in results if r.run_id in run_ids and r.result.name == name] for name in BY_PRESENTATION
    ]
    return tuple(combine(group, scale=100) for group in found) if all(found) else ()


def _obstacle(result: FinishedResult) -> str | None:
    """Return why a result is not comparable with the rows of Table 2, None if it is."""
    data = loads(result.config)["data"]
    protocol = data["protocol"]
    # R1 divides the training classes differently, but tests on the very classes of P-V.
    if protocol not in OMNIGLOT_PROTOCOLS or _test_classes(protocol) != _test_classes("P-V"):
        return f"protocol {protocol} has other test classes than P-V"
    return unusual_test(result) if data["rotations"] else "its test classes are not rotated"


def _test_classes(protocol: str) -> Sequence[object]:
    return protocol_splits(protocol)["test"]
