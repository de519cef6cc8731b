"""One method in every kind of test it was put to: by protocol, sampling of episodes and batch statistics.

Not here: methods side by side in one kind of test (table2.py), and other numbers of classes (classes.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from json import loads
from typing import Any

from sqlalchemy import Engine

from experiments.errors import unknown_name
from experiments.registry import METHODS
from experiments.table2 import SHAPES, Shape, looks_of
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured, combine, imported_note, newest_group, traced, written
from fsrun.report.paired import held_out
from fsrun.report.render import Column, Table
from fsrun.report.table import field, listed
from fsrun.report.table2_columns import short
from fsrun.words import method_title
from store.results import FinishedResult, finished_results

_STATISTICS = {
    None: "",
    "running": "running statistics (r)",
    "support": "statistics of the support (s)",
    "queries": "statistics of the queries (t)",
}
TESTED = tuple(name for name, entry in METHODS.items() if name not in ("linear", "pretrain"))


@dataclass(frozen=True)
class Trial:
    """One kind of test: its name, and what the method measured in each number of ways and shots, percent."""

    experiment: str
    title: str
    cells: Mapping[Shape, Measured]


@dataclass(frozen=True)
class Protocols:
    """All kinds of test a method was put to, by data set, the plain ones of each protocol first."""

    method: str
    trials: tuple[Trial, ...]


def protocols(engine: Engine, method: str) -> Protocols:
    """Return what a method measured in each kind of test, by the runs that finished last.

    Raises ConfigError for an unknown method, NothingToReport where no run of it has finished.
    """
    found = finished_results(engine, name="test/accuracy")
    if method not in (*TESTED, *(each.method for each in found)):
        raise unknown_name("method", method, TESTED)
    results = [each for each in found if each.method == method and (each.n_way, each.k_shot) in SHAPES]
    if not results:
        raise NothingToReport(
            f"no run of {method} has been tested in 5 or 20 ways with 1 or 5 shots: type `fsrun queue "
            f"omniglot --method {method} --n-way 5,20 --k-shot 1,5`, `fsrun worker --drain`"
        )
    kinds: dict[object, list[FinishedResult]] = {}
    for result in results:
        kinds.setdefault(_kind(result), []).append(result)
    trials = [Trial(runs[0].experiment, _title(runs[0]), _cells(runs)) for runs in kinds.values()]
    return Protocols(method, tuple(sorted(trials, key=lambda trial: (trial.experiment, trial.title))))


def protocols_table(found: Protocols) -> Table:
    """Return the tests as a table, one line each, with a column for each number of ways and shots."""
    shapes = [shape for shape in SHAPES if any(shape in trial.cells for trial in found.trials)]
    table = Table.of(
        f"{method_title(found.method)} in every kind of test: accuracy, %",
        (
            Column("Data", field("experiment")),
            Column("Test", field("title")),
            *(
                Column(short(shape), partial(_accuracy, shape), short(shape), numeric=True)
                for shape in shapes
            ),
            Column("Runs", _runs),
        ),
        found.trials,
        lambda trial: {
            short(shape): trial.cells[shape].mean if shape in trial.cells else None for shape in shapes
        },
        notes=tuple(_notes(found)),
    )
    records = (
        _record(found.method, trial, shape)
        for trial in found.trials
        for shape in shapes
        if shape in trial.cells
    )
    return replace(table, records=tuple(records))


def _kind(result: FinishedResult) -> object:
    config = loads(result.config)
    evaluation = config["evaluation"]
    test = evaluation.get("sampling"), evaluation.get("batch_norm"), looks_of(config)
    return result.experiment, held_out(result), *test


def _title(result: FinishedResult) -> str:
    config = loads(result.config)
    data, evaluation = config["data"], config["evaluation"]
    upright = "" if data.get("rotations", True) else "upright characters"
    inside = "" if evaluation.get("sampling", "mixed") == "mixed" else "within an alphabet"
    statistics = _STATISTICS[evaluation.get("batch_norm")]
    looks = looks_of(config)
    seen = f"{looks} looks" if looks > 1 else ""
    return ", ".join(filter(None, (data.get("protocol", "drawn"), upright, inside, statistics, seen)))


def _cells(runs: Sequence[FinishedResult]) -> dict[Shape, Measured]:
    own = {shape: [run for run in runs if (run.n_way, run.k_shot) == shape] for shape in SHAPES}
    return {shape: combine(newest_group(some), scale=100) for shape, some in own.items() if some}


def _accuracy(shape: Shape, trial: Trial) -> str:
    return written(trial.cells[shape]) if shape in trial.cells else ""


def _runs(trial: Trial) -> str:
    return listed(sorted({run_id for cell in trial.cells.values() for run_id in cell.run_ids}))


def _notes(found: Protocols) -> Iterator[str]:
    yield "Mean over test episodes ± half of the 95 % interval; each test as it was run last."
    yield from imported_note(cell for trial in found.trials for cell in trial.cells.values())
    for trial in found.trials:
        changes = {change: None for cell in trial.cells.values() for change in cell.differences}
        own = [change for change in changes if not change.startswith(("evaluation.", "data.protocol"))]
        presets = ", ".join(dict.fromkeys(cell.preset for cell in trial.cells.values()))
        if own:
            yield f"{trial.experiment} {trial.title}: {presets} with {', '.join(own)}."


def _record(method: str, trial: Trial, shape: Shape) -> dict[str, Any]:
    ours = trial.cells[shape]
    return {
        "method": method,
        "experiment": trial.experiment,
        "test": trial.title,
        "n_way": shape[0],
        "k_shot": shape[1],
        "mean_percent": ours.mean,
        "interval_percent": ours.interval,
        "interval_over": ours.interval_over,
        "episodes": ours.episodes,
        "preset": ours.preset,
        "differences": list(ours.differences),
        "seeds": list(ours.seeds),
        "run_ids": list(ours.run_ids),
        "runs": {str(run.run_id): traced(run) for run in ours.runs},
    }
