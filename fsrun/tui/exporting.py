"""What a screen shows, written into a file: its picture, its chart, or its table.

Not here: asking for the name of the file (fsrun.tui.screens.export).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from fsrun.errors import FsrunError
from fsrun.report.canvas import Picture, save
from fsrun.report.formats import PICTURES, Format
from fsrun.report.render import Table, render
from fsrun.writing import put_text

_ENDINGS = {".csv": Format.CSV, ".md": Format.MARKDOWN, ".json": Format.JSON, ".tex": Format.LATEX}


class NotWritten(FsrunError):  # noqa: N818  (a name says what happened, and so what to do)
    """The file cannot be written there: choose another name."""


@dataclass(frozen=True)
class Export:
    """One way to write something: what it is, the ending of its file, and the writing; that may take long."""

    what: str
    ending: str
    write: Callable[[Path], None]


@runtime_checkable
class Exporting(Protocol):
    """A screen that has more to give than its picture."""

    def exports(self) -> tuple[Export, ...]:
        """Return what can be written, what is most wanted first."""


def of_text(what: str, ending: str, make: Callable[[], str]) -> Export:
    """Return the writing of a text that is made when it is asked for."""

    def write(path: Path) -> None:
        put_text(path, make().rstrip("\n") + "\n")

    return Export(what, ending, write)


def of_table(table: Table) -> tuple[Export, ...]:
    """Return the formats of a table."""
    return tuple(of_text("table", ending, partial(render, table, form)) for ending, form in _ENDINGS.items())


def of_chart(draw: Callable[[], Picture]) -> tuple[Export, ...]:
    """Return the formats of a chart that matplotlib draws."""

    def write(path: Path) -> None:
        save(draw(), path)

    return tuple(Export("chart", ending, write) for ending in PICTURES)


def free_name(folder: Path, stem: str, ending: str) -> Path:
    """Return a name that no file there has: fsrun-theory.svg, fsrun-theory-2.svg."""
    names = (f"{stem}{f'-{number}' if number > 1 else ''}{ending}" for number in range(1, 10_000))
    return next(path for path in (folder / name for name in names) if not path.exists())


def write(export: Export, path: Path, replace: bool = False) -> str:
    """Write the file and return one line that says where; raises NotWritten, and what the report raises."""
    path = path.absolute()
    if not path.parent.is_dir():
        raise NotWritten(f"there is no folder {path.parent}: make it first, or choose another name")
    if path.is_dir() or (path.exists() and not replace):
        raise NotWritten(f"{path} exists already: choose another name")
    try:
        export.write(path)
    except OSError as error:
        raise NotWritten(f"cannot write {path} ({error.strerror}): choose another name") from error
    return f"the {export.what} is in {path}"
