"""Small stand-ins for mini-ImageNet: its real classes, with images drawn here.

Not here: any test.
"""

import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.splits.miniimagenet import all_classes, listed, part_of

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

PAIR = {part: listed(part)[:2] for part in ("train", "val", "test")}
SOME = tuple(name for names in PAIR.values() for name in names)  # two classes of each list


def pixels(name: str, number: int) -> Pixels:
    """Return an image (84, 84, 3): the colours tell the class, the stripes the image."""
    place = all_classes().index(name)
    base = np.array([place * 2, 255 - place * 2, place * 37 % 256])
    rows, columns = np.mgrid[:84, :84]
    stripes = 20 * np.sin(rows * (1 + place % 7) / 9 + columns * (number + 1) / 30)
    shown: Pixels = np.clip(base + stripes[..., None], 0, 255).astype(np.uint8)
    return shown


def png(name: str, number: int) -> bytes:
    """Return the image as a PNG, which keeps every pixel."""
    buffer = BytesIO()
    Image.fromarray(pixels(name, number)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def file_name(name: str, number: int) -> str:
    """Return a name as the published lists have them: the class, then a number."""
    return f"{name}{number:08d}.png"


def write_folders(
    folder: Path, classes: Iterable[str], each: int, *, split_folders: bool = False, first: int = 0
) -> Path:
    """Write so many images of each class into a folder of its own, inside its split's if asked for."""
    for name in classes:
        place = folder / str(part_of(name)) / name if split_folders else folder / name
        place.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + each):
            (place / file_name(name, number)).write_bytes(png(name, number))
    return folder


def write_list(folder: Path, part: str, each: int, classes: Iterable[str] | None = None) -> Path:
    """Write train.csv, val.csv or test.csv, which names so many images of each class."""
    rows = [f"{file_name(name, number)},{name}" for name in classes or PAIR[part] for number in range(each)]
    path = folder / f"{part}.csv"
    path.write_text("\n".join(["filename,label", *rows]) + "\n")
    return path


def write_zip(path: Path, classes: Iterable[str], numbers: Iterable[int]) -> Path:
    """Write images side by side into a zip, as the published archives have them."""
    numbers = list(numbers)
    with zipfile.ZipFile(path, "w") as archive:
        for name in classes:
            for number in numbers:
                archive.writestr(file_name(name, number), png(name, number))
    return path


def write_published(folder: Path, each: int) -> Path:
    """Write the three lists and a zip for each, as the data set is published, two classes to a list."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, classes in PAIR.items():
        write_list(folder, part, each)
        write_zip(folder / f"{part}.zip", classes, range(each))
    return folder
