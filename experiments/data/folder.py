"""Folders of images of any kind, turned into what models were trained on: drawings, ink = 1, or photographs.

Not here: decoding (decoding.py), data sets (omniglot.py, miniimagenet.py, glyphs.py), and what is done with
the images. Nothing is written.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from experiments.config import ImageShape
from experiments.data.class_folders import ImageFile
from experiments.data.decoding import conversions_text, decoded
from experiments.data.zips import is_litter
from experiments.errors import DataError

Pixels = np.ndarray[Any, np.dtype[np.float32]]

GREY_28: ImageShape = (1, 28, 28)
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
    """The labelled examples of a task: classes by name, pictures class by class; and how much litter."""

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    labels: Tensor  # int64 (pictures,), sorted
    litter: int = 0


def read_examples(folder: Path, image: ImageShape = GREY_28) -> Examples:
    """Return the pictures of a folder with one sub-folder per class, named as it is.

    Raises DataError where there are not two classes, one has no image, or an image cannot be used.
    """
    _require_folder(folder)
    every = list(folder.iterdir())
    inner = sorted(each for each in every if each.is_dir() and not is_litter(each.name))
    litter = sum(is_litter(each.name) for each in every)
    if len(inner) < 2:
        found = f"only the class {inner[0].name}" if inner else "no sub-folders"
        raise DataError(
            f"{folder} holds {found}: give it one sub-folder of images for each class, two at least"
        )
    pictures, labels = [], []
    for label, each in enumerate(inner):
        paths, beside = image_paths(each)
        litter += beside
        pictures += [read_picture(path, image) for path in paths]
        labels += [label] * len(paths)
    return Examples(tuple(each.name for each in inner), tuple(pictures), torch.tensor(labels), litter)


def image_paths(folder: Path) -> tuple[list[Path], int]:
    """Return the files of a folder that may be images, by name, and how many files are litter.

    Raises DataError where there are no images.
    """
    _require_folder(folder)
    every = list(folder.iterdir())
    files = [each for each in every if each.is_file() and not is_litter(each.name)]
    paths = sorted(each for each in files if each.suffix.lower() not in _NOT_IMAGES)
    if not paths:
        raise DataError(f"{folder} holds no images: put at least one into it")
    return paths, sum(is_litter(each.name) for each in every)


def read_picture(path: Path, image: ImageShape = GREY_28) -> Picture:
    """Return an image of any kind as the networks see it; DataError where it is none, or several.

    With one channel it is a drawing: grey, ink on paper, in the middle of a square. With three it is a
    photograph: in colour, squeezed into the square, as those that are learned from are.
    """
    return picture_of(ImageFile(str(path), path), image)


def picture_of(file: ImageFile, image: ImageShape) -> Picture:
    """Return the same of a file that may lie in a tar."""
    path, drawing = file.path, image[0] == 1
    found = decoded(file.read(), file.name, "L" if drawing else "RGB", formats=None)
    size = image[2], image[1]
    pixels, how = _ink(found.image, size) if drawing else (_colours(found.image, size), ())
    scaled = () if found.image.size == size else (f"scaled to {size[0]} x {size[1]}",)
    return Picture(path, torch.from_numpy(pixels), found.how + how + scaled)


def stacked(pictures: Sequence[Picture]) -> Tensor:
    """Return pictures as one tensor (pictures, *image)."""
    return torch.stack([each.pixels for each in pictures])


def conversions(pictures: Sequence[Picture]) -> str:
    """Return what was done to so many pictures, in one line."""
    return conversions_text(Counter(how for each in pictures for how in each.how))


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: name one that holds images")


def _ink(grey: Image.Image, size: tuple[int, int]) -> tuple[Pixels, tuple[str, ...]]:
    """Return a drawing as float32 (1, height, width), ink = 1, and how its ink was told from its paper."""
    paper, ink = _levels(grey)
    small = np.asarray(_square(grey, paper).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    share = np.clip((small - paper) / (ink - paper), 0, 1) if ink != paper else np.zeros_like(small)
    return share.astype(np.float32)[None], (_KINDS[(ink > paper) - (ink < paper)],)


def _colours(colour: Image.Image, size: tuple[int, int]) -> Pixels:
    squeezed = colour if colour.size == size else colour.resize(size, Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(squeezed, dtype=np.float32).transpose(2, 0, 1) / 255)


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
