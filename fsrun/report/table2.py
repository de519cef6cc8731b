"""The paper's Table 2, Omniglot and mini-ImageNet, beside what was measured here.

Not here: its columns (table2_columns.py) and its rows (rows.py).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Engine

from experiments.table2 import SHAPES, Shape
from fsrun.report.measured import IMPORTED_MARK, Measured, imported_note, traced, written
from fsrun.report.paper import K_SHOT, N_WAY, PRESENTATIONS
from fsrun.report.render import Column, Table
from fsrun.report.rows import REFERENCE, Cell, Table2Row, left_out, rows
from fsrun.report.table2_columns import (
    ALIKE_MARK,
    IN_PAPER,
    NOT_RUN,
    OTHER_TASK_MARK,
    RISING_MARK,
    cells_of,
    columns_of,
    mark_of,
    short,
    to_paper,
)
from store.results import IMPORTED_FROM

__all__ = ["NOT_RUN", "Measured", "Table2Row", "left_out", "rows", "table2"]


FIRST_STEPS = (
    "Nothing is measured yet: type `fsrun data import omniglot PATH`, `fsrun queue table2 --preset quick`, "
    "`fsrun worker --drain`."
)


def table2(engine: Engine, *, n_way: int | None = None, k_shot: int | None = None) -> Table:
    """Return Table 2 ready to be written, with notes on what its numbers mean.

    5 and 20 ways, 1 and 5 shots; or those asked for alone, 20 ways and 1 shot where one of them is None.
    """
    alone = n_way is not None or k_shot is not None
    shapes: tuple[Shape, ...] = ((n_way or N_WAY, k_shot or K_SHOT),) if alone else SHAPES
    lines = rows(engine, shapes=shapes)
    in_paper = (N_WAY, K_SHOT) in shapes
    asked = f"{shapes[0][0]}-way {shapes[0][1]}-shot accuracy" if alone else "accuracy"
    others = [line for line in lines if line.name not in IN_PAPER]
    measured = sum(bool(line.measured or line.on_mini.measured) for line in others)
    columns = columns_of(shapes, lines)
    return Table.of(
        f"Table 2: Omniglot {'and mini-ImageNet ' * in_paper}{asked}, %",
        columns,
        lines,
        _record,
        notes=tuple(_reading(lines)),
        details=(
            *_columns_read(lines),
            *(f"Excluded: {line}." for line in left_out(engine, shapes=shapes)),
            *_caveats(lines),
        ),
        best=frozenset(_best(lines, columns)),
        ours=frozenset(number for number, line in enumerate(lines) if line.name == REFERENCE),
        extra=len(lines) - len(others),
        extra_title="not in the paper",
        folded_title=f"not in the paper: {len(others)} rows, {measured} measured; --extra prints them",
    )


def _best(lines: Sequence[Table2Row], columns: Sequence[Column]) -> Iterator[tuple[int, str]]:
    """Yield the cells of ours with the highest accuracy of their column, among the paper's methods."""
    own = [line for line in lines if line.name in IN_PAPER]
    for column in columns:
        means = {
            number: cell.measured.mean
            for number, line in enumerate(own)
            if (cell := cells_of(line).get(column.value.removesuffix("_percent"))) and cell.measured
        }
        if means:
            yield max(means, key=lambda number: means[number]), column.heading


def _reading(lines: Sequence[Table2Row]) -> Iterator[str]:
    """Yield what a reader needs to read our numbers, or how to come by some."""
    measured = [cell for line in lines for cell in (*line.cells, line.on_mini) if cell.measured]
    if not measured:
        yield FIRST_STEPS
        return
    shown = [cell.measured for cell in measured if cell.measured]
    seeds = "; ×3: also over three seeds" if any(len(ours.runs) > 1 for ours in shown) else ""
    yield f"Ours ± 95 % interval over episodes{seeds}; Δ: ours - paper."
    if any(line.measured and not line.is_comparable for line in lines):
        yield f"{OTHER_TASK_MARK} the paper's number is of another task."
    reference = next(line for line in lines if line.name == REFERENCE)
    halves = [
        f"{name}± {cell.over_classes:.2f}"
        for name, cell in (("", reference.main), ("mini ", reference.on_mini))
        if cell.measured and cell.over_classes is not None
    ]
    if halves:
        yield f"{ALIKE_MARK} not told apart from Fast/Slow over test classes ({', '.join(halves)})."
    if any(cell.validation and cell.validation.rising for cell in measured):
        yield f"{RISING_MARK} accuracy on validation classes was still rising when training ended."
    if mark_of(lines):
        elsewhere = (cell.elsewhere for cell in measured if cell.elsewhere)
        yield from imported_note((*shown, *elsewhere))
    else:
        files = list(dict.fromkeys(run.provenance[IMPORTED_FROM] for ours in shown for run in ours.runs))
        yield f"All numbers were imported from {files[0] if len(files) == 1 else f'{len(files)} files'}."


