"""Files of mini-ImageNet: found in folders and zips that nobody has to trust, and written as one file.

What is understood: Ravi & Larochelle's train.csv, val.csv and test.csv with the images beside them, in any
folders or zips; or, without these lists, one folder per class, in folders named after the splits or not.
Images are written class by class: decoded in parallel, kept from an earlier import, or left as holes.
"""

import csv
import io
import json
import os
import shutil
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from experiments.data.storage import (
    IMAGES,
    DataSummary,
    fresh_folder,
    read_summary,
    write_index,
    writing_to,
)
from experiments.data.zips import Limits, checked_members, is_litter, open_zip, read_member
from experiments.errors import DataError
from experiments.machine import locked, usable_cores
from experiments.splits.miniimagenet import CHANNELS, PARTS, SIZE, all_classes, listed, part_of

if TYPE_CHECKING:
    import numpy as np

    Pixels = np.ndarray[Any, Any]

Progress = Callable[[int, int], None]  # (images done, images in all)
Names = dict[str, tuple[str, ...]]  # class -> its images in order

NAMES = "names.json"


@dataclass(frozen=True)
class Stored:
    """For each class its images in order, and where in that order they are here."""

    names: Names
    places: dict[str, tuple[int, ...]]

    def here(self) -> set[tuple[str, str]]:
        """Return (class, name) of every image that is here."""
        return {(name, self.names[name][place]) for name, places in self.places.items() for place in places}

    def fewest(self, classes: tuple[str, ...]) -> int:
        """Return the number of images that each of the classes has at least."""
        return min(len(self.places[name]) for name in classes)


_LIMITS = Limits(
    dataset="mini-ImageNet",
    members=200_000,
    total_bytes=32 * 2**30,  # the 60,000 images before they were made small are some 7 GB
    member_bytes=64 * 2**20,
    crafted="make the archive again from the images alone",
)
_IMAGES = {".jpg", ".jpeg", ".png"}
_EXPECTED = "name a folder with train.csv, val.csv, test.csv and the images, or with a folder for each class"


@dataclass(frozen=True)
class File:
    """A file below the source, in a folder or a zip: its path there, and how to read its bytes."""

    path: PurePosixPath
    container: Path
    read: Callable[[], bytes]

    def __str__(self) -> str:
        return f"{self.container}: {self.path}"


@dataclass(frozen=True)
class Found:
    """What a source holds.

    names: for each class its images in order, as a list names them or as they lie there; a list may name
    more than there are. files: (class, name) -> the file, of images that are there. litter: how many files
    beside them are left by desktops.
    """

    names: Mapping[str, tuple[str, ...]]
    files: Mapping[tuple[str, str], File]
    litter: int = 0


@contextmanager
def open_source(source: Path) -> Iterator[Found]:
    """Give what a folder or a zip holds of mini-ImageNet; no image is read yet.

    Raises DataError where there is nothing of it, where a list is damaged or names none of the images, and
    where an archive is damaged or crafted.
    """
    if not source.exists():
        raise DataError(f"{source} is not there: {_EXPECTED}")
    with ExitStack() as stack:
        files, litter = _files(source, stack)
        lists = {part: file for part in PARTS if (file := _list_of(part, files)) is not None}
        found = _by_lists(source, lists, files) if lists else _by_folders(files)
        _refuse_too_few_classes(source, found)
        yield replace(found, litter=litter)


def _files(source: Path, stack: ExitStack) -> tuple[list[File], int]:
    """Return all files below the source, those in its zips too, and how many more are litter."""
    paths, litter = ([source], 0) if source.is_file() else _walked(source)
    files: list[File] = []
    for path in paths:
        if path.suffix.lower() == ".zip":
            opened = stack.enter_context(open_zip(path))
            members, more = checked_members(opened, path, _LIMITS)
            files += [_member(opened, member, path) for member in members]
            litter += more
        else:
            inside = PurePosixPath(path.relative_to(source).as_posix())
            files.append(File(inside, source, partial(_read_file, path)))
    return files, litter


def _walked(source: Path) -> tuple[list[Path], int]:
    paths: list[Path] = []
    litter = 0
    for folder, _, names in os.walk(source):
        for name in names:
            path = Path(folder, name)
            if is_litter(path.relative_to(source).as_posix()):
                litter += 1
            else:
                paths.append(path)
            if len(paths) > _LIMITS.members:
                raise DataError(f"{source} has over {_LIMITS.members:,} files: {_EXPECTED}")
    return sorted(paths), litter


