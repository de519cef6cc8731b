"""The commands `export` and `import`: a trained model, or finished runs, as plain files; and runs back again.

Not here: what is in the files (fsrun.models, fsrun.archive).
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.cli.options import open_database
from fsrun.cli.selection import OfStatus, OfTag, RunList, one_or_more
from fsrun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine


class Kind(StrEnum):
    """What is written."""

    MODEL = "model"
    RUNS = "runs"
    CSV = "csv"
    PARQUET = "parquet"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"
    WANDB = "wandb-offline"


Out = Annotated[Path, typer.Option(help="The folder to write; with --format runs, the file.")]
Form = Annotated[
    Kind,
    typer.Option(
        "--format",
        help="model: the weights of one run, for fsrun classify. runs: results, for fsrun import. "
        "Others: all points of all curves, for other programs.",
    ),
]


def export(
    out: Out,
    runs: RunList = None,
    status: OfStatus = None,
    tag: OfTag = None,
    kind: Form = Kind.MODEL,
) -> None:
    """Export a trained model, the results of runs, or their curves.

    Without RUN, results and curves are those of all finished runs.
    """
    run_ids = one_or_more(open_database(), runs, status, tag) if runs or status or tag else []
    if kind is Kind.MODEL:
        _export_model(run_ids, out)
    elif kind is Kind.RUNS:
        _export_runs(run_ids, out)
    else:
        _export_curves(run_ids, kind, out)


def _export_model(run_ids: list[int], out: Path) -> None:
    from fsrun.models import export_model

    if len(run_ids) != 1:
        raise UsageError("a model is that of one run: name it, for example fsrun export 3 --out model")
    export_model(open_database(), run_ids[0], out)
    typer.echo(f"Exported run {run_ids[0]} to {out}.")
    typer.echo(f"Next:  fsrun classify --model {out} --support DIR --images DIR")
    typer.echo(f"Or:    fsrun import {out}, in another home, where runs can start from it")


def _export_runs(run_ids: list[int], out: Path) -> None:
    from fsrun.archive import export_runs
    from fsrun.words import count

    written = export_runs(open_database(), run_ids, out)
    along = f", and {count(written.along, 'run')} they start from" if written.along else ""
    typer.echo(f"Exported {count(written.asked, 'run')}{along}, to {out}.")
    typer.echo(f"Next:  fsrun import {out}, in another home")


def _export_curves(run_ids: list[int], kind: Kind, out: Path) -> None:
    from fsrun.exports.writing import FORMATS, export_curves
    from fsrun.words import count

    written = export_curves(open_database(), run_ids, kind.value, out)
    typer.echo(f"Exported {count(written.runs, 'run')} with {count(written.points, 'point')} to {out}.")
    if written.imported:
        runs = count(written.imported, "run")
        typer.echo(f"Of them {runs} had been imported, with no curves but those of validation.")
    typer.echo(f"Next:  {FORMATS[kind.value].next_step.replace('FOLDER', str(out))}")


def import_(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="PLACE...", help="A file of runs or the folder of a model, as fsrun export writes them."
        ),
    ],
) -> None:
    """Import runs or a model. Reports mark imported runs; other runs can start from an imported model."""
    from fsrun.archive import import_runs
    from fsrun.words import count

    engine = open_database()
    imported: list[int] = []
    for path in places:
        if path.is_dir():
            typer.echo(_import_model(engine, path))
            continue
        added = import_runs(engine, path)
        imported += [*added.new, *added.present]
        there = f", {count(len(added.present), 'run')} there already" if added.present else ""
        typer.echo(f"Imported {count(len(added.new), 'run')} from {path}{there}.")
    typer.echo(f"Next:  {_report_of(engine, imported)}fsrun ls --tag imported")


_REPORTS = {
    "omniglot": "--table2",
    "miniimagenet": "--table2",
    "imagenet": "--figure5",
    "drawn": "--classes drawn",
    "synthetic": "--figure4",
}
"""Experiment -> the report that shows it."""


def _report_of(engine: "Engine", run_ids: "Sequence[int]") -> str:
    """Return the command whose report shows most of the runs, and "or"; nothing where there is none."""
    from collections import Counter

    from store.runs import get_run

    kinds = Counter(get_run(engine, run_id).spec.experiment for run_id in run_ids)
    report = _REPORTS.get(kinds.most_common(1)[0][0]) if kinds else None
    return "" if report is None else f"fsrun report {report}, or "


def _import_model(engine: "Engine", folder: Path) -> str:
    from fsrun.model_import import import_model
    from fsrun.paths import find_home

    model = import_model(engine, find_home(), folder)
    if model.present:
        return f"Run {model.run_id} has the weights of {folder} already."
    return (
        f"Imported run {model.run_id} with its weights from {folder}: runs that need such a one start there."
    )
