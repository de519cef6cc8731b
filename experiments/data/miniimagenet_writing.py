"""Writes mini-ImageNet's images as one file, class by class: decoded in parallel, kept from before, or holes.

Not here: which images there are (miniimagenet_sources.py), and what an import means (miniimagenet.py).
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from experiments.data.decoding import colour_pixels
from experiments.data.miniimagenet_sources import File
from experiments.data.miniimagenet_splits import CHANNELS, SIZE, all_classes
from experiments.data.miniimagenet_stored import NAMES, Names, Stored
from experiments.data.storage import (
    IMAGES,
    DataSummary,
    fresh_folder,
    read_summary,
    write_index,
    writing_to,
)
from experiments.errors import DataError
from experiments.machine import locked, usable_cores

Progress = Callable[[int, int], None]  # (images done, images in all)
Pixels = np.ndarray[Any, Any]
Read = tuple[Pixels, tuple[str, ...]]  # an image, and what was done to it

_IMAGE = (CHANNELS, SIZE, SIZE)
_IMAGE_BYTES = CHANNELS * SIZE * SIZE
_THREADS = 8  # at most: decoding leaves Python's lock, the rest does not


@dataclass(frozen=True)
class _Class:
    """One class to be written: how to come by the pixels of the image at each place, and how many places."""

    name: str
    sources: dict[int, Callable[[], Read]]
    length: int


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Let one import at a time work on a data folder, and clear away what one that was killed has left."""
    with writing_to(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = locked(data_dir / ".import.lock", wait=False)
    with lock as is_ours:
        if not is_ours:
            raise DataError(f"another import into {data_dir} is under way: wait until it is done")
        for left in data_dir.glob(".miniimagenet-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def write_images(
    folder: Path,
    names: Names,
    files: Mapping[tuple[str, str], File],
    kept: Stored | None,
    progress: Progress,
) -> DataSummary:
    """Write all images that are in the files or kept from the import in the folder, and take its place."""
    before = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False) if kept else None
    classes = [
        _sources(number, name, names, files, kept, before) for number, name in enumerate(all_classes())
    ]
    total = sum(len(each.sources) for each in classes)
    _require_space(folder.parent, total * _IMAGE_BYTES)
    capacity = max(each.length for each in classes)
    with fresh_folder(folder) as fresh:
        with (fresh / IMAGES).open("wb") as file:
            converted = _write_classes(file, classes, capacity, lambda done: progress(done, total))
            os.fsync(file.fileno())
        (fresh / NAMES).write_text(json.dumps(names), encoding="utf-8")
        write_index(
            fresh,
            classes=list(all_classes()),
            drawers=capacity,
            images=total,
            converted=converted + Counter(read_summary(folder).converted if kept else {}),
            present={each.name: _runs(sorted(each.sources)) for each in classes},
        )
    return read_summary(folder, written=True)


def _sources(
    number: int,
    name: str,
    names: Names,
    files: Mapping[tuple[str, str], File],
    kept: Stored | None,
    before: Pixels | None,
) -> _Class:
    old = {kept.names[name][place]: place for place in kept.places[name]} if kept else {}
    sources: dict[int, Callable[[], Read]] = {}
    for place, image in enumerate(names[name]):
        if image in old and before is not None:
            sources[place] = partial(_kept, before, (number, old[image]))
        elif (name, image) in files:
            sources[place] = partial(_decoded, files[name, image])
    return _Class(name, sources, len(names[name]))


def _kept(before: Pixels, place: tuple[int, int]) -> Read:
    return before[place], ()


def _decoded(file: File) -> Read:
    return colour_pixels(file.read(), str(file), SIZE)


def _require_space(data_dir: Path, needed: int) -> None:
    """Raise DataError, before anything is written, where the disk has no room for so many bytes."""
    free = shutil.disk_usage(data_dir).free
    if needed > free:
        raise DataError(
            f"{data_dir} has {free / 1e9:.1f} GB free and mini-ImageNet needs {needed / 1e9:.1f} GB: "
            "free some, or set FSRUN_HOME to a folder on another disk"
        )


def _write_classes(
    file: BinaryIO, classes: list[_Class], capacity: int, progress: Callable[[int], None]
) -> Counter[str]:
    """Write a .npy file class by class, and return what was done to how many images.

    Never through a memory map, which a full disk would make fatal.
    """
    shape = (len(classes), capacity, *_IMAGE)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    start, done = file.tell(), 0
    converted: Counter[str] = Counter()
    file.truncate(start + len(classes) * capacity * _IMAGE_BYTES)
    with ThreadPoolExecutor(min(_THREADS, usable_cores())) as pool:
        for number, each in enumerate(classes):
            places = sorted(each.sources)
            pixels = pool.map(lambda place, sources=each.sources: sources[place](), places)
            for place, (image, how) in zip(places, pixels, strict=True):
                converted.update(how)
                file.seek(start + (number * capacity + place) * _IMAGE_BYTES)
                file.write(image.tobytes())
                done += 1
            progress(done)
    return converted


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Return the same numbers as half-open runs: 0 1 2 5 is [(0, 3), (5, 6)]."""
    runs = []
    for _, group in groupby(zip(places, count(), strict=False), key=lambda pair: pair[0] - pair[1]):
        run = [place for place, _ in group]
        runs.append((run[0], run[-1] + 1))
    return runs
