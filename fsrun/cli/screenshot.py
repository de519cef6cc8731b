"""The command `screenshot`: pictures of the dashboard's screens as files.

Not here: making them (fsrun.tui.screenshots).
"""

from pathlib import Path
from typing import Annotated

import typer

from fsrun.errors import FsrunError, UsageError


def screenshot(
    screens: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCREEN...]", help="Names of screens. Default: all that show runs."),
    ] = None,
    size: Annotated[str, typer.Option(help="Columns and lines.")] = "120x36",
    out: Annotated[
        Path, typer.Option(help="The folder for the files SCREEN.svg; existing ones are replaced.")
    ] = Path(),
    theme: Annotated[str | None, typer.Option(help="A theme of the dashboard.")] = None,
) -> None:
    """Draw screens of the dashboard as SVG files."""
    from experiments.errors import unknown_name
    from fsrun.paths import find_home
    from fsrun.tui.screenshots import SCREENS
    from fsrun.tui.screenshots import screenshot as draw
    from fsrun.tui.themes import THEMES
    from fsrun.writing import put_text

    names, themes = list(dict.fromkeys(screens or SCREENS[:-2])), [each.name for each in THEMES]
    for name in names:
        if name not in SCREENS:
            raise unknown_name("screen", name, SCREENS)
    if theme is not None and theme not in themes:
        raise unknown_name("theme", theme, themes)
    columns = _size(size)
    if not out.is_dir():
        raise FsrunError(f"--out {out}: there is no such folder: make it first")
    database = find_home().database
    if isinstance(database, Path) and not database.exists():
        raise FsrunError(f"there is no database at {database}: queue a run first")
    for name in names:
        picture = draw(database, name, size=columns, theme=theme or themes[0])
        path = out / f"{name}.svg"
        put_text(path, picture)
        typer.echo(f"Drawn into {path}.")


def _size(words: str) -> tuple[int, int]:
    """Return columns and lines; UsageError for anything else, or a size no screen has."""
    columns, cross, lines = words.partition("x")
    if not (cross and columns.isdecimal() and lines.isdecimal()):
        raise UsageError(f"--size {words!r} is not columns x lines: write for example --size 120x36")
    size = int(columns), int(lines)
    if not (60 <= size[0] <= 500 and 20 <= size[1] <= 200):
        raise UsageError(f"--size {words}: choose from 60x20 to 500x200")
    return size
