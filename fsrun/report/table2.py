"""The paper's Table 2 beside our measurements of its Omniglot column.

Not here: the paper's cells (paper.py), and how a table is written (render.py). Accuracies in percent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any

from sqlalchemy import Engine

from experiments.data.protocols import OMNIGLOT_PROTOCOLS, protocol_splits
from fsrun.report.measured import Measured, combine, newest_group, traced
from fsrun.report.paired import paired_difference
from fsrun.report.paper import K_SHOT, N_WAY, TABLE2, PaperRow
from fsrun.report.render import Column, Table
from store.results import FinishedResult, finished_results

__all__ = ["Measured", "Table2Row", "left_out", "rows", "table2"]

NOT_RUN = "not run"
REFERENCE = "Fast/Slow"  # which the others are compared with
FIRST_STEPS = (
    "Nothing is measured yet: type `fsrun data import omniglot PATH`, "
    "`fsrun queue omniglot --preset quick{}`, `fsrun worker --drain`."
)


@dataclass(frozen=True)
class Table2Row:
    """One method: the paper's cell, what the cell's source measured, and what we did; percent.

    `paper` is None where the paper has no cell: other ways and shots than its 20-way 1-shot. `measured` is
    None where no finished run may stand in the row.
    """

    title: str
    method: str
    paper: float | None
    source: str
    note: str
    measured: Measured | None


def rows(engine: Engine, *, n_way: int = N_WAY, k_shot: int = K_SHOT) -> tuple[Table2Row, ...]:
    """Return the twelve rows in the paper's order, each with the group of runs of it that finished last.

    Only runs on Omniglot tested on the rotated test classes of P-V count; `left_out` names the others.
    """
    results = [result for result in _results(engine, n_way, k_shot) if _obstacle(result) is None]
    return tuple(_row(paper, results, in_paper=(n_way, k_shot) == (N_WAY, K_SHOT)) for paper in TABLE2)


def left_out(engine: Engine, *, n_way: int = N_WAY, k_shot: int = K_SHOT) -> tuple[str, ...]:
    """Return one line for each finished run that is not comparable with the rows, and why; newest first."""
    results = [(result, _obstacle(result)) for result in _results(engine, n_way, k_shot)]
    return tuple(f"run {result.run_id} ({result.method}): {why}" for result, why in results if why)


def table2(engine: Engine, *, n_way: int = N_WAY, k_shot: int = K_SHOT) -> Table:
    """Return Table 2 ready to be written, with notes on what its numbers mean."""
    lines = rows(engine, n_way=n_way, k_shot=k_shot)
    usual = (n_way, k_shot) == (N_WAY, K_SHOT)
    return Table(
        title=f"Table 2: Omniglot {n_way}-way {k_shot}-shot accuracy, %",
        columns=(
            Column("Method"),
            Column("Paper", numeric=True),
            Column("Source measured"),
            Column("Ours", numeric=True),
            Column("Episodes", numeric=True),
            Column("Preset"),
            Column("Runs"),
        ),
        rows=tuple(_cells(line) for line in lines),
        notes=(
            *_reading(lines, "" if usual else f" --n-way {n_way} --k-shot {k_shot}"),
            *(f"Not counted: {line}." for line in left_out(engine, n_way=n_way, k_shot=k_shot)),
            *_caveats(lines),
        ),
        records=tuple(_record(line) for line in lines),
    )


def _results(engine: Engine, n_way: int, k_shot: int) -> list[FinishedResult]:
    methods = {paper.method for paper in TABLE2}
    results = finished_results(engine, experiment="omniglot", name="test/accuracy")
    return [r for r in results if r.method in methods and (r.n_way, r.k_shot) == (n_way, k_shot)]


def _obstacle(result: FinishedResult) -> str | None:
    """Return why a result is not comparable with the rows of Table 2, None if it is."""
    data = loads(result.config)["data"]
    protocol = data["protocol"]
    # R1 divides the training classes differently, but tests on the very classes of P-V.
    if protocol not in OMNIGLOT_PROTOCOLS or _test_classes(protocol) != _test_classes("P-V"):
        return f"protocol {protocol} has other test classes than P-V"
    return None if data["rotations"] else "its test classes are not rotated"


def _test_classes(protocol: str) -> Sequence[object]:
    return protocol_splits(protocol)["test"]


def _row(paper: PaperRow, results: Sequence[FinishedResult], *, in_paper: bool) -> Table2Row:
    own = [result for result in results if result.method == paper.method]
    measured = combine(newest_group(own), scale=100) if own else None
    return Table2Row(
        title=paper.title,
        method=paper.method,
        paper=paper.omniglot if in_paper else None,
        source=paper.source + "*" * paper.second_hand if in_paper else "",
        note=paper.note if in_paper else "",
        measured=measured,
    )


def _cells(row: Table2Row) -> tuple[str, ...]:
    paper = "" if row.paper is None else f"{row.paper:.1f}"
    ours = row.measured
    if ours is None:
        return row.title, paper, row.source, NOT_RUN, "", "", ""
    accuracy = f"{ours.mean:.2f}" if ours.interval is None else f"{ours.mean:.2f} ± {ours.interval:.2f}"
    preset = ours.preset + "+" * bool(ours.differences)
    runs = ", ".join(map(str, ours.run_ids))
    return row.title, paper, row.source, accuracy, str(ours.episodes or ""), preset, runs


def _reading(lines: Sequence[Table2Row], options: str) -> Iterator[str]:
    """Yield how our numbers are to be read, or how to come by some."""
    measured = [(line.title, line.measured) for line in lines if line.measured is not None]
    if not measured:
        yield FIRST_STEPS.format(options)
        return
    yield "Ours: mean ± half of the 95 % interval over the episodes."
    if any(len(ours.runs) > 1 for _, ours in measured):
        yield (
            "Several runs: mean over the runs; the interval joins Student's t over the runs "
            "and the interval over the episodes, which all runs share."
        )
    if leads := list(_leads(lines)):
        yield f"{REFERENCE} ahead, in points, on the same numbered episodes: {', '.join(leads)}."
    for title, ours in measured:
        if ours.differences:
            yield f"{title}: {ours.preset} with {', '.join(ours.differences)}."


def _leads(lines: Sequence[Table2Row]) -> Iterator[str]:
    """Yield how far Fast/Slow is ahead of each other method, with the interval of the difference."""
    ours = next((line.measured for line in lines if line.title == REFERENCE), None)
    for line in lines:
        if ours is not None and line.measured is not None and line.title != REFERENCE:
            lead = paired_difference(ours.runs, line.measured.runs, scale=100)
            if lead is not None:
                yield f"{line.title} {lead.mean:+.2f} ± {lead.interval:.2f}"


def _caveats(lines: Sequence[Table2Row]) -> Iterator[str]:
    """Yield what the paper's cells do not say."""
    if any(line.source.endswith("*") for line in lines):
        yield "* known from others' reports of the source."
    yield from (f"{line.title}: {line.note}." for line in lines if line.note)


def _record(row: Table2Row) -> dict[str, Any]:
    ours = row.measured
    record: dict[str, Any] = {
        "method": row.method,
        "title": row.title,
        "paper_percent": row.paper,
        "source": row.source,
        "note": row.note,
        "status": NOT_RUN if ours is None else "measured",
    }
    return record | {
        "mean_percent": ours and ours.mean,
        "interval_percent": ours and ours.interval,
        "interval_over": ours and ours.interval_over,
        "episodes": ours and ours.episodes,
        "preset": ours and ours.preset,
        "differences": list(ours.differences) if ours else [],
        "seeds": list(ours.seeds) if ours else [],
        "run_ids": list(ours.run_ids) if ours else [],
        "group_hash": ours and ours.group_hash,
        "runs": {str(run.run_id): traced(run) for run in ours.runs} if ours else {},
    }
