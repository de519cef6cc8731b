"""The command `data embed`: runs a backbone over images, and says what came of it.

Not here: the other commands about data sets (data.py), and how it is done (experiments.data.embedding).
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.errors import UsageError

if TYPE_CHECKING:
    from experiments.data.class_folders import ImageListing
    from experiments.data.embedding import Precision, Progress
    from experiments.data.feature_index import FeatureIndex
    from experiments.models.backbones import Backbone

FOLDER, RUN = "folder:", "run:"

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="imagenet, as imported, or folder:PATH, one folder or tar a class."
    ),
]
BackboneName = Annotated[
    str,
    typer.Option(
        "--backbone",
        help="A classifier of timm or torchvision (inception_resnet_v2, torchvision:resnet50), "
        "efficientnet-lite0 from its package, or run:N for the conv4 of a finished run.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Its weights: .safetensors or .pth; without, from where they are published."),
]
FeatureName = Annotated[
    str | None, typer.Option("--name", help="What to call the features: imagenet, or the folder's name.")
]
TailOption = Annotated[
    str | None,
    typer.Option(
        "--tail",
        help="A part of the backbone (conv2d_7b, layer4.2, blocks.3): keep its input instead of features. "
        "It, and what follows, is then the theta' that learns; `all` keeps images, and the whole network "
        "learns. Without: an adapter of the features.",
    ),
]
SeenOption = Annotated[
    str | None,
    typer.Option(
        "--seen",
        help="What the backbone was trained on, if not what its weights say: imagenet-1k, imagenet-12k, "
        "imagenet-22k, nothing, or a file with a class on each line.",
    ),
]
Splits = Annotated[
    Path | None,
    typer.Option(
        help="A file of class,split lines (base, meta, val, test); without, novel classes are halved."
    ),
]
SplitSeed = Annotated[int, typer.Option(min=0, help="Of the halves.")]
PerClass = Annotated[
    int | None, typer.Option("--images-per-class", min=2, help="At most so many of each class.")
]
BatchSize = Annotated[
    int, typer.Option("--batch", min=1, max=4096, help="Images through the network at once.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="That decode; all cores unless said.")]
Mixed = Annotated[bool, typer.Option("--mixed", help="Half precision inside the network: for a GPU.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def embed(
    source: Source,
    backbone: BackboneName,
    weights: Weights = None,
    tail: TailOption = None,
    name: FeatureName = None,
    seen: SeenOption = None,
    splits: Splits = None,
    split_seed: SplitSeed = 0,
    per_class: PerClass = None,
    batch: BatchSize = 64,
    threads: Threads = None,
    mixed: Mixed = False,
    device: Device = "auto",
) -> None:
    """Compute the features of images once, to learn from them; several such commands share the work.

    Stop it at any moment: the same command goes on.
    """
    from experiments.data.embedding import Embedder, embed_images
    from experiments.data.novelty import novel_splits
    from experiments.data.shards import Embedding
    from experiments.models.backbones import cut_backbone
    from fsrun.paths import find_home
    from fsrun.shared_data import publish
    from fsrun.worker.devices import resolve_device

    data_dir = find_home().data
    chosen = _checked_name(name or _default_name(source))
    listing = _listing(source, data_dir)
    network = _backbone(backbone, weights, seen)
    if tail is not None:
        network = cut_backbone(network, tail)
    parts = novel_splits(listing.names, network.seen, splits=splits, seed=split_seed)
    precision: Precision = "mixed" if mixed else "float32"
    embedding = Embedding(data_dir, chosen, listing, parts, network, per_class, precision)
    embedder = Embedder(network, resolve_device(device), batch=batch, precision=precision, threads=threads)
    with _Bar() as bar:
        index = embed_images(embedding, embedder, bar.show)
    _say(chosen, index, bar.last)
    place = publish(find_home(), f"features/{chosen}")
    if place is not None:
        typer.echo(f"Kept at {place}: other machines fetch them when they need them.")


def _checked_name(name: str) -> str:
    """Return a name that a run can be asked for with; UsageError where it is none."""
    from experiments.config.features import FEATURE_NAME

    if not re.match(FEATURE_NAME, name):
        raise UsageError(f"--name {name!r} is no name of features: use letters, digits, dots, - and _")
    return name


def _default_name(source: str) -> str:
    return Path(source.removeprefix(FOLDER)).resolve().name if source.startswith(FOLDER) else source


def _listing(source: str, data_dir: Path) -> "ImageListing":
    from experiments.data.class_folders import find_classes
    from experiments.data.imagenet import read_listing

    if source.startswith(FOLDER):
        return find_classes(Path(source.removeprefix(FOLDER)).expanduser())
    if source != "imagenet":
        raise UsageError(f"{source!r} is no source of images: use imagenet, or folder:PATH")
    return read_listing(data_dir)


def _backbone(name: str, weights: Path | None, seen: str | None) -> "Backbone":
    from experiments.models.backbones import backbone_of_run, open_backbone

    if not name.startswith(RUN):
        return open_backbone(name, weights, seen)
    from fsrun.cli.options import open_database
    from fsrun.models import model_of_run

    number = name.removeprefix(RUN)
    if not number.isdecimal() or weights or seen:
        raise UsageError(
            f"--backbone {name}: write run:N, without --weights and --seen, which the run says itself"
        )
    model = model_of_run(open_database(), int(number))
    return backbone_of_run(model.config, model.weights, model.name)


class _Bar:
    """A progress bar on standard error while images are embedded; remembers how far it got."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        console = Console(stderr=True)
        said = progress.TextColumn("{task.description}")
        columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn(), said)
        self.bars = progress.Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self.task = self.bars.add_task("", total=None)
        self.last: Progress | None = None

    def __enter__(self) -> "_Bar":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, state: "Progress") -> None:
        """Show how far it is, how fast, and what limits."""
        self.last = state
        said = f"{state.rate:,.0f} images/s, limited by {state.limit}" if state.own else "waiting for others"
        self.bars.update(self.task, completed=state.done, total=state.total, description=said)


