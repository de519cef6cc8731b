"""`fsrun new`: files to start from.

Not here: what is in them (fsrun/templates).
"""

import keyword
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from experiments.titles import TITLES
from fsrun.errors import UsageError
from fsrun.writing import put_text

app = typer.Typer(
    help="Write a file to start from.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def new() -> None:
    """Write a file to start from."""


@app.command(epilog="Example:  fsrun new method MyNet")
def method(
    name: Annotated[
        str, typer.Argument(help="The name of the class, for example MyNet.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write. The default is NAME.py, in small letters, here.")
    ] = None,
) -> None:
    """Write a method of your own that trains, for you to change."""
    if not name.isidentifier() or keyword.iskeyword(name) or name in TITLES:
        raise UsageError(
            f"{name!r} cannot be the name of a class of yours: use letters and digits, as in MyNet"
        )
    path = Path(f"{name.lower()}.py") if out is None else out
    if path.exists():
        raise UsageError(f"{path} is there already: name another file with --out")
    text = files("fsrun.templates").joinpath("method.py").read_text(encoding="utf-8")
    put_text(path, text.replace("MyMethod", name).replace("THIS_FILE", str(path)))
    typer.echo(f"Wrote {path}.")
    typer.echo(f"Next:  fsrun run glyphs --method {path}:{name} --preset quick")
