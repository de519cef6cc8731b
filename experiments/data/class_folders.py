"""Classes as folders or tar files of images, read where they lie: which there are, and each image's bytes.

Not here: decoding (decoding.py), and which classes are learned from (splits/folders.py). Writes nothing.
"""

import gzip
import os
import re
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO
from zlib import error as ZlibError  # noqa: N812  # zlib names it in lower case

from experiments.data.zips import is_litter
from experiments.errors import DataError

Progress = Callable[[int, int], None]  # (done, in all)

_MOST_BYTES = 100 * 2**20  # of one image file
_THREADS = 8
_TAR = re.compile(r"(.+)\.(?:tar|tar\.gz|tgz)", re.IGNORECASE | re.DOTALL)
_PACKED = (".tar.gz", ".tgz")
_HOW = "name a folder that holds one folder of images, or one tar file, for each class"


@dataclass(frozen=True)
class ImageFile:
    """An image: its name within its class, and which bytes of a file it is; offset None for all.

    packed: the bytes are counted in what gzip makes of the file.
    """

    name: str
    path: Path
    offset: int | None = None
    size: int = 0
    packed: bool = False

    def read(self) -> bytes:
        """Return the image's bytes; DataError where they cannot be read or are too many."""
        try:
            data = self._bytes()
        except (OSError, EOFError, ZlibError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self.name} cannot be opened ({reason})") from error
        if len(data) > _MOST_BYTES:
            raise DataError(f"{self.name} is larger than {_MOST_BYTES // 2**20} MB")
        return data

    def _bytes(self) -> bytes:
        if self.packed and self.offset is not None:
            return _unpacked.read(self.path, self.offset, self.size)
        with self.path.open("rb") as file:
            if self.offset is None:
                return file.read(_MOST_BYTES + 1)
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class ClassPlace:
    """A class: its name, and the folder or tar file that holds its images."""

    name: str
    path: Path

    def images(self) -> list[ImageFile]:
        """Return its images in the order of their names; DataError where they cannot be listed."""
        return self.listed()[0]

    def listed(self) -> tuple[list[ImageFile], int]:
        """Return its images as `images` does, and how many files beside them are litter."""
        try:
            found, litter = _in_folder(self.path) if self.path.is_dir() else _in_tar(self.path)
            return sorted(found, key=lambda image: image.name), litter
        except (OSError, EOFError, ZlibError, tarfile.TarError, ValueError) as error:
            raise DataError(f"{self.path} cannot be read ({error}): repair it or take it away") from error


@dataclass(frozen=True)
class ImageListing:
    """The classes below a folder, in the order of their names, and how many image files each has.

    litter: how many files and folders beside them are hidden or left by desktops.
    """

    root: Path
    places: tuple[ClassPlace, ...]
    counts: tuple[int, ...]
    litter: int = field(default=0, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names."""
        return tuple(place.name for place in self.places)


def find_classes(root: Path, progress: Progress = lambda done, total: None) -> ImageListing:
    """Return the classes below a folder with the number of files of each; no image is opened.

    Raises DataError where it is no folder, or holds fewer than two classes.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: {_HOW}")
    places, litter = _places(root)
    if len(places) < 2:
        found = f"only one class, {places[0].name}" if places else "no folders of images and no tar files"
        raise DataError(f"{root} holds {found}: {_HOW}")
    counts = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for place, (images, beside) in zip(places, pool.map(ClassPlace.listed, places), strict=True):
            litter += beside
            if not images and place.path.is_dir() and any(each.is_dir() for each in place.path.iterdir()):
                raise DataError(f"{place.path} holds folders of its own: {_HOW}")
            counts.append(len(images))
            progress(len(counts), len(places))
    if not any(counts):
        raise DataError(f"{root} holds no files: {_HOW}")
    return ImageListing(root.resolve(), tuple(places), tuple(counts), litter)


def _places(root: Path) -> tuple[list[ClassPlace], int]:
    """Return every folder, or else tar file, as a class, and how much litter lies beside them."""
    found: dict[str, Path] = {}
    litter = 0
    for each in sorted(root.iterdir()):
        tar = _TAR.fullmatch(each.name)
        if is_litter(each.name):
            litter += 1
        elif each.is_dir():
            found[each.name] = each.resolve()
        elif tar:
            found.setdefault(tar[1], each.resolve())
    return [ClassPlace(name, path) for name, path in sorted(found.items())], litter


def _in_folder(folder: Path) -> tuple[list[ImageFile], int]:
    """Return the files of a folder, or of the one folder in it where it has none, and how much litter."""
    entries, litter = _visible(folder)
    if len(entries) == 1 and entries[0].is_dir():
        entries, inner = _visible(Path(entries[0].path))
        litter += inner
    files = [entry for entry in entries if entry.is_file()]
    if any(entry.name.lower().endswith((".jpeg", ".jpg", ".png")) for entry in files):
        files = [entry for entry in files if not entry.name.lower().endswith((".txt", ".xml", ".csv"))]
    return [ImageFile(entry.name, Path(entry.path)) for entry in files], litter


def _visible(folder: Path) -> tuple[list["os.DirEntry[str]"], int]:
    with os.scandir(folder) as entries:
        every = list(entries)
    visible = [entry for entry in every if not is_litter(entry.name)]
    return visible, len(every) - len(visible)


def _in_tar(path: Path) -> tuple[list[ImageFile], int]:
    """Return the images of a tar file, which may be compressed by gzip, and how much litter."""
    packed = path.name.lower().endswith(_PACKED)
    length = None if packed else path.stat().st_size
    images, litter = [], 0
    with tarfile.open(path, "r:gz" if packed else "r:") as archive:
        for member in archive:
            if not member.isfile():
                continue
            if is_litter(member.name):
                litter += 1
                continue
            if length is not None and member.offset_data + member.size > length:
                raise ValueError("it ends in the middle of an image")
            images.append(
                ImageFile(PurePosixPath(member.name).name, path, member.offset_data, member.size, packed)
            )
    return images, litter


class _Unpacked:
    """The two compressed tar files read from last, unpacked by gzip into files that have no name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[tuple[Path, int, int], IO[bytes]] = {}

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Return some bytes; raises what gzip does, and OSError where the disk is full."""
        status = path.stat()
        key = path, status.st_size, status.st_mtime_ns
        with self._lock:
            if key not in self._files:
                file = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it is forgotten)
                with gzip.open(path) as packed:
                    shutil.copyfileobj(packed, file, 2**20)
                for old in [*self._files][:-1]:
                    self._files.pop(old).close()
                self._files[key] = file
            self._files[key].seek(offset)
            return self._files[key].read(size)


_unpacked = _Unpacked()