def described(index: "FeatureIndex") -> str:
    """Say in one line what features are of."""
    counts = ", ".join(f"{split} {count:,}" for split, count in index.counts().items() if count)
    return (
        f"{index.images:,} images of {index.source} by {index.backbone.partition(',')[0]}; classes: {counts}"
    )


def _say(name: str, index: "FeatureIndex", last: "Progress | None") -> None:
    """Say what features there are, what was skipped and why, and what to type next."""
    from fsrun.words import duration

    if last is None or not last.own:
        typer.echo(f"Already embedded {name}: {described(index)}")
    else:
        typer.echo(f"Embedded {name}: {described(index)}")
        typer.echo(
            f"  {last.own:,} images in {duration(last.seconds)}, {last.rate:,.1f} a second, "
            f"limited by {last.limit}"
        )
    what = f" of what {index.tail.whose} sees" if index.tail else ""
    typer.echo(f"  {math.prod(index.kept):,} numbers an image{what}, {index.bytes / 1e6:,.1f} MB")
    for line in _report(index):
        typer.echo(f"  {line}")
    typer.echo(f"Next:  fsrun queue imagenet --set features={name} --method fastslow,cnn-nn --n-way 5,20")


def _report(index: "FeatureIndex") -> Iterator[str]:
    yield f"base is what the backbone has seen ({index.seen}); val and test hold no class of it"
    if not index.seen_certain:
        yield "it was trained on more than can be listed: the test classes may not be novel to it"
    if index.left_out:
        yield f"{len(index.left_out):,} classes left out, with fewer than 2 readable images or in no split"
    if index.skipped:
        whys = ", ".join(f"{count:,} {why}" for why, count in sorted(index.skipped.items()))
        yield f"{sum(index.skipped.values()):,} images skipped: {whys} (such as {index.trouble[0][0]})"
    if index.converted:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(index.converted.items()))
        yield f"made red, green and blue: {kinds}"
