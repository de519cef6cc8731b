"""The rows of Table 2 as measured here: for each way and shot the number, its training, its way to Fast/Slow.

Not here: which rows there are (experiments.table2), the paper's cells (paper.py), and the table (table2.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from json import loads
from typing import Any

from sqlalchemy import Engine

from experiments.config.own import is_own
from experiments.splits.omniglot import OMNIGLOT_PROTOCOLS, protocol_splits
from experiments.table2 import PRESENTATIONS, ROWS, SHAPES, Row, Shape, looks_of
from fsrun.report.class_intervals import class_difference, class_interval
from fsrun.report.measured import Measured, combine, newest_group
from fsrun.report.paired import Difference, paired_difference, unusual_test
from fsrun.report.paper import K_SHOT, N_WAY, TABLE2, PaperRow
from fsrun.report.trainings import Training, training_of
from fsrun.report.validation import Validation, Validations
from store.results import FinishedResult, finished_results, lineage

REFERENCE = "fastslow"  # the row which the others are compared with
ACCURACY = "test/accuracy"
BY_PRESENTATION = ("test/first_presentation", "test/second_presentation")

MINI: Shape = (5, 1)  # of the paper's mini-ImageNet column
MINI_FIVE: Shape = (5, 5)

_REFERENCES = {  # each row is compared with Fast/Slow's row of as many looks
    row.several_looks: row for row in ROWS if row.name in (REFERENCE, f"{REFERENCE}-looks")
}
_PAPER: Mapping[str, PaperRow] = {row.method: row for row in TABLE2}


@dataclass(frozen=True)
class Cell:
    """What a row measured in one number of ways and shots, in percent; None where no run may stand there.

    `behind` is its accuracy minus that of Fast/Slow, None where they did not meet the same numbered episodes.
    `elsewhere` is what imported runs measured, where `measured` is of runs made here. `over_classes` is half
    of the interval of `measured` over classes, `behind_classes` has that of the difference; None where no
    run kept the values of its episodes. `validation` is the curve of its training.
    """

    shape: Shape
    measured: Measured | None = None
    behind: Difference | None = None
    training: Training | None = None
    elsewhere: Measured | None = None
    over_classes: float | None = None
    behind_classes: Difference | None = None
    validation: Validation | None = None


@dataclass(frozen=True)
class Table2Row:
    """One row: the paper's cells, what the Omniglot cell's source measured, and what we did; percent.

    `paper` is None where the paper has no cell, for this row or for the ways and shots asked for.
    `mini` is the paper's cell for mini-ImageNet, 5 ways and 1 shot, `on_mini` what was measured of it and
    `on_mini_five` the same with 5 shots. `is_comparable` is False where the paper's is of another task.
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
    on_mini: Cell
    on_mini_five: Cell
    is_comparable: bool
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
    """Return the rows, the paper's first and in its order, in each cell the runs that finished last.

    Of runs on Omniglot those tested on the rotated test classes of P-V count; `left_out` names the others.
    """
    omniglot = [each for each in finished_results(engine, experiment="omniglot") if _obstacle(each) is None]
    mini = [
        each
        for each in finished_results(engine, experiment="miniimagenet")
        if not unusual_test(each, several_looks=True)
    ]
    validations = Validations(engine, lineage(engine))
    ordered = sorted((*ROWS, *_own_rows((*omniglot, *mini))), key=lambda row: row.name not in _PAPER)
    return tuple(_row(row, shapes, omniglot, mini, validations) for row in ordered)


def _own_rows(results: Sequence[FinishedResult]) -> list[Row]:
    """Return a row for each method that somebody wrote outside fsrun, in the order of their names."""
    own = {each.method for each in results if is_own(loads(each.config)["method"])}
    return [Row(name, name) for name in sorted(own)]


def left_out(engine: Engine, *, shapes: Sequence[Shape] = SHAPES) -> tuple[str, ...]:
    """Return a line for each method and reason why finished runs are not comparable with the rows."""
    methods = {row.method for row in ROWS}
    found = finished_results(engine, experiment="omniglot", name=ACCURACY)
    results = [each for each in found if each.method in methods and (each.n_way, each.k_shot) in shapes]
    alike: dict[tuple[str, str], list[int]] = {}
    for each in results:
        if why := _obstacle(each) or _rowless(each):
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
    omniglot: Sequence[FinishedResult],
    mini: Sequence[FinishedResult],
    validations: Validations,
) -> Table2Row:
    paper = _PAPER.get(row.name)
    in_paper = (N_WAY, K_SHOT) in shapes
    shown = paper if in_paper else None
    return Table2Row(
        name=row.name,
        title=row.title,
        method=row.method,
        paper=shown.omniglot if shown else None,
        mini=shown.mini if shown else None,
        source=shown.source + "*" * shown.second_hand if shown else "",
        note=shown.note if shown else "",
        cells=tuple(_cell(omniglot, row, shape, validations) for shape in shapes),
        on_mini=_cell(mini, row, MINI, validations) if in_paper else Cell(MINI),
        on_mini_five=_cell(mini, row, MINI_FIVE, validations) if in_paper else Cell(MINI_FIVE),
        is_comparable=paper is None or paper.comparable,
        presentations=_presentations(row, omniglot) if PRESENTATIONS in shapes else (),
    )


def _cell(results: Sequence[FinishedResult], row: Row, shape: Shape, validations: Validations) -> Cell:
    runs = _of_cell(results, row, shape)
    if not runs:
        return Cell(shape)
    reference = _of_cell(results, _REFERENCES[row.several_looks], shape)
    reference = () if row == _REFERENCES[row.several_looks] else reference
    elsewhere = _of_cell([each for each in results if each.imported], row, shape)
    training = training_of(runs, validations.known)
    return Cell(
        shape,
        _without_own(row, combine(runs, scale=100)),
        paired_difference(runs, reference, scale=100) if reference else None,
        training,
        combine(elsewhere, scale=100) if elsewhere and not runs[0].imported else None,
        class_interval(runs, scale=100),
        class_difference(runs, reference, scale=100) if reference else None,
        validations.of(runs, training.run_ids) if training else None,
    )


def _without_own(row: Row, measured: Measured) -> Measured:
    """Return the measurement with those options alone named as different that do not make the row."""
    config = loads(measured.runs[0].config)
    own = row.options(config["experiment"], measured.preset)
    as_planned = {name for name, value in own.items() if _at(config, name.split(".")) == value}
    kept = (each for each in measured.differences if each.partition("=")[0] not in as_planned)
    return replace(measured, differences=tuple(kept))


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _presentations(row: Row, results: Sequence[FinishedResult]) -> tuple[Measured, ...]:
    run_ids = {run.run_id for run in _of_cell(results, row, PRESENTATIONS)}
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
    if not data["rotations"]:
        return "its test classes are not rotated"
    return unusual_test(result, several_looks=True)


def _rowless(result: FinishedResult) -> str | None:
    """Return why no row has a result, whose method has one; None where one has."""
    config = loads(result.config)
    if any(row.holds(config) for row in ROWS):
        return None
    looks = looks_of(config)
    return f"it looks at each test image {looks} times" if looks > 1 else "no row has these options"


def _test_classes(protocol: str) -> Sequence[object]:
    return protocol_splits(protocol)["test"]
