"""The command `data embed`: runs a backbone over images, and says what came of it.

Not here: the other commands about data sets (data.py), what the words mean (embedding_plan.py), and how it is
done (experiments.features.embedding).
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from experiments.features.embedding import Progress
    from experiments.features.index import FeatureIndex

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
SplitSeed = Annotated[int, typer.Option(min=0, help="The seed of the halves.")]
PerClass = Annotated[
    int | None, typer.Option("--images-per-class", min=2, help="The largest number of images of each class.")
]
BatchSize = Annotated[int, typer.Option("--batch", min=1, max=4096, help="Images in a batch.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads that decode images. Default: all cores.")]
Mixed = Annotated[bool, typer.Option("--mixed", help="Compute in half precision, for a GPU.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Gpus = Annotated[
    int,
    typer.Option(min=1, max=64, help="GPUs of this machine, a process each. With --device cpu: processes."),
]


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
    gpus: Gpus = 1,
) -> None:
    """Compute the features of images once. Runs then learn from them.

    Several commands share the work. After Ctrl-C, the same command goes on.
    """
    from fsrun.cli.embedding_plan import Asked, embed_here, planned
    from fsrun.cli.embedding_processes import embed_by_several
    from fsrun.paths import find_home
    from fsrun.shared_data import publish
    from fsrun.worker.devices import check_gpus

    check_gpus(gpus, device)
    asked = Asked(
        source=source,
        backbone=backbone,
        weights=str(weights) if weights else None,
        tail=tail,
        name=name,
        seen=seen,
        splits=str(splits) if splits else None,
        split_seed=split_seed,
        per_class=per_class,
        batch=batch,
        threads=threads,
        mixed=mixed,
        device=device,
    )
    embedding = planned(asked)
    with _Bar() as bar:
        if gpus == 1:
            index = embed_here(asked, embedding, bar.show)
        else:
            index = embed_by_several(asked, embedding, gpus, bar.show)
    _say(embedding.name, index, bar.last)
    place = publish(find_home(), f"features/{embedding.name}")
    if place is not None:
        typer.echo(f"Kept at {place}: other machines fetch them when they need them.")


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
    typer.echo(f"Next:  fsrun queue {name} --method fastslow,cnn-nn --n-way 5,20")


def _report(index: "FeatureIndex") -> Iterator[str]:
    from experiments.data.decoding import DECODER, conversions_text
    from experiments.data.zips import litter_text
    from experiments.features.novelty import novelty
    from fsrun.words import count

    yield f"seen: {index.seen_here:,} of these classes, in {index.seen}; none of them is tested on"
    yield f"test classes that the backbone was trained on: {novelty(index)}"
    if index.left_out:
        yield f"{len(index.left_out):,} classes left out, with fewer than 2 readable images or in no split"
    if index.skipped:
        whys = ", ".join(f"{number:,} {why}" for why, number in sorted(index.skipped.items()))
        yield f"{count(sum(index.skipped.values()), 'image')} skipped: {whys} (such as {index.trouble[0][0]})"
    if index.litter:
        yield litter_text(index.litter)
    if index.converted:
        yield f"changed when they were read: {conversions_text(index.converted)}"
    if index.decoder < DECODER:
        yield (
            "read by an earlier fsrun, without the turns of EXIF, with holes in black and 16 bits cut off: "
            "embed them under another --name if there are such images"
        )
