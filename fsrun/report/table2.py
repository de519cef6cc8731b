"""The paper's Table 2, Omniglot and mini-ImageNet, beside what was measured here."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine

from experiments.registry import methods_of
from experiments.table2 import SHAPES, Shape
from fsrun.report.measured import IMPORTED_MARK, Measured, imported_note, traced, written
from fsrun.report.paired import signed
from fsrun.report.paper import K_SHOT, N_WAY, PRESENTATIONS, TABLE2
from fsrun.report.render import Column, Table
from fsrun.report.rows import MINI, MINI_FIVE, REFERENCE, Cell, Table2Row, left_out, rows
from fsrun.report.table import Show, field
from fsrun.report.trainings import Training
from store.results import IMPORTED_FROM

__all__ = ["NOT_RUN", "Measured", "Table2Row", "left_out", "rows", "table2"]

NOT_RUN = "not run"
RISING_MARK = "↑"
OTHER_TASK_MARK = "‡"
ALIKE_MARK = "~"
"""Stands at numbers that are not told apart from Fast/Slow's over the test classes."""

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
    others = [line for line in lines if line.name not in _IN_PAPER]
    measured = sum(bool(line.measured or line.on_mini.measured) for line in others)
    columns = _columns(shapes, lines)
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


def short(shape: Shape) -> str:
    """Return ways and shots for a narrow column, for example 20w1s."""
    return f"{shape[0]}w{shape[1]}s"


_IN_PAPER = frozenset(row.method for row in TABLE2)
_OMNIGLOT = f"Omniglot {N_WAY}-way {K_SHOT}-shot"
_MINI = f"mini-ImageNet {MINI[0]}-way {MINI[1]}-shot"


def _columns(shapes: Sequence[Shape], lines: Sequence[Table2Row]) -> tuple[Column, ...]:
    """Return the columns: the paper's two, ours beside them, then the others in the order of their worth.

    What is left out first where there is no room for all has the highest number.
    """
    in_paper, mark = (N_WAY, K_SHOT) in shapes, _mark(lines)
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
        return f"{value:.1f}" if value else "–" if name == "mini" and row.name in _IN_PAPER else ""

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
        return in_cell(_cells_of(row)[name], mark, may_run=row.method in methods_of(experiment))

    heading = f"Mini {short(shape)}" if field_of else name
    return Column(heading, show, f"{name}_percent", numeric=True, runs=f"{name}_run_ids")


def _to_fastslow(shape: Shape) -> Column:
    name = short(shape)
    return Column(
        f"to F/S {name}",
        lambda row: signed(_cells_of(row)[name].behind),
        f"{name}_to_fastslow_points",
        numeric=True,
        runs=f"{name}_run_ids",
    )


def _cells_of(row: Table2Row) -> dict[str, Cell]:
    """Return the cells of a row by the names of their columns."""
    return {short(cell.shape): cell for cell in row.cells} | {
        "mini": row.on_mini,
        "mini_five": row.on_mini_five,
    }


def _best(lines: Sequence[Table2Row], columns: Sequence[Column]) -> Iterator[tuple[int, str]]:
    """Yield the cells of ours with the highest accuracy of their column, among the paper's methods."""
    own = [line for line in lines if line.name in _IN_PAPER]
    for column in columns:
        means = {
            number: cell.measured.mean
            for number, line in enumerate(own)
            if (cell := _cells_of(line).get(column.value.removesuffix("_percent"))) and cell.measured
        }
        if means:
            yield max(means, key=lambda number: means[number]), column.heading


def to_paper(row: Table2Row, *, mini: bool = False) -> float | None:
    """Return ours minus the paper's, in points; None where one is missing or is of another task."""
    paper, cell = (row.mini, row.on_mini) if mini else (row.paper, row.main)
    if paper is None or cell.measured is None or not row.is_comparable:
        return None
    return None if not mini and cell.shape != (N_WAY, K_SHOT) else cell.measured.mean - paper


def _signed(value: float | None) -> str:
    said = "" if value is None else f"{value:+.1f}"
    return "0.0" if said == "-0.0" else said


def _mark(lines: Sequence[Table2Row]) -> str:
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
    if _mark(lines):
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
    if not _mark(lines):
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
