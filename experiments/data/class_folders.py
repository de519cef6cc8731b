"""Classes as folders or tar files of images, read where they lie: which there are, and each image's bytes.

Not here: decoding (decoding.py), and which classes are learned from (class_splits.py). Writes nothing.
"""

import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from experiments.errors import DataError

Progress = Callable[[int, int], None]  # (done, in all)

_MOST_BYTES = 100 * 2**20  # of one image file
_THREADS = 8
_HOW = "name a folder that holds one folder of images, or one tar file, for each class"


@dataclass(frozen=True)
class ImageFile:
    """An image: its name within its class, and which bytes of a file it is; offset None for all."""

    name: str
    path: Path
    offset: int | None = None
    size: int = 0

    def read(self) -> bytes:
        """Return the image's bytes; DataError where they cannot be read or are too many."""
        try:
            with self.path.open("rb") as file:
                if self.offset is not None:
                    file.seek(self.offset)
                    data = file.read(self.size)
                else:
                    data = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise DataError(f"{self.name} cannot be opened ({error.strerror})") from error
        if len(data) > _MOST_BYTES:
            raise DataError(f"{self.name} is larger than {_MOST_BYTES // 2**20} MB")
        return data


@dataclass(frozen=True)
class ClassPlace:
    """A class: its name, and the folder or tar file that holds its images."""

    name: str
    path: Path

    def images(self) -> list[ImageFile]:
        """Return its images in the order of their names; DataError where they cannot be listed."""
        try:
            found = _in_tar(self.path) if self.path.suffix == ".tar" else _in_folder(self.path)
            return sorted(found, key=lambda image: image.name)
        except (OSError, tarfile.TarError, ValueError) as error:
            raise DataError(f"{self.path} cannot be read ({error}): repair it or take it away") from error


@dataclass(frozen=True)
class ImageListing:
    """The classes below a folder, in the order of their names, and how many image files each has."""

    root: Path
    places: tuple[ClassPlace, ...]
    counts: tuple[int, ...]

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
    places = _places(root)
    if len(places) < 2:
        found = f"only one class, {places[0].name}" if places else "no folders of images and no tar files"
        raise DataError(f"{root} holds {found}: {_HOW}")
    counts = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for place, images in zip(places, pool.map(ClassPlace.images, places), strict=True):
            if not images and place.path.is_dir() and any(each.is_dir() for each in place.path.iterdir()):
                raise DataError(f"{place.path} holds folders of its own: {_HOW}")
            counts.append(len(images))
            progress(len(counts), len(places))
    if not any(counts):
        raise DataError(f"{root} holds no files: {_HOW}")
    return ImageListing(root.resolve(), tuple(places), tuple(counts))


def _places(root: Path) -> list[ClassPlace]:
    """Return every folder and tar file in a folder as a class; the folder wins where both are there."""
    found: dict[str, Path] = {}
    for each in sorted(root.iterdir()):
        if each.name.startswith("."):
            continue
        if each.is_dir():
            found[each.name] = each.resolve()
        elif each.suffix == ".tar":
            found.setdefault(each.stem, each.resolve())
    return [ClassPlace(name, path) for name, path in sorted(found.items())]


def _in_folder(folder: Path) -> Iterator[ImageFile]:
    """Yield the files of a folder, or of the one folder in it where it has none itself."""
    entries = _visible(folder)
    if len(entries) == 1 and entries[0].is_dir():
        entries = _visible(Path(entries[0].path))
    files = [entry for entry in entries if entry.is_file()]
    if any(entry.name.lower().endswith((".jpeg", ".jpg", ".png")) for entry in files):
        files = [entry for entry in files if not entry.name.lower().endswith((".txt", ".xml", ".csv"))]
    yield from (ImageFile(entry.name, Path(entry.path)) for entry in files)


def _visible(folder: Path) -> Sequence["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _in_tar(path: Path) -> Iterator[ImageFile]:
    length = path.stat().st_size
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if member.isfile() and not PurePosixPath(member.name).name.startswith("."):
                if member.offset_data + member.size > length:
                    raise ValueError("it ends in the middle of an image")
                yield ImageFile(PurePosixPath(member.name).name, path, member.offset_data, member.size)
