"""A row of Table 2 told in prose: its story, then what it measured here.

Not here: the stories (stories.py), and the table itself (table2.py).
"""

from collections.abc import Iterator

from sqlalchemy import Engine

from experiments.errors import unknown_name
from experiments.table2 import ROWS
from fsrun.report.paired import signed
from fsrun.report.rows import REFERENCE, Table2Row, rows
from fsrun.report.stories import STORIES, story
from fsrun.report.table2 import presentations_line
from fsrun.report.table2_columns import percent, ranges, short
from fsrun.report.trainings import Training
from fsrun.words import duration, method_title

HONEST = (20, 1)


def explained(name: str, engine: Engine | None) -> tuple[str, ...]:
    """Return a title and the paragraphs on a row, named as in the table, its records, or by its method.

    The last ones are on what was measured here, where there is a database. Raises ConfigError for no such
    row.
    """
    methods = {row.name: row.method for row in ROWS} | {method: method for method in STORIES}
    method = methods.get(name) or _by_title(name)
    if method is None:
        raise unknown_name("row", name, methods)
    lines = [row for row in rows(engine) if row.method == method] if engine is not None else []
    return (f"{method_title(method)} in Table 2", *story(method), *measured_here(lines))


def _by_title(name: str) -> str | None:
    titles = {row.title.casefold(): row.method for row in ROWS}
    titles |= {method_title(method).casefold(): method for method in STORIES}
    return titles.get(name.casefold())


def measured_here(lines: list[Table2Row]) -> Iterator[str]:
    """Yield a paragraph on each of the rows, all of one method, that was measured."""
    for row in lines:
        if row.measured is not None:
            yield f"Measured here: {row.title}: {'; '.join(_cells(row))}."
    for row in lines:
        if row.presentations:
            honest = next((_honest(each) for each in lines if _honest(each)), "not run")
            yield f"{presentations_line(row)} {HONEST[0]}-way {HONEST[1]}-shot, as the other rows: {honest}."


def _honest(row: Table2Row) -> str:
    return next((percent(each.measured) for each in row.cells if each.measured and each.shape == HONEST), "")


def _cells(row: Table2Row) -> Iterator[str]:
    for cell in row.cells:
        if cell.measured is None:
            continue
        ours, training = cell.measured, cell.training
        changed = f" with {', '.join(ours.differences)}" if ours.differences else ""
        lead = f", {signed(cell.behind)} to Fast/Slow" if cell.behind and row.name != REFERENCE else ""
        runs = f"run {ranges(ours.run_ids)}, preset {ours.preset}{changed}{_trained(training)}"
        yield f"{short(cell.shape)} {percent(ours)} %{lead} ({runs})"


def _trained(training: Training | None) -> str:
    if training is None:
        return ""
    stages = f" from run {ranges(training.stages)}" if training.stages else ""
    numbers = "" if training.parameters is None else f", {training.parameters:,} parameters"
    return f", trained in {duration(training.seconds)} by run {ranges(training.run_ids)}{stages}{numbers}"
