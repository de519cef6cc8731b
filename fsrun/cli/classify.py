"""The command `classify`: a trained model meets a folder of labelled examples and labels other images.

Not here: the model (fsrun.models), reading images (experiments.data.folder), and classifying (experiments).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsrun.cli.options import open_database
from fsrun.errors import FsrunError, UsageError

if TYPE_CHECKING:
    from experiments.config import ImageShape
    from experiments.data.folder import Examples, Picture
    from fsrun.models import Model
    from fsrun.report.render import Table

SHOWN = 3  # classes named for each image in text


class Format(StrEnum):
    """How labels are written."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True)
class Labels:
    """What a model says of some images: a probability for every class of the support."""

    model: str
    method: str
    examples: "Examples"
    pictures: "tuple[Picture, ...]"
    probabilities: tuple[tuple[float, ...], ...]  # (pictures, classes)
    litter: int  # files and folders beside the images that are hidden or left by desktops


def classify(
    support: Annotated[Path, typer.Option(help="The folder of examples, with a sub-folder for each class.")],
    images: Annotated[Path, typer.Option(help="The images to label: a folder, or one image.")],
    run: Annotated[int | None, typer.Option(help="A finished run, from fsrun ls.")] = None,
    model: Annotated[Path | None, typer.Option(help="A model: a folder that fsrun export wrote.")] = None,
    output: Annotated[Format, typer.Option("--format", help="The format of the labels.")] = Format.TEXT,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Label images with a trained model. It learns new classes from a few examples."""
    from experiments.classify import image_shape
    from experiments.data.folder import read_examples
    from fsrun.worker.devices import check_device

    check_device(device)
    chosen = _model(run, model)
    shape = image_shape(chosen.config)
    examples = read_examples(support, shape)
    pictures, refused, litter = _pictures(images, shape)
    labels = _label(chosen, examples, pictures, device, examples.litter + litter)
    typer.echo(_rendered(labels, output))
    if refused:
        raise FsrunError(
            f"{len(refused)} of {len(refused) + len(pictures)} images were left out: {refused[0]}"
        )


def _model(run: int | None, folder: Path | None) -> "Model":
    from fsrun.models import model_in_folder, model_of_run

    if run is not None and folder is None:
        return model_of_run(open_database(), run)
    if folder is not None and run is None:
        return model_in_folder(folder)
    raise UsageError("name one model: fsrun classify --run RUN, or --model DIR that fsrun export wrote")


def _pictures(images: Path, shape: "ImageShape") -> "tuple[list[Picture], list[str], int]":
    """Return the images that can be read, for each of the others why not in one line, and how much litter."""
    from experiments.data.folder import image_paths, read_picture
    from experiments.errors import DataError

    pictures, refused = [], []
    paths, litter = ([images], 0) if images.is_file() else image_paths(images)
    for path in paths:
        try:
            pictures.append(read_picture(path, shape))
        except DataError as error:
            refused.append(str(error))
    if not pictures:
        raise DataError(refused[0])
    return pictures, refused, litter


def _label(
    model: "Model", examples: "Examples", pictures: "Sequence[Picture]", device: str, litter: int
) -> Labels:
    from experiments.classify import load_model, probabilities
    from experiments.data.folder import stacked
    from fsrun.paths import find_home
    from fsrun.words import method_title
    from fsrun.worker.devices import resolve_device

    images = find_home().data if model.config.method.needs_training_images else None
    trained = load_model(model.config, model.weights, resolve_device(device), images)
    found = probabilities(trained, stacked(examples.pictures), examples.labels, stacked(pictures))
    title = method_title(model.config.method.name)
    rows = tuple(tuple(row) for row in found.tolist())
    return Labels(model.name, title, examples, tuple(pictures), rows, litter)


def _rendered(labels: Labels, output: Format) -> str:
    from fsrun.cli.tables import console
    from fsrun.report import render

    page = console()
    return render.render(
        _table(labels), render.Format(output.value), width=page.width, colour=page.is_terminal
    )


def _table(labels: Labels) -> "Table":
    from fsrun.report.render import Column, Table
    from fsrun.words import plain

    ranked = [_ranked(labels, row) for row in labels.probabilities]
    return Table.of(
        f"{labels.method}, {labels.model}: {len(labels.examples.classes)} classes",
        (
            Column("Image", lambda line: plain(line[0].path.name)),
            Column("Class", lambda line: plain(line[1][0][0])),
            Column("Probability", lambda line: f"{line[1][0][1]:.1%}", "probability", numeric=True),
            Column("Else", lambda line: _others(line[1])),
        ),
        zip(labels.pictures, ranked, strict=True),
        lambda line: _record(*line),
        notes=tuple(_notes(labels)),
    )


def _ranked(labels: Labels, row: Sequence[float]) -> list[tuple[str, float]]:
    named = zip(labels.examples.classes, row, strict=True)
    return sorted(named, key=lambda pair: -pair[1])


def _others(best: Sequence[tuple[str, float]]) -> str:
    from fsrun.words import plain

    return ", ".join(f"{plain(each)} {share:.1%}" for each, share in best[1:SHOWN])


def _notes(labels: Labels) -> list[str]:
    from experiments.data.folder import conversions
    from experiments.data.zips import litter_text
    from fsrun.words import count

    shown = {"Examples": labels.examples.pictures, "Labelled": labels.pictures}
    said = {what: (count(len(pictures), "image"), conversions(pictures)) for what, pictures in shown.items()}
    return [
        *(f"{what}: {'; '.join(filter(None, parts))}." for what, parts in said.items()),
        *([f"{litter_text(labels.litter)}."] if labels.litter else []),
        "Probability: the softmax of the model's own scores among these classes, not calibrated.",
    ]


def _record(picture: "Picture", best: Sequence[tuple[str, float]]) -> Mapping[str, Any]:
    return {
        "image": str(picture.path),
        "class": best[0][0],
        "probability": best[0][1],
        "runner_up": best[1][0],
        "runner_up_probability": best[1][1],
        "converted": "; ".join(picture.how),
        "probabilities": dict(best),
    }
