"""The commands about data sets: `data list`, `import`, `fetch`, `verify`.

Not here: what an import checks (experiments.data).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.errors import UsageError

if TYPE_CHECKING:
    from experiments.data.storage import DataSummary

app = typer.Typer(
    help="Data sets: list, import, fetch and verify them.",
    epilog="Example:  fsrun data import omniglot ~/downloads/omniglot",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The data set: omniglot.")]
Replace = Annotated[bool, typer.Option("--replace", help="Import again even where a good import exists.")]


@app.command("list", epilog="Example:  fsrun data list")
def list_data() -> None:
    """List the data sets and whether they are here."""
    from experiments.data.omniglot import is_imported, omniglot_folder
    from fsrun.paths import find_home

    data_dir = find_home().data
    here = is_imported(data_dir)
    where = (
        str(omniglot_folder(data_dir))
        if here
        else "fsrun data import omniglot PATH, or fsrun data fetch omniglot"
    )
    typer.echo(f"omniglot   {'imported    ' if here else 'not imported'}  {where}")
    typer.echo("glyphs     always here   characters drawn by the program at the first use; not Omniglot")
    typer.echo("synthetic  always here   Gaussian regression tasks, drawn as they are needed")


@app.command("import", epilog="Example:  fsrun data import omniglot ~/downloads/omniglot")
def import_data(
    name: Name,
    path: Annotated[
        Path, typer.Argument(help="Folder with the two official zips, or with the official folders.")
    ],
    replace: Replace = False,
) -> None:
    """Import a data set from files you have."""
    from experiments.data.omniglot import import_omniglot
    from fsrun.paths import find_home

    _check_name(name)
    with _bar("Reading") as progress:
        summary = import_omniglot(path, find_home().data, progress=progress, replace=replace)
    _say(summary, "Imported" if summary.written else "Already imported")


@app.command("fetch", epilog="Example:  fsrun data fetch omniglot")
def fetch_data(name: Name, replace: Replace = False) -> None:
    """Download a data set from its official place and import it."""
    from experiments.data.omniglot import fetch_omniglot
    from fsrun.paths import find_home

    _check_name(name)
    with _bar("Fetching") as progress:
        summary = fetch_omniglot(find_home().data, progress=progress, replace=replace)
    _say(summary, "Fetched" if summary.written else "Already imported")


@app.command("verify", epilog="Example:  fsrun data verify omniglot")
def verify_data(name: Name) -> None:
    """Check an imported data set against its checksum and counts."""
    from experiments.data.omniglot import verify_omniglot
    from fsrun.paths import find_home

    _check_name(name)
    _say(verify_omniglot(find_home().data), "Verified")


def _check_name(name: str) -> None:
    if name in ("glyphs", "synthetic"):
        raise UsageError(f"{name} is made by the program and needs no import: just queue it")
    if name != "omniglot":
        from experiments.errors import unknown_name

        raise unknown_name("data set", name, ("omniglot", "glyphs", "synthetic"))


def _say(summary: "DataSummary", done: str) -> None:
    typer.echo(
        f"{done} {summary.dataset}: {summary.classes:,} classes, {summary.images:,} images, "
        f"{summary.bytes / 1e6:.1f} MB in {summary.path} (sha256 {summary.sha256[:12]})"
    )


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error while images are read."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