def _member(opened: zipfile.ZipFile, member: zipfile.ZipInfo, archive: Path) -> File:
    return File(PurePosixPath(member.filename), archive, partial(read_member, opened, member, archive))


def _read_file(path: Path) -> bytes:
    # is_file keeps a pipe or a device from being opened, the limit keeps a huge file out of memory.
    try:
        if not path.is_file() or path.stat().st_size > _LIMITS.member_bytes:
            raise DataError(f"{path} is not an image of mini-ImageNet: remove it")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): make it readable") from error


def _list_of(part: str, files: list[File]) -> File | None:
    return next((file for file in files if file.path.name == f"{part}.csv"), None)


# ---------------------------------------------------------------- lists


def _by_lists(source: Path, lists: Mapping[str, File], files: list[File]) -> Found:
    by_name = {file.path.name: file for file in reversed(files) if _is_image(file)}
    by_folder = {(file.path.parent.name, file.path.name): file for file in reversed(files) if _is_image(file)}
    names: dict[str, tuple[str, ...]] = {}
    there: dict[tuple[str, str], File] = {}
    for part, file in lists.items():
        rows = _rows(part, file)
        matched = {key: by_folder.get(key) or by_name.get(key[1]) for key in rows}
        there |= {key: match for key, match in matched.items() if match is not None}
        if not any(matched.values()):
            raise DataError(
                f"{file} names {len(rows):,} images, for example {rows[0][1]}, and none of them is in "
                f"{source}: put them or their zips there, or take the list away"
            )
        of_class: defaultdict[str, list[str]] = defaultdict(list)
        for name, image in rows:
            of_class[name].append(image)
        names |= {name: tuple(images) for name, images in of_class.items()}
    return Found(names, there)


def _rows(part: str, file: File) -> list[tuple[str, str]]:
    """Return (class, image) of each line of a list, each image once."""
    try:
        lines = list(csv.reader(io.StringIO(file.read().decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is not a list of images ({error}): take Ravi & Larochelle's") from error
    if not lines or [word.strip() for word in lines[0]] != ["filename", "label"] or len(lines) < 2:
        raise DataError(f"{file} does not begin with filename,label and images: take Ravi & Larochelle's")
    rows: dict[tuple[str, str], None] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != 2 or line[1] not in listed(part):
            raise DataError(
                f"{file}, line {number}: {','.join(line)!r} is not an image and one of the {part} classes: "
                "take Ravi & Larochelle's list"
            )
        rows[line[1], PurePosixPath(line[0]).name] = None
    return list(rows)


# -------------------------------------------------------------- folders


def _by_folders(files: list[File]) -> Found:
    there: dict[tuple[str, str], File] = {}
    for file in files:
        name = file.path.parent.name
        if not _is_image(file) or (part := part_of(name)) is None:
            continue
        split = file.path.parent.parent.name
        if split in PARTS and split != part:
            raise DataError(
                f"{file} lies in {split} and Ravi & Larochelle's lists have {name} in {part}: move the folder"
            )
        there.setdefault((name, file.path.name), file)
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, image in sorted(there):
        names[name].append(image)
    return Found({name: tuple(images) for name, images in names.items()}, there)


def _is_image(file: File) -> bool:
    return file.path.suffix.lower() in _IMAGES


def _refuse_too_few_classes(source: Path, found: Found) -> None:
    classes = {name for name, _ in found.files}
    if len(classes) < 2:
        has = f"images of one class only, {min(classes)}" if classes else "no images of mini-ImageNet"
        raise DataError(f"{source} holds {has}: {_EXPECTED}")


# ---------------------------------------------------------------- writing

Read = tuple["Pixels", tuple[str, ...]]  # an image, and what was done to it

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
    import numpy as np

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
    before: "Pixels | None",
) -> _Class:
    old = {kept.names[name][place]: place for place in kept.places[name]} if kept else {}
    sources: dict[int, Callable[[], Read]] = {}
    for place, image in enumerate(names[name]):
        if image in old and before is not None:
            sources[place] = partial(_kept, before, (number, old[image]))
        elif (name, image) in files:
            sources[place] = partial(_decoded, files[name, image])
    return _Class(name, sources, len(names[name]))


def _kept(before: "Pixels", place: tuple[int, int]) -> Read:
    return before[place], ()


def _decoded(file: File) -> Read:
    from experiments.data.decoding import colour_pixels

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
    import numpy as np

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
