"""Reports as one page for a browser that needs nothing beside itself.

Not here: how the page looks (page.html, page.css) and answers (page.js), and drawing its figures (canvas.py).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsrun.report.canvas import COLOURS
from fsrun.report.table import Table

if TYPE_CHECKING:
    from jinja2 import Template

_NUMBER = re.compile(r"[-+−]?\d[\d,]*\.?\d*(e[-+]?\d+)?")
_DURATION = re.compile(r"(\d+)([dhms])(?:(\d+)([hms]))?")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, and its panels with the values that can be read off them."""

    svg: str
    panels: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """One report on a page; `hint` says why its figure is missing."""

    name: str
    title: str
    tables: tuple[Table, ...]
    drawing: Drawing | None = None
    runs: Table | None = None
    says: str = ""
    hint: str = ""


def page(title: str, sections: Sequence[Section], *, missing: Sequence[str] = (), made: str = "") -> str:
    """Return the page: HTML with its style, its script and its figures inside."""
    return _template().render(title=title, sections=sections, missing=missing, made=made).rstrip("\n")


def sort_number(cell: str) -> float | None:
    """Return the number a cell is sorted by, a duration in seconds; None where it begins with no number."""
    words = cell.strip()
    if lasts := _DURATION.fullmatch(words):
        many, unit, more, part = lasts.groups()
        return float(int(many) * _SECONDS[unit] + (int(more) * _SECONDS[part] if more else 0))
    found = _NUMBER.match(words)
    if found is None:
        return None
    unit = {"k": 1e3, "M": 1e6}.get(words[found.end() :].partition(" ")[0], 1.0)
    return unit * float(found.group().replace(",", "").replace("−", "-"))


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # only where a page is made

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": _inline, "sort_number": sort_number, "filled": _filled}
    return environment.get_template("page.html")


def _inline(drawing: Drawing, prefix: str) -> str:
    """Return the SVG so that it can stand among others in a page, in the colours of the page."""
    svg = drawing.svg[drawing.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", svg)
    svg = svg.replace("#000000", "currentColor")
    for number, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--line-{number})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _filled(table: Table) -> list[list[tuple[str, bool]]]:
    """Return the rows, each cell with whether it repeats what stands above it."""
    rows: list[list[tuple[str, bool]]] = []
    for row in table.rows:
        above = rows[-1] if rows else [("", False)] * len(row)
        rows.append(
            [
                (before[0], True) if column.repeats and not cell else (cell, False)
                for cell, before, column in zip(row, above, table.columns, strict=True)
            ]
        )
    return rows
