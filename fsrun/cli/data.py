"""The commands about data sets: `data list`, `import`, `fetch`, `verify`, `rm`.

Not here: what an import checks (experiments.data).
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsrun.cli import embedding
from fsrun.cli.scripts import Json, say_json
from fsrun.errors import UsageError

if TYPE_CHECKING:
    from experiments.data.own_images import Wanted
    from experiments.data.storage import DataSummary
    from experiments.datasets import ImportedSet

app = typer.Typer(
    help="Data sets: list, import, fetch, verify and remove them.",
    epilog="Example:  fsrun data import omniglot ~/downloads/omniglot",
    rich_markup_mode=None,
)

app.command(
    "embed", epilog="Example:  fsrun data embed imagenet --backbone inception_resnet_v2 --weights FILE"
)(embedding.embed)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The data set: omniglot, miniimagenet, imagenet, or a name of your own."
    ),
]
Replace = Annotated[bool, typer.Option("--replace", help="Import again, even if a good import exists.")]

MADE = {
    "glyphs": "characters drawn by the program at the first use; not Omniglot",
    "drawn": "features drawn by the program, as many classes as ImageNet's; they show nothing",
    "synthetic": "Gaussian regression tasks, drawn as they are needed",
}


@app.command("list", epilog="Example:  fsrun data list")
def list_data(as_json: Json = False) -> None:
    """List the data sets, and say which are imported."""
    from experiments.datasets import IMPORTED, load_own
    from experiments.features.index import embedded_sets, read_feature_index
    from fsrun.cli.embedding import described
    from fsrun.paths import find_home

    data_dir = find_home().data
    load_own(data_dir)
    sets = [
        (
            name,
            *(
                ("imported", str(each.folder(data_dir)))
                if each.is_here(data_dir)
                else ("not imported", each.how)
            ),
        )
        for name, each in IMPORTED.items()
    ]
    sets += [
        (name, "features", described(read_feature_index(data_dir, name))) for name in embedded_sets(data_dir)
    ]
    sets += [(name, "always here", what) for name, what in MADE.items()]
    if as_json:
        keys = ("name", "state", "about")
        say_json("data/1", data=[dict(zip(keys, each, strict=True)) for each in sets])
        return
    for name, state, about in sets:
        typer.echo(f"{name:12}  {state:12}  {about}")


@app.command("import", epilog="Example:  fsrun data import birds ~/photos/birds --colour")
def import_data(
    name: Name,
    path: Annotated[
        Path | None,
        typer.Argument(
            help="The folder with the archives or folders of the data set. ImageNet stays where it "
            "is: a folder or tar file for each class. Your own: a folder of class folders, or a csv of "
            "file,label.",
            show_default=False,
        ),
    ] = None,
    colour: Annotated[
        bool, typer.Option("--colour", help="Your own: 84x84 in colour, instead of 28x28 in grey.")
    ] = False,
    per_class: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Your own: images of each class; classes with fewer are left out. Default: as many as the "
            "smallest class has.",
            show_default=False,
        ),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            help="Your own: a csv of class,split (train, base, meta, val or test), or a folder with "
            "train.txt, val.txt and test.txt.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        float, typer.Option(min=0, max=1, help="Your own, without --splits: the test classes' share.")
    ] = 0.25,
    val: Annotated[
        float, typer.Option(min=0, max=1, help="Your own, without --splits: the validation classes' share.")
    ] = 0.1,
    split_seed: Annotated[int, typer.Option(help="Your own: the seed of the order that is split.")] = 0,
    replace: Replace = False,
) -> None:
    """Import a data set from files on this machine. Parts of miniimagenet can follow later."""
    from experiments.data.own_images import Wanted
    from fsrun.paths import find_home

    wanted = Wanted("colour" if colour else "grey", per_class, splits, test, val, split_seed)
    chosen = _to_import(name, path, wanted)
    with _bar("Reading") as progress:
        summary = chosen.read(path or Path(), find_home().data, progress=progress, replace=replace)
    _say(summary, "Imported" if summary.written else "Already imported")
    _say_parts(name)
    _publish(name)


def _to_import(name: str, path: Path | None, wanted: "Wanted") -> "ImportedSet[Any]":
    """Return the built-in data set of this name, or a new one of the user's own."""
    from experiments.data.own_images import Wanted, offered
    from experiments.datasets import BUILT_IN, OwnImageSet
    from experiments.errors import unknown_name

    if path is None and name not in MADE and name not in offered():
        raise UsageError(f"where is {name}? Type fsrun data import {name} PATH")
    if name not in BUILT_IN and get_close_matches(name, BUILT_IN, cutoff=0.85):  # most likely a slip
        raise unknown_name("data set", name, BUILT_IN)
    if name not in BUILT_IN:
        return OwnImageSet(name, wanted)
    if wanted != Wanted():
        raise UsageError(f"{name} has its own images and splits: leave out all options but --replace")
    return _named(name)


