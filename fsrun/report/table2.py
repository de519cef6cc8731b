"""The paper's Table 2, Omniglot and mini-ImageNet, beside what was measured here."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Engine

from experiments.table2 import SHAPES, Shape
from fsrun.report.measured import Measured, imported_note, traced, written
from fsrun.report.paper import K_SHOT, N_WAY, PRESENTATIONS
from fsrun.report.render import Column, Table
from fsrun.report.rows import MINI, REFERENCE, Cell, Table2Row, left_out, rows
from fsrun.report.trainings import Training

__all__ = ["NOT_RUN", "Measured", "Table2Row", "left_out", "rows", "table2"]

NOT_RUN = "not run"
RISING_MARK = "↑"
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
    return Table(
        title=f"Table 2: Omniglot and mini-ImageNet {asked}, %"
        if in_paper
        else f"Table 2: Omniglot {asked}, %",
        columns=_columns(shapes, elsewhere=any(line.main.elsewhere for line in lines)),
        rows=tuple(_cells(line, elsewhere=any(line.main.elsewhere for line in lines)) for line in lines),
        notes=tuple(_reading(lines)),
        records=tuple(_record(line) for line in lines),
        details=(
            *_columns_read(lines),
            *(f"Excluded: {line}." for line in left_out(engine, shapes=shapes)),
            *_caveats(lines),
        ),
    )


def short(shape: Shape) -> str:
    """Return ways and shots for a narrow column, for example 20w1s."""
    return f"{shape[0]}w{shape[1]}s"


# What is left out first where there is no room for all has the highest number. The paper's two columns stay
# longest, with ours beside them.
_PAPER, _MINI, _MINI_PAPER, _SHAPES = range(1, 5)
_IMAGES, _TIME, _CLASSES = range(8, 11)
_BEHIND, _ELSEWHERE, _RUNS, _PRESET, _PARAMETERS, _SOURCE, _TRAINERS, _EPISODES = range(11, 19)


def _columns(shapes: Sequence[Shape], *, elsewhere: bool) -> tuple[Column, ...]:
    """Return the columns: those of 20-way 1-shot go last of their kind.

    One for imported numbers is there where some stand `elsewhere` than in the cells.
    """
    places = {shape: 0 if shape == (N_WAY, K_SHOT) else place for place, shape in enumerate(shapes, start=1)}
    places = places if len(shapes) > 1 else dict.fromkeys(shapes, 0)
    return (
        Column("Method"),
        Column("Paper", numeric=True, spare=_PAPER, value="paper_percent"),
        *(
            Column(
                short(shape),
                numeric=True,
                spare=_SHAPES + places[shape] - 1 if places[shape] else 0,
                value=f"{short(shape)}_percent",
                runs=f"{short(shape)}_run_ids",
            )
            for shape in shapes
        ),
        *(_mini_columns() if (N_WAY, K_SHOT) in shapes else ()),
        Column(
            "± classes",
            numeric=True,
            spare=_CLASSES,
            value="main_interval_over_classes",
            runs="main_run_ids",
        ),
        *(
            Column(
                f"to F/S {short(shape)}",
                numeric=True,
                spare=_EPISODES + 1 if places[shape] else _BEHIND,
                value=f"{short(shape)}_to_fastslow_points",
                runs=f"{short(shape)}_run_ids",
            )
            for shape in shapes
        ),
        *(
            Column(
                "Imported",
                numeric=True,
                spare=_ELSEWHERE,
                value="main_imported_percent",
                runs="main_imported_run_ids",
            )
            for _ in range(elsewhere)
        ),
        Column("Images", numeric=True, spare=_IMAGES, value="main_images", runs="main_trained_by"),
        Column("Core min", numeric=True, spare=_TIME, value="main_core_minutes", runs="main_trained_by"),
        Column(
            "Parameters", numeric=True, spare=_PARAMETERS, value="main_parameters", runs="main_trained_by"
        ),
        Column("Preset", spare=_PRESET, value="main_preset", runs="main_run_ids"),
        Column("Runs", spare=_RUNS),
        Column("Trained by", spare=_TRAINERS, runs="main_trained_by"),
        Column("Source measured", spare=_SOURCE),
        Column("Episodes", numeric=True, spare=_EPISODES, value="main_episodes", runs="main_run_ids"),
    )


def _mini_columns() -> tuple[Column, ...]:
    """Return the columns of the paper's other data set, 5 ways and 1 shot."""
    return (
        Column(
            "Mini paper", spare=_MINI_PAPER, value="paper_mini_percent", numeric=True, runs="mini_run_ids"
        ),
        Column(f"Mini {short(MINI)}", spare=_MINI, value="mini_percent", numeric=True, runs="mini_run_ids"),
    )


