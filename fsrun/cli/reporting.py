"""The command that reports: `report`.

Not here: the reports (fsrun.report).
"""

from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsrun.cli.options import open_database
from fsrun.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

FIGURES = {
    "figure4": "fsrun.report.figure4",
    "mixture": "fsrun.report.mixture",
    "shift": "fsrun.report.shift",
}
"""The reports that can be drawn, and where each is made by the function of its name."""

RENDERED = FIGURES | {"figure4": "fsrun.report.figure4_drawing", "theory": "fsrun.report.theory"}
"""The reports on a synthetic run, and where each becomes text, by render_ and its name."""


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


Table2 = Annotated[bool, typer.Option("--table2", help="One-shot accuracy, method by method.")]
Figure4 = Annotated[
    bool, typer.Option("--figure4", help="The linear case study's curves, and what becomes of each claim.")
]
Theory = Annotated[bool, typer.Option("--theory", help="Its formulas: as printed, corrected, measured.")]
Mixture = Annotated[
    bool, typer.Option("--mixture", help="Inputs from a mixture: one slow module against several.")
]
Shift = Annotated[bool, typer.Option("--shift", help="Test tasks of another Sigma than was learned from.")]
Classes = Annotated[
    str | None, typer.Option(metavar="EXPERIMENT", help="Accuracy by number of classes: omniglot, ...")
]
Figure5 = Annotated[
    bool, typer.Option("--figure5", help="The same on ImageNet, to ten thousand: --classes imagenet.")
]
Ablations = Annotated[
    bool, typer.Option("--ablations", help="What each part of Fast/Slow is worth, question by question.")
]
Protocols = Annotated[
    str | None,
    typer.Option(metavar="METHOD", help="One method in every kind of test: fastslow, protonet, ..."),
]
Explain = Annotated[
    str | None,
    typer.Option(metavar="ROW", help="Where a row's number in Table 2 is from, and what is done here."),
]
Output = Annotated[Format, typer.Option("--format", help="How to write it.")]
Run = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The synthetic run to report on, without it the newest finished; of --ablations: the base.",
    ),
]
NWay = Annotated[
    int | None, typer.Option(min=2, help="Of --table2: classes per episode, other than 5 and 20.")
]
KShot = Annotated[
    int | None, typer.Option(min=1, help="Of --table2 and --classes: support images per class.")
]
Out = Annotated[Path | None, typer.Option(help="Draw the figure into a .png, .svg or .pdf file instead.")]


def report(
    table2: Table2 = False,
    figure4: Figure4 = False,
    theory: Theory = False,
    mixture: Mixture = False,
    shift: Shift = False,
    classes: Classes = None,
    figure5: Figure5 = False,
    ablations: Ablations = False,
    protocols: Protocols = None,
    explain: Explain = None,
    output: Output = Format.TEXT,
    run: Run = None,
    n_way: NWay = None,
    k_shot: KShot = None,
    out: Out = None,
) -> None:
    """Print the paper's tables and figures from what was measured here."""
    asked = {"table2": table2, "figure4": figure4, "theory": theory, "mixture": mixture, "shift": shift}
    asked["figure5"] = figure5
    named = {"classes": classes, "protocols": protocols, "explain": explain}
    name = _only(asked | {"ablations": ablations} | {key: word is not None for key, word in named.items()})
    if explain is not None:
        typer.echo(_explained(explain))
    elif classes is not None or figure5:
        classes = classes or "imagenet"
        if run is not None:
            raise UsageError("--run picks a synthetic run: --classes takes the newest of each method")
        typer.echo(_classes(classes, output, k_shot or 1, out))
    elif ablations:
        if out is not None:
            raise UsageError("--out draws a figure: for --ablations use --format")
        typer.echo(_ablations(output, run))
    elif protocols is not None:
        if run is not None or out is not None:
            raise UsageError("--run and --out say nothing beside --protocols: leave them out")
        typer.echo(_protocols(output, protocols))
    elif name == "table2":
        if run is not None:
            raise UsageError("--run picks a synthetic run: --table2 always takes the newest of each method")
        if out is not None:
            raise UsageError("--out draws a figure: for --table2 use --format")
        typer.echo(_table2(output, n_way, k_shot))
    elif out is not None:
        _draw(name, run, out)
    else:
        typer.echo(_rendered(name, output, run))