def over_classes(lines: Sequence[Table2Row]) -> Iterator[str]:
    """Yield how wide Fast/Slow's interval over test classes is, and which numbers it is not told apart from.

    Rows measured here by the paired difference, the paper's cells by that interval.
    """
    reference = next(line for line in lines if line.name == REFERENCE)
    places = [("", line.main, line.paper, line) for line in lines]
    places += [("Mini ", line.on_mini, line.mini, line) for line in lines]
    halves, near = [], []
    for kind, own in (("", reference.main), ("Mini ", reference.on_mini)):
        if own.measured is None or own.over_classes is None:
            continue
        where = f"{kind}{short(own.shape)}"
        halves.append(f"± {own.over_classes:.2f} in {where}")
        for place, cell, paper, line in places:
            if place != kind:
                continue
            if cell.shape == own.shape and cell.behind_classes and not cell.behind_classes.shown:
                near.append(f"{line.title} ({where})")
            if paper is not None and abs(paper - own.measured.mean) <= own.over_classes:
                near.append(f"{line.title} {paper} (paper)")
    if halves:
        told = f"not told apart from {'; '.join(near)}" if near else "told apart from every other number"
        yield f"Over test classes, not episodes, Fast/Slow is {' and '.join(halves)}: {told}."


def _without_curve(lines: Sequence[Table2Row]) -> list[str]:
    """Return the rows whose training, as far as its runs tell, was never looked at on validation classes."""
    return [
        line.title
        for line in lines
        if any(cell.training and cell.validation is None for cell in (*line.cells, line.on_mini))
    ]


def _columns_read(lines: Sequence[Table2Row]) -> Iterator[str]:
    """Yield what the columns hold, which runs are not as in their preset, and what was not kept."""
    cells = [(line.title, cell) for line in lines for cell in line.cells if cell.measured]
    on_mini = [(f"{line.title} on mini-ImageNet", line.on_mini) for line in lines if line.on_mini.measured]
    measured = [(title, cell.measured) for title, cell in (*cells, *on_mini) if cell.measured]
    if not measured:
        return
    yield "20w1s: 20 ways, 1 shot, on Omniglot; Mini: on mini-ImageNet, 5 ways."
    yield from over_classes(lines)
    if not mark_of(lines):
        line, *_ = imported_note(ours for _, ours in measured)
        yield line.replace(f"{IMPORTED_MARK} i", "I")
    yield (
        "looks: the test looks several times at each image, 12 times on Omniglot, twice on mini-ImageNet; "
        "all other rows look once. Nearest mean is on the pre-trained features of Fast/Slow."
    )
    if any(len(ours.runs) > 1 for _, ours in measured):
        yield (
            "Several runs: mean over the runs; the interval joins Student's t over the runs "
            "and the interval over the episodes, which all runs share."
        )
    if any(cell.behind for _, cell in cells):
        yield "to F/S: accuracy minus that of Fast/Slow, in points, on the same numbered episodes alone."
    yield (
        "± classes: half of the 95 % interval for other test characters than these, by the components of "
        "variance of the episodes' values; docs/explanation/statistics.md says how."
    )
    bare = dict.fromkeys(title for title, cell in (*cells, *on_mini) if cell.over_classes is None)
    if bare:
        yield f"No values of the episodes were kept, so no interval over classes: {'; '.join(bare)}."
    yield (
        "Images: what the training embeds, what it starts from included; an image that passes the network "
        "several times counts each time. Core min: what these runs had of the processor; where that was not "
        "kept, their time on each of their threads, which on a busy machine is too much."
    )
    yield (
        "± classes, images, core minutes, parameters, preset and episodes are those of 20w1s, else of the "
        "last column measured."
    )
    if curveless := _without_curve(lines):
        yield (
            f"No validation curve: {'; '.join(curveless)}; `fsrun queue curves` trains with one. Without it "
            "nothing tells whether a row was still rising: its validation classes were learned from "
            "(holdout=false), or its curve was not kept."
        )
    yield from map(presentations_line, (line for line in lines if line.presentations))
    told: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}  # the rows of each distinct setting
    for title, ours in measured:
        if ours.differences:
            told.setdefault((ours.preset, ours.differences), {})[title] = None
    yield from (
        f"{'; '.join(titles)}: {preset} with {', '.join(changes)}."
        for (preset, changes), titles in told.items()
    )


