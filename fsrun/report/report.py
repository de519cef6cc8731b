"""A report: tables, curves and a document, and how it becomes text in any format.

Not here: what is in it (catalogue.py says who makes which), and where the text goes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from textwrap import fill
from typing import Any, Protocol

from rich.text import Text

from fsrun.errors import UsageError
from fsrun.provenance import provenance
from fsrun.report.canvas import MatplotlibMissing, Picture, places_in_svg, to_svg
from fsrun.report.formats import Format
from fsrun.report.latex import PREAMBLE, commented, escaped, to_latex
from fsrun.report.render import document_of, escaped_markdown, printed, to_csv, to_json, to_markdown, to_text
from fsrun.report.runs_behind import lines_of, runs_table
from fsrun.report.table import Table
from fsrun.report.web import Drawing, Section, page

LINE = 100
"""Columns of a line of prose, where there are more."""


class Charts(Protocol):
    """Draws curves with characters."""

    def __call__(self, *, width: int, colour: bool) -> Text:
        """Return the curves, so many columns wide."""


@dataclass(frozen=True)
class Report:
    """One report, ready for any format; `command` is what one types for it after fsrun.

    `document` makes all of it for programs, in the form that `schema` names; `points` makes the table for CSV
    where that is not the first; `charts` and `picture` draw its curves where it has any; `says` is what it
    comes to, in a sentence.
    """

    command: str
    tables: tuple[Table, ...]
    document: Callable[[], Mapping[str, Any]]
    points: Callable[[], Table] | None = None
    charts: Charts | None = None
    picture: Callable[[], Picture] | None = None
    says: str = ""
    schema: str = "report/1"

    @property
    def title(self) -> str:
        """The title of its first table."""
        return self.tables[0].title

    @property
    def slug(self) -> str:
        """Its command without blanks, for labels and files."""
        return re.sub("[ ,]+", "-", self.command.removeprefix("report ").replace("--", ""))


def of_table(command: str, table: Table) -> Report:
    """Return the report that is one table."""
    return Report(command, (table,), partial(document_of, table))


def written(report: Report, form: Format, *, width: int = 80, colour: bool = False) -> str:
    """Return a report in a format, without a newline at its end; width and colour are for text alone."""
    match form:
        case Format.TEXT:
            parts = [to_text(each, width=width, colour=colour) for each in report.tables]
            if report.charts:
                drawn = report.charts(width=width, colour=colour)
                parts = [printed(drawn, width=width, colour=colour), *parts]
            return "\n\n".join([*parts, *_says(report, lambda words: fill(words, min(width, LINE)))])
        case Format.MARKDOWN:
            parts = [*map(to_markdown, report.tables), *_says(report, escaped_markdown)]
            if report.charts:
                parts.append(f"```\n{report.charts(width=width, colour=False)}\n```")
            return "\n\n".join(parts)
        case Format.LATEX:
            return _latex(report)
        case Format.CSV:
            return to_csv(report.points() if report.points else report.tables[0])
        case Format.JSON:
            return to_json({"schema": f"fsrun/{report.schema}", **report.document()})
        case Format.HTML:
            return page(report.title, [_section(report)])


def together(
    reports: Sequence[Report],
    missing: Sequence[str],
    form: Format,
    *,
    made: str = "",
    width: int = 80,
    colour: bool = False,
) -> str:
    """Return several reports as one text, and of those that are missing one line each.

    Raises UsageError for CSV, which holds one table.
    """
    match form:
        case Format.CSV:
            raise UsageError("csv holds one table: name one report, or use --format json")
        case Format.JSON:
            documents = {each.slug: each.document() for each in reports}
            return to_json({"schema": "fsrun/reports/1", "made": made, "missing": missing, **documents})
        case Format.HTML:
            return page("Reports", [_section(each) for each in reports], missing=missing, made=made)
        case _:
            texts = [written(each, form, width=width, colour=colour) for each in reports]
            lines = [f"Not measured: {line}" for line in missing]
            rest = "\n".join(map(commented, lines) if form is Format.LATEX else lines)
            return "\n\n".join([*texts, *([rest] if rest else [])])


def made_line(now: float) -> str:
    """Say when and by which fsrun something is made."""
    facts = provenance()
    day = datetime.fromtimestamp(now).astimezone().strftime("%Y-%m-%d %H:%M")
    commit = "" if facts["commit"].startswith("not ") else f", commit {facts['commit'][:12]}"
    return f"Made {day} by fsrun {facts['fsrun']}{commit}."


def _latex(report: Report) -> str:
    runs = runs_table(report.document())
    about = [f"{report.title} (fsrun {report.command}); it needs {PREAMBLE}", *lines_of(runs)]
    if report.picture:
        about.append(f"its figure: fsrun {report.command} --out {report.slug}.pdf")
    labels = [f"{report.slug}{f'-{number}' if number else ''}" for number in range(len(report.tables))]
    tables = [to_latex(table, label) for table, label in zip(report.tables, labels, strict=True)]
    return "\n\n".join(["\n".join(map(commented, about)), *tables, *_says(report, escaped)])


def _says(report: Report, write: Callable[[str], str]) -> list[str]:
    return [write(report.says)] if report.says else []


def _section(report: Report) -> Section:
    runs = runs_table(report.document())
    section = Section(report.slug, report.title, report.tables, runs=runs, says=report.says)
    if report.picture is None:
        return section
    try:
        picture = report.picture()
        return replace(section, drawing=Drawing(to_svg(picture), places_in_svg(picture)))
    except MatplotlibMissing as error:
        return replace(section, hint=f"No figure: {error}.")
