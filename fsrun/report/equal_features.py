"""Table 2 on equal features: accuracy of each mechanism, and how far it is ahead of nearest mean.

Not here: which mechanisms there are (experiments/equal_features.py), and the pairs' arithmetic (paired.py).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from json import loads
from typing import Any

from sqlalchemy import Engine

from experiments.config import ImageRun, config_from_json, config_hash, prerequisites, training_run
from experiments.equal_features import MECHANISMS, REFERENCE
from experiments.errors import ConfigError
from experiments.table2 import Row, Shape, main_shape, rows_of, shapes_of
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured, combine, imported_note, newest_group, traced, written
from fsrun.report.paired import Difference, paired_difference, signed, unusual_test
from fsrun.report.render import Column, Table
from fsrun.report.rows import ACCURACY
from fsrun.report.table2_columns import NOT_RUN, ranges, short
from fsrun.report.trainings import Training, training_of
from fsrun.words import count
from store.results import FinishedResult, finished_results, lineage

_REFERENCES = {row.several_looks: row for row in MECHANISMS if row.name in (REFERENCE, f"{REFERENCE}-looks")}
_NAMES = {"miniimagenet": "mini-ImageNet", "omniglot": "Omniglot"}


@dataclass(frozen=True)
class Cell:
    """What a mechanism measured in one number of ways and shots, in percent.

    `ahead` is its accuracy minus that of nearest mean with the same looks, None for nearest mean itself and
    where the two kept no values of the same episodes.
    """

    shape: Shape
    measured: Measured | None = None
    ahead: Difference | None = None
    training: Training | None = None


@dataclass(frozen=True)
class Mechanism:
    """A row, its cells in the order of the columns."""

    row: Row
    cells: tuple[Cell, ...]

    def at(self, shape: Shape) -> Cell:
        """Return the cell of some ways and shots."""
        return next(cell for cell in self.cells if cell.shape == shape)

    @property
    def training(self) -> Training | None:
        """The training of the last column that one was measured in."""
        known = [cell.training for cell in self.cells if cell.training]
        return known[-1] if known else None

    @property
    def run_ids(self) -> list[int]:
        """The runs behind all cells, in order."""
        return sorted({run_id for cell in self.cells if cell.measured for run_id in cell.measured.run_ids})


@dataclass(frozen=True)
class EqualFeatures:
    """All rows on the features of one pre-training, whose config is `stage`; `others` start elsewhere."""

    experiment: str
    stage: ImageRun
    lines: tuple[Mechanism, ...]
    others: tuple[int, ...]


def equal_features(engine: Engine, experiment: str = "omniglot") -> EqualFeatures:
    """Return the rows on the pre-training that most of them share, of several the newest.

    Raises NothingToReport where none was measured.
    """
    rows = rows_of(experiment, MECHANISMS)
    stages: dict[str, ImageRun] = {}
    found: dict[str, list[FinishedResult]] = defaultdict(list)
    for each in finished_results(engine, experiment=experiment, name=ACCURACY):
        stage = _stage(each.config)
        config = loads(each.config)
        if stage and not unusual_test(each, several_looks=True) and any(row.holds(config) for row in rows):
            key = config_hash(stage, with_seed=False)
            stages[key] = stage
            found[key].append(each)
    if not found:
        on = "" if experiment == "omniglot" else f" --on {experiment}"
        raise NothingToReport(
            f"no row on equal features was measured: type `fsrun queue equal-features{on}`, "
            "`fsrun worker --drain`"
        )
    chosen = max(found, key=lambda key: (_rows_filled(rows, found[key]), found[key][-1].finished))
    known = lineage(engine)
    lines = []
    for row in rows:
        cells = []
        for shape in shapes_of(experiment):
            runs = _of_cell(found[chosen], row, shape)
            rival = _REFERENCES[row.several_looks]
            behind = _of_cell(found[chosen], rival, shape) if row != rival else ()
            ahead = paired_difference(runs, behind, scale=100) if runs and behind else None
            training = training_of(runs, known) if runs else None
            cells.append(Cell(shape, combine(runs, scale=100) if runs else None, ahead, training))
        lines.append(Mechanism(row, tuple(cells)))
    others = sorted({each.run_id for key, results in found.items() if key != chosen for each in results})
    return EqualFeatures(experiment, stages[chosen], tuple(lines), tuple(others))


@cache
def _stage(config: str) -> ImageRun | None:
    """Return the pre-training that a run, or who trained its model, starts from; None where it has none."""
    try:
        run = config_from_json(config)
    except ConfigError:  # stored by another version of the program
        return None
    before = prerequisites(training_run(run) or run)
    return before[0] if before and isinstance(before[0], ImageRun) else None


def _rows_filled(rows: Sequence[Row], results: Sequence[FinishedResult]) -> int:
    configs = [loads(each.config) for each in results]
    return sum(any(row.holds(config) for config in configs) for row in rows)


def _of_cell(results: Sequence[FinishedResult], row: Row, shape: Shape) -> tuple[FinishedResult, ...]:
    own = [each for each in results if (each.n_way, each.k_shot) == shape and row.holds(loads(each.config))]
    return newest_group(own) if own else ()


def equal_features_table(found: EqualFeatures) -> Table:
    """Return the rows as a table: accuracy, and the difference to nearest mean, column by column."""
    shapes = shapes_of(found.experiment)
    order = [main_shape(found.experiment), *(each for each in shapes if each != main_shape(found.experiment))]
    columns = [Column("Mechanism", lambda line: line.row.title)]
    for place, shape in enumerate(order):
        name = short(shape)
        about: dict[str, Any] = {"numeric": True, "spare": 2 * place, "runs": f"{name}_run_ids"}
        columns += [
            Column(name, partial(_accuracy, shape), f"{name}_percent", **about),
            Column(f"to mean {name}", partial(_to_mean, shape), f"{name}_to_mean_points", **about),
        ]
    columns += [
        Column("Images", _images, "own_images", numeric=True, spare=1, runs="trained_by"),
        Column("Runs", lambda line: ranges(line.run_ids), spare=9),
    ]
    return Table.of(
        f"Table 2 on equal features: {_NAMES.get(found.experiment, found.experiment)} accuracy, %",
        columns,
        found.lines,
        lambda line: _record(found, line),
        notes=tuple(_notes(found)),
        details=tuple(_details(found)),
    )


def _accuracy(shape: Shape, line: Mechanism) -> str:
    measured = line.at(shape).measured
    return NOT_RUN if measured is None else written(measured)


def _to_mean(shape: Shape, line: Mechanism) -> str:
    return signed(line.at(shape).ahead)


def _images(line: Mechanism) -> str:
    images = own_images(line.training)
    return "" if images is None else f"{images:,}"


def own_images(training: Training | None) -> int | None:
    """Return how many images a training embeds after the pre-training, None where that is not known."""
    if training is None or training.images is None or training.images_before is None:
        return None
    return training.images - training.images_before


def _notes(found: EqualFeatures) -> Iterator[str]:
    stage = found.stage.method
    yield (
        f"All rows start from one pre-training: {stage.steps:,} steps on {_classes(stage)} classes, "
        "as Fast/Slow does."
    )
    yield "to mean: accuracy minus that of nearest mean with the same looks, paired over test episodes."
    yield "Images: embedded after the pre-training; with a frozen backbone each image once."


def _classes(stage: Any) -> str:
    return str(stage.classes).replace("+", " and ")


def _details(found: EqualFeatures) -> Iterator[str]:
    yield "20w1s: 20 ways, 1 shot. Mean ± half of the 95 % interval over episodes; with seeds, over both."
    yield (
        "frozen: the backbone stays as pre-training left it, and the method learns what lies above. "
        "trained on: the method's own rule moves all of it, at a small rate."
    )
    yield "A frozen Prototypical Net learns nothing that a test uses: it is nearest mean."
    compared = sum(cell.ahead is not None for line in found.lines for cell in line.cells)
    if compared > 1:
        yield f"Of {compared} such differences, 5 % of the intervals miss the true one by chance."
    if found.others:
        runs = count(len(found.others), "run")
        yield f"Not counted: {runs} from other pre-trainings ({ranges(found.others)})."
    measured = [cell.measured for line in found.lines for cell in line.cells if cell.measured]
    yield from imported_note(measured)
    told = {
        (line.row.title, each): None
        for line in found.lines
        for cell in line.cells
        if cell.measured
        for each in _unplanned(line.row, cell.measured, found.experiment)
    }
    yield from (f"{title}: with {change}." for title, change in told)


def _unplanned(row: Row, measured: Measured, experiment: str) -> Iterator[str]:
    """Yield the options of a run that neither its preset nor the row's own recipe has."""
    own: Mapping[str, Any] = row.options(experiment, measured.preset)
    for each in measured.differences:
        name = each.partition("=")[0]
        if name not in own and not name.startswith(("data.", "method.pretrain.")):
            yield each


