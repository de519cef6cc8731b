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
    environment.filters |= {"inline": _inline, "number": _number}
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


def _number(value: Any) -> float | None:
    """Return the number that a cell is sorted by, None where it is sorted by its words."""
    return value if isinstance(value, int | float) else None
