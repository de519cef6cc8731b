"""Folders of images of any kind, turned into what models were trained on: drawings, ink = 1, or photographs.

Not here: data sets (omniglot.py, miniimagenet.py, glyphs.py), and what is done with the images. Nothing
is written.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from experiments.config import ImageShape
from experiments.errors import DataError

GREY_28: ImageShape = (1, 28, 28)
MAX_PIXELS = 50_000_000  # of one image
_KINDS = {-1: "dark on a bright border, inverted", 0: "blank", 1: "bright on a dark border, as it is"}
_NOT_IMAGES = {".txt", ".csv", ".json", ".md", ".ini", ".db"}  # what lies beside images now and then


@dataclass(frozen=True)
class Picture:
    """One image as the networks see it: float (*image), ink = 1 in grey; `how` says what was done to it."""

    path: Path
    pixels: Tensor
    how: tuple[str, ...]


@dataclass(frozen=True)
class Examples:
    """The labelled examples of a task: classes by name, pictures class by class."""

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    labels: Tensor  # int64 (pictures,), sorted


def read_examples(folder: Path, image: ImageShape = GREY_28) -> Examples:
    """Return the pictures of a folder with one sub-folder per class, named as it is.

    Raises DataError where there are not two classes, one has no image, or an image cannot be used.
    """
    _require_folder(folder)
    inner = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(inner) < 2:
        found = f"only the class {inner[0].name}" if inner else "no sub-folders"
        raise DataError(
            f"{folder} holds {found}: give it one sub-folder of images for each class, two at least"
        )
    pictures, labels = [], []
    for label, each in enumerate(inner):
        paths = image_paths(each)
        pictures += [read_picture(path, image) for path in paths]
        labels += [label] * len(paths)
    return Examples(tuple(each.name for each in inner), tuple(pictures), torch.tensor(labels))


def image_paths(folder: Path) -> list[Path]:
    """Return the files of a folder that may be images, by name; DataError where there are none."""
    _require_folder(folder)
    files = (each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    paths = sorted(each for each in files if each.suffix.lower() not in _NOT_IMAGES)
    if not paths:
        raise DataError(f"{folder} holds no images: put at least one into it")
    return paths


def read_picture(path: Path, image: ImageShape = GREY_28) -> Picture:
    """Return an image of any kind as the networks see it; DataError where it is none, or several.

    With one channel it is a drawing: grey, ink on paper, in the middle of a square. With three it is a
    photograph: in colour, squeezed into the square, as those that are learned from are.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                _refuse(path, opened)
                return _drawing(path, opened, image) if image[0] == 1 else _photograph(path, opened, image)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise DataError(f"{path} cannot be read as an image: remove it or save it again") from error


def stacked(pictures: Sequence[Picture]) -> Tensor:
    """Return pictures as one tensor (pictures, *image)."""
    return torch.stack([each.pixels for each in pictures])


def conversions(pictures: Sequence[Picture]) -> str:
    """Return what was done to so many pictures, in one line."""
    counts = Counter(how for each in pictures for how in each.how)
    return "; ".join(f"{count} {how}" for how, count in counts.most_common())


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: name one that holds images")


def _refuse(path: Path, opened: Image.Image) -> None:
    if getattr(opened, "n_frames", 1) > 1:
        raise DataError(f"{path} has {opened.n_frames} frames: save the one that counts as an image")  # type: ignore[attr-defined]
    if opened.width * opened.height > MAX_PIXELS:
        raise DataError(f"{path} has {opened.width} x {opened.height} pixels: make it smaller")


def _drawing(path: Path, opened: Image.Image, image: ImageShape) -> Picture:
    size = image[2], image[1]
    grey, how = _grey(ImageOps.exif_transpose(opened))
    paper, ink = _levels(grey)
    small = np.asarray(_square(grey, paper).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    share = np.clip((small - paper) / (ink - paper), 0, 1) if ink != paper else np.zeros_like(small)
    how += (_KINDS[(ink > paper) - (ink < paper)],)
    return Picture(path, torch.from_numpy(share.astype(np.float32))[None], how + _scaled(opened, size))


def _photograph(path: Path, opened: Image.Image, image: ImageShape) -> Picture:
    size = image[2], image[1]
    colour, how = _colour(ImageOps.exif_transpose(opened))
    squeezed = colour if colour.size == size else colour.resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(squeezed, dtype=np.float32).transpose(2, 0, 1) / 255
    return Picture(path, torch.from_numpy(np.ascontiguousarray(pixels)), how + _scaled(opened, size))


def _colour(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image in red, green and blue, transparency laid on white."""
    if image.has_transparency_data:
        laid, how = _on_white(image)
        return laid.convert("RGB"), how
    if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
        grey, how = _grey(image)
        return grey.convert("RGB"), (*how, "grey, shown as colour")
    return image.convert("RGB"), ()


def _scaled(opened: Image.Image, size: tuple[int, int]) -> tuple[str, ...]:
    return () if opened.size == size else (f"scaled to {size[0]} x {size[1]}",)


def _on_white(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return a transparent image laid on white."""
    colour = image.convert("RGBA")
    white = Image.new("RGBA", colour.size, "white")
    return Image.alpha_composite(white, colour), ("transparent, laid on white",)


def _grey(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image in 256 levels of grey, transparency laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        levels = (values - low) * (255 / (high - low)) if high > low else np.full_like(values, 255)
        return Image.fromarray(levels.round().astype(np.uint8)), ("16 bits or more, brought to 8",)
    if image.has_transparency_data:
        laid, how = _on_white(image)
        return laid.convert("L"), how
    return image.convert("L"), () if image.mode in ("1", "L") else ("in colour, made grey",)


def _levels(grey: Image.Image) -> tuple[float, float]:
    """Return the grey of the paper, which is that of the border, and of the ink, the farthest from it."""
    values: np.ndarray[Any, Any] = np.asarray(grey)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    paper = float(np.median(border))
    low, high = float(values.min()), float(values.max())
    return paper, low if paper - low >= high - paper else high


def _square(grey: Image.Image, paper: float) -> Image.Image:
    """Return the image in the middle of a square of paper, so that its proportions stay."""
    if grey.width == grey.height:
        return grey
    side = max(grey.size)
    square = Image.new("L", (side, side), round(paper))
    square.paste(grey, ((side - grey.width) // 2, (side - grey.height) // 2))
    return square