def _record(found: EqualFeatures, line: Mechanism) -> dict[str, Any]:
    training = line.training
    record: dict[str, Any] = {
        "row": line.row.name,
        "title": line.row.title,
        "method": line.row.method,
        "experiment": found.experiment,
        "pretraining_hash": config_hash(found.stage, with_seed=False),
        "frozen": line.row.sets.get("method.frozen"),
        "several_looks": line.row.several_looks,
        "status": "measured" if line.run_ids else NOT_RUN,
        "own_images": own_images(training),
        "images_before": training and training.images_before,
        "train_seconds": training and training.seconds,
        "core_seconds": training and training.core_seconds,
        "trained_by": list(training.run_ids) if training else [],
        "stages": list(training.stages) if training else [],
        "run_ids": line.run_ids,
    }
    for cell in line.cells:
        name, ours, ahead = short(cell.shape), cell.measured, cell.ahead
        record |= {
            f"{name}_percent": ours and ours.mean,
            f"{name}_interval": ours and ours.interval,
            f"{name}_episodes": ours and ours.episodes,
            f"{name}_seeds": list(ours.seeds) if ours else [],
            f"{name}_run_ids": list(ours.run_ids) if ours else [],
            f"{name}_to_mean_points": ahead and ahead.mean,
            f"{name}_to_mean_interval": ahead and ahead.interval,
        }
    runs = {
        str(run.run_id): traced(run) for cell in line.cells if cell.measured for run in cell.measured.runs
    }
    return record | {"runs": runs}
