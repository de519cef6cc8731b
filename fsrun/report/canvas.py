"""Sheets for the figures: matplotlib's (extra `plots`), styled for print, with the values drawn on them.

Not here: what is drawn (pictures.py, classes_drawing.py).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from fsrun.errors import FsrunError
from fsrun.report.files import check_place
from fsrun.report.formats import PICTURES
from fsrun.writing import put

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1")
"""Told apart by colour-blind readers (after Okabe and Ito)."""
DASHES: tuple[Any, ...] = ("-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Told apart by everyone on paper."""

POINTS_PER_INCH = 72  # so that a pixel of matplotlib is a unit of SVG


class MatplotlibMissing(FsrunError):  # noqa: N818  (a name says what happened, and so what to do)
    """Figures cannot be drawn here: install the extra."""


@dataclass(frozen=True)
class Marks:
    """Values that a line of a panel shows, each with its text."""

    panel: Any
    name: str
    places: tuple[tuple[float, float], ...]
    texts: tuple[str, ...]


@dataclass
class Picture:
    """A sheet of matplotlib and what can be read off it."""

    figure: "Figure"
    marks: list[Marks] = field(default_factory=list)

    def mark(
        self, panel: Any, name: str, x: Sequence[float], y: Sequence[float], texts: Sequence[str]
    ) -> None:
        """Note that a line goes through these values, which the texts say in words."""
        self.marks.append(Marks(panel, name, tuple(zip(x, y, strict=True)), tuple(texts)))


def printed_style(draw: Callable[P, Picture]) -> Callable[P, Picture]:
    """Have a function draw in the style of a printed page; MatplotlibMissing where there is none to draw."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with _style():
            return draw(*args, **kwargs)

    return drawn


def empty_picture(width: float = 9, height: float = 3.5) -> Picture:
    """Return an empty sheet, in inches."""
    from matplotlib.figure import Figure

    return Picture(Figure(figsize=(width, height), dpi=POINTS_PER_INCH, layout="constrained"))


def save(picture: Picture, path: Path) -> None:
    """Write the picture whole or not at all; UsageError for an ending that is no picture."""
    check_place(path, PICTURES)
    with _style():
        put(path, lambda unfinished: picture.figure.savefig(unfinished, format=path.suffix[1:]))


def to_svg(picture: Picture) -> str:
    """Return the picture as SVG without a background."""
    out = StringIO()
    with _style():
        picture.figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()


def places_in_svg(picture: Picture) -> list[dict[str, Any]]:
    """Return where the marked values lie in what to_svg has drawn: each panel's frame, and its lines.

    Values beyond the frame are left out.
    """
    height = picture.figure.get_figheight() * POINTS_PER_INCH
    panels: dict[int, dict[str, Any]] = {}
    for marks in picture.marks:
        frame = marks.panel.get_window_extent()
        box = (frame.x0, height - frame.y1, frame.x1, height - frame.y0)
        found = [
            (round(x, 1), round(height - y, 1), text)
            for (x, y), text in zip(_transformed(marks), marks.texts, strict=True)
            if isfinite(x) and isfinite(y) and frame.contains(x, y)
        ]
        line = {"name": marks.name, "points": found}
        panel = panels.setdefault(id(marks.panel), {"frame": [round(edge, 1) for edge in box], "lines": []})
        panel["lines"] += [line] if found else []
    return [panel for panel in panels.values() if panel["lines"]]


def _transformed(marks: Marks) -> Iterator[tuple[float, float]]:
    for place in marks.places:
        x, y = marks.panel.transData.transform(place)
        yield float(x), float(y)


@contextmanager
def _style() -> Iterator[None]:
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise MatplotlibMissing("matplotlib is not installed: pip install 'fsrun[plots]'") from error
    from cycler import cycler

    cycle = cycler(linestyle=DASHES) * cycler(color=COLOURS)
    with rc_context(
        {
            "axes.grid": True,
            "axes.grid.which": "major",
            "axes.prop_cycle": cycle,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "font.size": 9,
            "axes.titlesize": 9,
            "grid.alpha": 0.25,
            "grid.linewidth": 0.5,
            "legend.frameon": False,
            "legend.fontsize": 8,
            "pdf.fonttype": 42,  # fonts that publishers take
            "savefig.dpi": 300,
            "svg.hashsalt": "fsrun",
        }
    ):
        yield
