"""The command that reports: `report`.

Not here: the reports (fsrun.report); catalogue.py there says which there are.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from fsrun.cli.options import open_database
from fsrun.cli.scripts import Json
from fsrun.errors import UsageError
from fsrun.report.catalogue import KINDS, Choice, everything, make
from fsrun.report.formats import ENDINGS, PICTURES, Format

ALONE = ("all", "explain")
"""What is asked for like a report, and is none by itself."""

NARROWING = ("run", "n_way", "k_shot", "features", "on", "preset", "by")

Table2 = Annotated[bool, typer.Option("--table2", help="The paper's Table 2: accuracy of each method.")]
EqualFeatures = Annotated[
    bool,
    typer.Option("--equal-features", help="Table 2 with all methods on the features of one pre-training."),
]
Budget = Annotated[
    bool, typer.Option("--budget", help="The cost of each row of Table 2, and accuracy against images seen.")
]
Progress = Annotated[
    str | None,
    typer.Option(metavar="STUDY", help="The progress of a study, such as table2, and the hours left."),
]
Figure4 = Annotated[
    bool,
    typer.Option("--figure4", help="Figure 4: curves of the linear case study, and a verdict on each claim."),
]
Theory = Annotated[
    bool,
    typer.Option("--theory", help="The formulas of the linear case study: as printed, corrected, measured."),
]
Mixture = Annotated[
    bool,
    typer.Option(
        "--mixture", help="The linear study with inputs from a mixture: one slow module or several."
    ),
]
Shift = Annotated[bool, typer.Option("--shift", help="The linear study with test tasks of another Sigma.")]
Classes = Annotated[
    str | None,
    typer.Option(metavar="EXPERIMENT", help="Accuracy by number of classes, on omniglot or your own data."),
]
Figure5 = Annotated[
    bool,
    typer.Option("--figure5", help="Figure 5: accuracy by number of classes, on ImageNet or your own data."),
]
Ablations = Annotated[
    bool, typer.Option("--ablations", help="Ablations: what each part of Fast/Slow is worth.")
]
When = Annotated[
    bool, typer.Option("--when", help="When Fast/Slow is ahead of nearest mean on the same features.")
]
Protocols = Annotated[
    str | None,
    typer.Option(metavar="METHOD", help="One method, for example fastslow, in every kind of test."),
]
Sweep = Annotated[
    bool, typer.Option("--sweep", help="A sweep: the result against one option, a line for each of another.")
]
Explain = Annotated[
    str | None,
    typer.Option(metavar="ROW", help="Explain a row of Table 2: its source, and what is done here."),
]
All = Annotated[bool, typer.Option("--all", help="All reports that have results, in one.")]
Provenance = Annotated[
    bool, typer.Option("--provenance", help="Print the runs behind the numbers instead of the report.")
]
Notes = Annotated[bool, typer.Option("--notes", help="Print all notes below the table.")]
Extra = Annotated[
    bool, typer.Option("--extra", help="With --table2: print also the rows that are not in the paper.")
]
Output = Annotated[
    Format | None,
    typer.Option("--format", help="The format. Default: text, or by the ending of --out."),
]
Run = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The synthetic run to report on, the base of --ablations and --when, or a run of a --sweep. "
        "Default: the newest.",
    ),
]
NWay = Annotated[
    int | None, typer.Option(min=2, help="With --table2: classes in an episode, if not 5 and 20.")
]
KShot = Annotated[
    int | None, typer.Option(min=1, help="With --table2 and --classes: support images of each class.")
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="With --figure5 and --classes: the name of the features. Default: those with most measurements.",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="With --budget, --equal-features and --progress: omniglot (default) or miniimagenet.",
    ),
]
Preset = Annotated[str | None, typer.Option(help="With --progress: the preset of the runs. Default: fair.")]
By = Annotated[
    str | None,
    typer.Option(
        metavar="OPTION[,OPTION]",
        help="With --sweep: the option of the axis, and that of the lines. Default: those swept most.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Write a file: .html, .tex, .md, .csv, .json or .txt; .pdf, .svg or .png for the figure."
    ),
]


def report(
    context: typer.Context,
    table2: Table2 = False,
    equal_features: EqualFeatures = False,
    budget: Budget = False,
    progress: Progress = None,
    figure4: Figure4 = False,
    theory: Theory = False,
    mixture: Mixture = False,
    shift: Shift = False,
    classes: Classes = None,
    figure5: Figure5 = False,
    ablations: Ablations = False,
    when: When = False,
    protocols: Protocols = None,
    sweep: Sweep = False,
    explain: Explain = None,
    every: All = False,
    provenance: Provenance = False,
    notes: Notes = False,
    extra: Extra = False,
    output: Output = None,
    as_json: Json = False,
    run: Run = None,
    n_way: NWay = None,
    k_shot: KShot = None,
    features: Features = None,
    on: On = None,
    preset: Preset = None,
    by: By = None,
    out: Out = None,
) -> None:
    """Print the paper's tables and figures from finished runs."""
    output = json_or(output, as_json)
    asked = {name: value for name, value in context.params.items() if value not in (None, False)}
    asked |= {"output": output} if asked.pop("as_json", False) else {}
    asked |= {"equal-features": asked.pop("equal_features")} if equal_features else {}
    name = _only({**asked, "all": asked["every"]} if every else asked)
    _refuse_idle(name, asked)
    if name == "explain":
        typer.echo(_explained(asked["explain"]))
    elif out is not None and out.suffix in PICTURES:
        _draw(name, asked, out)
    else:
        form = format_of(output, out, PICTURES)
        text = _everything(form, out) if every else _report(name, asked, form, out)
        give(text, out)


