"""Finds mini-ImageNet's images in folders and zips that nobody has to trust; writes nothing anywhere.

Not here: decoding them (decoding.py), and how they are stored (miniimagenet.py).

What is understood: Ravi & Larochelle's train.csv, val.csv and test.csv with the images beside them, in any
folders or zips; or, without these lists, one folder per class, in folders named after the splits or not.
"""

import csv
import io
import os
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from experiments.data.miniimagenet_splits import PARTS, listed, part_of
from experiments.data.zips import Limits, checked_members, is_litter, open_zip, read_member
from experiments.errors import DataError

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
            raise DataError(f"{path} is no image of mini-ImageNet: remove it")
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