@app.command("fetch", epilog="Example:  fsrun data fetch omniglot")
def fetch_data(name: Name, replace: Replace = False) -> None:
    """Download a data set from its official place and import it."""
    from experiments.data.omniglot import fetch_omniglot
    from fsrun.paths import find_home

    if _named(name).title != "Omniglot":
        raise UsageError(f"{name} has no official place to fetch it from: fsrun data import {name} PATH")
    with _bar("Fetching") as progress:
        summary = fetch_omniglot(find_home().data, progress=progress, replace=replace)
    _say(summary, "Fetched" if summary.written else "Already imported")
    _publish(name)


@app.command("rm", epilog="Example:  fsrun data rm birds")
def remove_data(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; a script must say so.")] = False,
) -> None:
    """Remove an imported data set, or features, from this machine. Runs and results stay."""
    from experiments.data.storage import removed
    from experiments.datasets import IMPORTED, load_own
    from experiments.features.index import embedded_sets, features_folder
    from fsrun.paths import find_home

    data_dir = find_home().data
    load_own(data_dir)
    own_features = name in embedded_sets(data_dir)
    if not own_features and not (name in IMPORTED and IMPORTED[name].folder(data_dir).is_dir()):
        raise UsageError(f"{name} is not here: see fsrun data list")
    folder = features_folder(data_dir, name) if own_features else IMPORTED[name].folder(data_dir)
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"{folder} is removed for good: add --yes")
    if not yes and not typer.confirm(f"Remove {folder}?"):
        typer.echo("Nothing was removed.")
        return
    removed(folder)
    typer.echo(f"Removed {name} from {folder}.")


@app.command("verify", epilog="Example:  fsrun data verify omniglot")
def verify_data(name: Name) -> None:
    """Check an imported data set against its checksum and counts."""
    from fsrun.paths import find_home

    _say(_named(name).verify(find_home().data), "Verified")
    _say_parts(name)
    _say_duplicates(name)


def _publish(name: str) -> None:
    """Keep the data set at the storage, if there is one; ImageNet's list names files of this machine."""
    from fsrun.paths import find_home
    from fsrun.shared_data import publish

    place = publish(find_home(), name) if name != "imagenet" else None
    if place is not None:
        typer.echo(f"Kept at {place}: other machines fetch it when they need it.")


def _named(name: str) -> "ImportedSet[Any]":
    from experiments.datasets import IMPORTED, load_own
    from experiments.errors import unknown_name
    from fsrun.paths import find_home

    load_own(find_home().data)
    if name in MADE:
        raise UsageError(f"{name} is made by the program and needs no import: just queue it")
    if name not in IMPORTED:
        raise unknown_name("data set", name, (*IMPORTED, *MADE))
    return IMPORTED[name]


def _say(summary: "DataSummary", done: str) -> None:
    typer.echo(
        f"{done} {summary.dataset}: {summary.classes:,} classes, {summary.images:,} images, "
        f"{summary.bytes / 1e6:.1f} MB in {summary.path} (sha256 {summary.sha256[:12]})"
    )
    if summary.litter:
        from experiments.data.zips import litter_text

        typer.echo(f"  {litter_text(summary.litter)}")
    if summary.converted:
        from experiments.data.decoding import conversions_text

        typer.echo(f"  changed when they were read: {conversions_text(summary.converted)}")


def _say_parts(name: str) -> None:
    """Say how much of each list of mini-ImageNet is here, or which splits an own data set has."""
    from fsrun.paths import find_home

    for line in _named(name).remarks(find_home().data):
        typer.echo(f"  {line}")
    for each in _named(name).parts(find_home().data):
        missing = each.expected - each.images
        rest = f", {missing:,} missing: import again when they are there" if missing else ""
        typer.echo(f"  {each.name:5}  {each.images:,} of {each.expected:,} images{rest}")


def _say_duplicates(name: str) -> None:
    """Name the pairs of equal images, which the published data set has and keeps."""
    from fsrun.paths import find_home

    found = _named(name).duplicates(find_home().data)
    if not found:
        return
    across = sum(each.across_parts for each in found)
    typer.echo(
        f"  {len(found)} pair{'s' * (len(found) != 1)} of equal images, {across} of them across lists "
        "(the complete set has 8 and 6)"
    )
    for each in found:
        typer.echo(f"    {each.one} = {each.other}")


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error while images are read."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