def _explained(row: str) -> str:
    from fsrun.cli.tables import console
    from fsrun.paths import find_home
    from fsrun.report.explained import explained

    database = find_home().database
    anything = not isinstance(database, Path) or database.is_file()
    title, *paragraphs = explained(row, open_database() if anything else None)
    width = min(console().width, 100)
    return "\n\n".join((title, *(fill(paragraph, width) for paragraph in paragraphs)))


def _classes(experiment: str, output: Format, k_shot: int, out: Path | None) -> str:
    from experiments.errors import unknown_name
    from fsrun.cli.tables import console
    from fsrun.report.canvas import check_picture
    from fsrun.report.classes import IMAGE_EXPERIMENTS, classes
    from fsrun.report.classes_drawing import render_classes, save_classes
    from fsrun.report.render import Format as Form

    if experiment not in IMAGE_EXPERIMENTS:
        raise unknown_name("experiment with classes", experiment, IMAGE_EXPERIMENTS)
    if out is not None:
        check_picture(out)
        save_classes(classes(open_database(), experiment, k_shot=k_shot), out)
        return f"Drawn into {out}."
    page = console()
    form = Form(output.value)
    return render_classes(
        open_database(), experiment, form, k_shot=k_shot, width=page.width, colour=page.is_terminal
    )


def _ablations(output: Format, run: int | None) -> str:
    from fsrun.cli.tables import console
    from fsrun.report import render
    from fsrun.report.ablations import ablations, ablations_table

    page = console()
    table = ablations_table(ablations(open_database(), run_id=run))
    return render.render(table, render.Format(output.value), width=page.width, colour=page.is_terminal)


def _protocols(output: Format, method: str) -> str:
    from fsrun.cli.tables import console
    from fsrun.report import render
    from fsrun.report.protocols import protocols, protocols_table

    page = console()
    table = protocols_table(protocols(open_database(), method))
    return render.render(table, render.Format(output.value), width=page.width, colour=page.is_terminal)


def _only(asked: dict[str, bool]) -> str:
    chosen = [name for name, wanted in asked.items() if wanted]
    if len(chosen) != 1:
        choices = ", ".join(f"--{name}" for name in asked)
        raise UsageError(f"name one report of {choices}: for example fsrun report --figure4")
    return chosen[0]


def _draw(name: str, run: int | None, out: Path) -> None:
    if name not in FIGURES:
        raise UsageError(f"--out draws a figure: for --{name} use --format")
    from fsrun.report import pictures
    from fsrun.report.canvas import check_picture

    check_picture(out)
    make: Callable[..., Any] = getattr(import_module(FIGURES[name]), name)
    save: Callable[[Any, Path], None] = getattr(pictures, f"save_{name}")
    save(make(open_database(), run_id=run), out)
    typer.echo(f"Drawn into {out}.")


def _rendered(name: str, output: Format, run: int | None) -> str:
    from fsrun.cli.tables import console
    from fsrun.report.render import Format as Form

    page = console()
    make: Callable[..., str] = getattr(import_module(RENDERED[name]), f"render_{name}")
    engine: Engine = open_database()
    return make(engine, Form(output.value), run_id=run, width=page.width, colour=page.is_terminal)


def _table2(output: Format, n_way: int | None, k_shot: int | None) -> str:
    from fsrun.cli.tables import console
    from fsrun.report import render
    from fsrun.report.table2 import table2 as make_table2

    page = console()
    table = make_table2(open_database(), n_way=n_way, k_shot=k_shot)
    return render.render(table, render.Format(output.value), width=page.width, colour=page.is_terminal)
