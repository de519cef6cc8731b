"""The command `export`: a trained model as a folder of plain files.

Not here: what is in the folder (fsrun.models).
"""

from pathlib import Path
from typing import Annotated

import typer

from fsrun.cli.options import open_database


def export(
    run_id: Annotated[
        int, typer.Argument(metavar="RUN", help="The number of a finished run, from fsrun ls.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make; it must not be there yet.")],
) -> None:
    """Write the model of a finished run: weights (safetensors), config, class splits, provenance."""
    from fsrun.models import export_model

    export_model(open_database(), run_id, out)
    typer.echo(f"Exported run {run_id} to {out}.")
    typer.echo(f"Next:  fsrun classify --model {out} --support DIR --images DIR")
