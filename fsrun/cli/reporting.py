"""The commands that show: `tui` and `report`.

Not here: screens (fsrun.tui) and reports (fsrun.report).
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fsrun.cli.options import open_database
from fsrun.errors import UsageError


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


def tui() -> None:
    """Open the dashboard."""
    from fsrun.paths import find_home
    from fsrun.tui.app import run_tui

    run_tui(find_home().database)


def report(
    table2: Annotated[bool, typer.Option("--table2", help="One-shot accuracy, method by method.")] = False,
    figure4: Annotated[bool, typer.Option("--figure4", help="The linear case study's two curves.")] = False,
    output: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TEXT,
    n_way: Annotated[int, typer.Option(min=2, help="Of --table2: classes per episode.")] = 20,
    k_shot: Annotated[int, typer.Option(min=1, help="Of --table2: support images per class.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Of --figure4: draw it into a .png, .svg or .pdf file.")
    ] = None,
) -> None:
    """Print the paper's tables and figures from what was measured here."""
    if table2 == figure4:
        raise UsageError("name one report: fsrun report --table2, or fsrun report --figure4")
    if out is not None:
        _draw(figure4, out)
        return
    typer.echo(_rendered(table2, output, n_way, k_shot))


def _draw(figure4: bool, out: Path) -> None:
    from fsrun.report.figure4 import figure4 as make_figure4
    from fsrun.report.pictures import save_figure4

    if not figure4:
        raise UsageError("--out draws a figure: use it with --figure4; for a table use --format")
    save_figure4(make_figure4(open_database()), out)
    typer.echo(f"Drawn into {out}.")


def _rendered(table2: bool, output: Format, n_way: int, k_shot: int) -> str:
    from fsrun.cli.tables import console
    from fsrun.report import render
    from fsrun.report.figure4 import render_figure4
    from fsrun.report.table2 import table2 as make_table2

    page = console()
    form = render.Format(output.value)
    engine = open_database()
    if not table2:
        return render_figure4(engine, form, width=page.width, colour=page.is_terminal)
    table = make_table2(engine, n_way=n_way, k_shot=k_shot)
    return render.render(table, form, width=page.width, colour=page.is_terminal)