def presentations_line(row: Table2Row) -> str:
    """Say what a row with presentations measured by them, beside its source."""
    (first, second), (source_first, source_second) = row.presentations, PRESENTATIONS
    return (
        f"{row.title}: among 5 classes {_bare(first)} on the first image of a class (its source: "
        f"{source_first}), {_bare(second)} on the second ({source_second})."
    )


def _bare(measured: Measured) -> str:
    """Return an accuracy with its interval, without a mark."""
    return written(measured).removesuffix(f" {IMPORTED_MARK}")


def _caveats(lines: Sequence[Table2Row]) -> Iterator[str]:
    """Yield what the paper's cells do not say."""
    if any(line.source.endswith("*") for line in lines):
        yield "* known from others' reports of the source."
    yield from (f"{line.title}: {line.note}." for line in lines if line.note)


def _record(row: Table2Row) -> dict[str, Any]:
    first, second = row.presentations or (None, None)
    record: dict[str, Any] = {
        "row": row.name,
        "method": row.method,
        "title": row.title,
        "shapes": [list(cell.shape) for cell in row.cells],
        "paper_percent": row.paper,
        "source": row.source,
        "note": row.note,
        "paper_mini_percent": row.mini,
        "to_paper_points": to_paper(row),
        "mini_to_paper_points": to_paper(row, mini=True),
        "mini_status": "measured" if row.on_mini.measured else NOT_RUN,
        "status": "measured" if row.measured else NOT_RUN,
        "first_presentation_percent": first and first.mean,
        "first_presentation_interval": first and first.interval,
        "second_presentation_percent": second and second.mean,
        "second_presentation_interval": second and second.interval,
    }
    cells = (*row.cells, row.on_mini, row.on_mini_five)
    ours = [cell.measured for cell in cells if cell.measured is not None]
    record["run_ids"] = sorted({run_id for each in ours for run_id in each.run_ids})
    for cell in row.cells:
        record |= {f"{short(cell.shape)}_{name}": value for name, value in _cell_record(cell).items()}
    record |= {f"mini_{name}": value for name, value in _cell_record(row.on_mini).items()}
    record |= {f"mini_five_{name}": value for name, value in _cell_record(row.on_mini_five).items()}
    main = _cell_record(row.main)
    record |= {f"main_{name}": main[name] for name in _OF_THE_ROW}
    return record | {"runs": {str(run.run_id): traced(run) for each in ours for run in each.runs}}


_OF_THE_ROW = (
    *("preset", "episodes", "train_seconds", "images", "core_minutes", "parameters", "trained_by", "run_ids"),
    "interval_over_classes",
    *("imported_percent", "imported_run_ids"),
)
"""What the columns say that a row has once: of its main cell."""


def _cell_record(cell: Cell) -> dict[str, Any]:
    ours, behind, training = cell.measured, cell.behind, cell.training
    elsewhere = cell.elsewhere
    return {
        "percent": ours and ours.mean,
        "interval": ours and ours.interval,
        "interval_over": ours and ours.interval_over,
        "interval_over_classes": cell.over_classes,
        "to_fastslow_interval_over_classes": cell.behind_classes and cell.behind_classes.interval,
        "still_rising": cell.validation and cell.validation.rising,
        "episodes": ours and ours.episodes,
        "to_fastslow_points": behind and behind.mean,
        "to_fastslow_interval": behind and behind.interval,
        "to_fastslow_episodes": behind and behind.episodes,
        "preset": ours and ours.preset,
        "differences": list(ours.differences) if ours else [],
        "seeds": list(ours.seeds) if ours else [],
        "run_ids": list(ours.run_ids) if ours else [],
        "group_hash": ours and ours.group_hash,
        "trained_by": list(training.run_ids) if training else [],
        "stages": list(training.stages) if training else [],
        "train_seconds": training and training.seconds,
        "images": training and training.images,
        "core_minutes": training and training.core_seconds and training.core_seconds / 60,
        "parameters": training and training.parameters,
        "imported_percent": elsewhere and elsewhere.mean,
        "imported_run_ids": list(elsewhere.run_ids) if elsewhere else [],
    }