def _cells(row: Table2Row, *, elsewhere: bool) -> tuple[str, ...]:
    main, ours = row.main, row.main.measured
    training = main.training
    in_paper = (N_WAY, K_SHOT) in [cell.shape for cell in row.cells]
    papers = "" if row.mini is None else f"{row.mini:.1f}"
    mini = (papers, in_cell(row.on_mini)) if in_paper else ()
    runs = [run_id for cell in row.cells if cell.measured for run_id in cell.measured.run_ids]
    trainers = [run_id for cell in row.cells if cell.training for run_id in cell.training.run_ids]
    return (
        row.title,
        "" if row.paper is None else f"{row.paper:.1f}",
        *map(in_cell, row.cells),
        *mini,
        "" if main.over_classes is None else f"{main.over_classes:.2f}",
        *(points(cell) for cell in row.cells),
        *("" if main.elsewhere is None else written(main.elsewhere) for _ in range(elsewhere)),
        images(training.images if training else None),
        core_minutes(training),
        "" if training is None or training.parameters is None else f"{training.parameters:,}",
        "" if ours is None else ours.preset + "+" * bool(ours.differences),
        ranges(runs),
        ranges(trainers),
        row.source,
        "" if ours is None else str(ours.episodes or ""),
    )


def percent(measured: Measured | None) -> str:
    """Return an accuracy with its interval, in percent."""
    return NOT_RUN if measured is None else written(measured)


def in_cell(cell: Cell) -> str:
    """Return what a cell measured, marked where its training was still rising when it ended."""
    rising = cell.validation is not None and cell.validation.rising
    return percent(cell.measured) + f" {RISING_MARK}" * bool(rising)


def images(count: int | None) -> str:
    """Return a number of images in a few characters: 416k, 4.40M."""
    if count is None:
        return ""
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count / 1e3:.0f}k" if count >= 1e3 else str(count)


def core_minutes(training: Training | None) -> str:
    """Return how many minutes of a core a training took."""
    return "" if training is None or training.core_seconds is None else f"{training.core_seconds / 60:.0f}"


def points(cell: Cell) -> str:
    """Return how far a cell is from Fast/Slow, in points; nothing where that cannot be told."""
    return "" if cell.behind is None else f"{cell.behind.mean:+.2f} ± {cell.behind.interval:.2f}"


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
    seeds = " and seeds" if any(len(ours.runs) > 1 for ours in shown) else ""
    yield f"20w1s: 20 ways, 1 shot. Ours ± half of the 95 % interval over episodes{seeds}."
    yield from over_classes(lines)
    if any(cell.validation and cell.validation.rising for cell in measured):
        yield f"{RISING_MARK} accuracy on validation classes was still rising when training ended."
    bare = _without_curve(lines)
    if bare:
        yield f"No validation curve: {_named(bare, len(lines))}; `fsrun queue curves` trains with one."
    elsewhere = (cell.elsewhere for cell in measured if cell.elsewhere)
    yield from imported_note((*shown, *elsewhere))


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


def _named(rows_named: Sequence[str], of: int) -> str:
    """Name some rows, or count them where they are many."""
    return "; ".join(rows_named) if len(rows_named) < 4 else f"{len(rows_named)} of {of} rows"


def _columns_read(lines: Sequence[Table2Row]) -> Iterator[str]:
    """Yield what the columns hold, which runs are not as in their preset, and what was not kept."""
    cells = [(line.title, cell) for line in lines for cell in line.cells if cell.measured]
    on_mini = [(f"{line.title} on mini-ImageNet", line.on_mini) for line in lines if line.on_mini.measured]
    measured = [(title, cell.measured) for title, cell in (*cells, *on_mini) if cell.measured]
    if not measured:
        return
    yield "Mini: mini-ImageNet, 5 ways, 1 shot."
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
        "variance of the episodes' values; docs/decisions.md says how."
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
            f"No validation curve, so nothing tells whether they were still rising: {'; '.join(curveless)}. "
            "Their validation classes were learned from (holdout=false), or their curve was not kept."
        )
    yield from map(presentations_line, (line for line in lines if line.presentations))
    told = {(title, ours.preset, ours.differences): None for title, ours in measured if ours.differences}
    yield from (f"{title}: {preset} with {', '.join(changes)}." for title, preset, changes in told)


def presentations_line(row: Table2Row) -> str:
    """Say what a row with presentations measured by them, beside its source."""
    (first, second), (source_first, source_second) = row.presentations, PRESENTATIONS
    return (
        f"{row.title}: among 5 classes {percent(first)} on the first image of a class (its source: "
        f"{source_first}), {percent(second)} on the second ({source_second})."
    )


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
        "mini_status": "measured" if row.on_mini.measured else NOT_RUN,
        "status": "measured" if row.measured else NOT_RUN,
        "first_presentation_percent": first and first.mean,
        "first_presentation_interval": first and first.interval,
        "second_presentation_percent": second and second.mean,
        "second_presentation_interval": second and second.interval,
    }
    ours = [cell.measured for cell in (*row.cells, row.on_mini) if cell.measured is not None]
    record["run_ids"] = sorted({run_id for each in ours for run_id in each.run_ids})
    for cell in row.cells:
        record |= {f"{short(cell.shape)}_{name}": value for name, value in _cell_record(cell).items()}
    record |= {f"mini_{name}": value for name, value in _cell_record(row.on_mini).items()}
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