def _only(asked: Mapping[str, Any]) -> str:
    names = (*KINDS, *ALONE)
    chosen = [name for name in names if name in asked]
    if len(chosen) != 1:
        choices = ", ".join(f"--{name}" for name in names)
        raise UsageError(f"name one report of {choices}: for example fsrun report --figure4")
    return chosen[0]


def _refuse_idle(name: str, asked: Mapping[str, Any]) -> None:
    """Refuse options that would change nothing."""
    kept = KINDS[name].narrowed_by if name in KINDS else ()
    idle = [option for option in NARROWING if option in asked and option not in kept]
    idle += [option for option in ("provenance", "notes") if option in asked and name not in KINDS]
    idle += [option for option in ("output", "out") if option in asked and name == "explain"]
    idle += ["extra"] if "extra" in asked and name != "table2" else []
    if idle:
        option = "format" if idle[0] == "output" else idle[0].replace("_", "-")
        newest = ", which takes the newest of each method" if option == "run" else ""
        raise UsageError(f"--{option} has no effect with --{name}{newest}: leave it out")


def json_or(asked: Format | None, as_json: bool) -> Format | None:
    """Return the format asked for by name, or JSON. Raises UsageError where they differ."""
    if as_json and asked not in (None, Format.JSON):
        raise UsageError(f"--json and --format {asked} are two formats: choose one")
    return Format.JSON if as_json else asked


def format_of(asked: Format | None, out: Path | None, pictures: Sequence[str] = ()) -> Format:
    """Return the format asked for by name or by the ending of a file, which may not contradict each other.

    Of an ending that is refused all are named, those of pictures too where there is something to draw.
    """
    if out is None:
        return asked or Format.TEXT
    from fsrun.report.files import check_place

    check_place(out, (*ENDINGS, *pictures))
    form = ENDINGS[out.suffix]
    if asked not in (None, form):
        ending = next(ending for ending, each in ENDINGS.items() if each is asked)
        raise UsageError(f"--out {out} asks for {form.value}, --format for {asked}: name a file in {ending}")
    return form


def _choice(name: str, asked: Mapping[str, Any]) -> Choice:
    subject = asked[name] if isinstance(asked[name], str) else ""
    narrowed = {"run_id" if option == "run" else option: asked.get(option) for option in NARROWING}
    return Choice(name, subject, **narrowed)


def _report(name: str, asked: Mapping[str, Any], form: Format, out: Path | None) -> str:
    from fsrun.report.report import of_table, written
    from fsrun.report.runs_behind import runs_table

    made = make(open_database(), _choice(name, asked))
    if "notes" in asked:
        made = replace(made, tables=tuple(table.detailed() for table in made.tables))
    if form in (Format.TEXT, Format.LATEX) and "extra" not in asked:
        made = replace(made, tables=tuple(table.folded() for table in made.tables))
    if "provenance" in asked:
        made = of_table(f"{made.command} --provenance", runs_table(made.document()))
    return written(made, form, **page_of(out))


def _everything(form: Format, out: Path | None) -> str:
    from fsrun.report.report import made_line, together

    reports, missing = everything(open_database())
    return together(reports, missing, form, made=made_line(time.time()), **page_of(out))


def page_of(out: Path | None) -> dict[str, Any]:
    """Return width and colour of what is printed, or written as if into a pipe."""
    from fsrun.cli.tables import PIPE_WIDTH, console

    page = console()
    return {"width": page.width if out is None else PIPE_WIDTH, "colour": page.is_terminal and out is None}


def give(text: str, out: Path | None) -> None:
    """Print a text, or write it into the file that was named."""
    if out is None:
        typer.echo(text)
        return
    from fsrun.writing import put_text

    put_text(out, text + "\n")
    typer.echo(f"Written into {out}.")


def _draw(name: str, asked: Mapping[str, Any], out: Path) -> None:
    from fsrun.report.canvas import save
    from fsrun.report.files import check_place

    if name not in KINDS or not KINDS[name].drawn or "provenance" in asked:
        raise UsageError(f"--{name} has no figure to draw: use --format, or --out with {', '.join(ENDINGS)}")
    if "output" in asked:
        raise UsageError(f"--format has no effect with --out {out}, which draws the figure: leave it out")
    check_place(out, PICTURES)
    made = make(open_database(), _choice(name, asked))
    assert made.picture is not None
    save(made.picture(), out)
    typer.echo(f"Drawn into {out}.")


def _explained(row: str) -> str:
    from fsrun.cli.tables import console
    from fsrun.paths import find_home
    from fsrun.report.explained import explained

    database = find_home().database
    anything = not isinstance(database, Path) or database.is_file()
    title, *paragraphs = explained(row, open_database() if anything else None)
    width = min(console().width, 100)
    return "\n\n".join((title, *(fill(paragraph, width) for paragraph in paragraphs)))
