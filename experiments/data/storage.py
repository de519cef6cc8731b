"""How an image data set lies on the disk: a folder with images.npy and index.json, whole or not there.

Not here: what the images show, and opening them as tensors (images.py). Importing this needs no numpy.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.errors import DataError

if TYPE_CHECKING:
    import numpy as np

FORMAT_VERSION = 1
IMAGES = "images.npy"
INDEX = "index.json"


@dataclass(frozen=True)
class DataSummary:
    """What lies in a data set's folder.

    sha256 is of the file images.npy; written is false when the data set was there already. converted: what
    was done to how many images when they were decoded. litter: how many files of desktops lay beside them.
    """

    dataset: str
    path: Path
    classes: int
    images: int
    bytes: int
    sha256: str
    written: bool = False
    converted: Mapping[str, int] = field(default_factory=dict)
    litter: int = 0


def is_stored(folder: Path) -> bool:
    """Say whether the folder holds a data set; reads no image."""
    return (folder / IMAGES).is_file() and (folder / INDEX).is_file()


def write_dataset(folder: Path, images: "np.ndarray[Any, Any]", classes: Sequence[str]) -> DataSummary:
    """Write uint8 images (classes, drawers, height, width) as a data set, replacing one that is there.

    Everything is written and synced beside the folder first and then renamed: at no moment is there half a
    data set under the folder's name. Raises DataError when the disk refuses.
    """
    with fresh_folder(folder) as fresh:
        _write_images(fresh, images)
        write_index(fresh, classes=list(classes), drawers=images.shape[1])
    return read_summary(folder, written=True)


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of a data set's when the block ends.

    If the block fails it is removed, and what was there stays. Raises DataError when the disk refuses.
    """
    with writing_to(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield fresh
            _put_in_place(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def removed(folder: Path) -> None:
    """Remove a data set's folder; its index goes first, so that half of it is never taken for whole."""
    with writing_to(folder):
        (folder / INDEX).unlink(missing_ok=True)
        shutil.rmtree(folder)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn what the disk says while something is written to a folder into one DataError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{folder} cannot be written ({reason}): free space or use another folder") from error


def write_index(folder: Path, **facts: Any) -> None:
    """Write the index beside finished images: their checksum, and facts of which `classes` is one."""
    index = {"format_version": FORMAT_VERSION, "sha256": _sha256(folder / IMAGES)} | facts
    with (folder / INDEX).open("w", encoding="utf-8") as file:
        json.dump(index, file, indent=1)
        file.flush()
        _sync(file.fileno())


def read_index(folder: Path) -> dict[str, Any]:
    """Return a data set's index; DataError if it is damaged or of another format."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        version = index["format_version"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{folder / INDEX} is damaged or missing: import the data set again") from error
    if version != FORMAT_VERSION:
        raise DataError(f"{folder} has format {version}, not {FORMAT_VERSION}: import the data set again")
    return index


def read_summary(folder: Path, *, written: bool = False) -> DataSummary:
    """Return what the index says, without reading the images; DataError if it is damaged or newer."""
    index = read_index(folder)
    try:
        n_classes, sha256 = len(index["classes"]), str(index["sha256"])
        n_images = int(index.get("images", n_classes * index["drawers"]))
        converted = {str(how): int(count) for how, count in index.get("converted", {}).items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / INDEX} is damaged or missing: import the data set again") from error
    n_bytes = (folder / IMAGES).stat().st_size if is_stored(folder) else 0
    return DataSummary(folder.name, folder, n_classes, n_images, n_bytes, sha256, written, converted)


def verify_dataset(folder: Path) -> DataSummary:
    """Read every byte of the images and compare their checksum with the index; DataError if they differ."""
    summary = read_summary(folder)
    if not is_stored(folder) or _sha256(folder / IMAGES) != summary.sha256:
        raise DataError(f"{folder / IMAGES} is damaged (its checksum is wrong): import the data set again")
    return summary


def _write_images(folder: Path, images: "np.ndarray[Any, Any]") -> None:
    import numpy as np  # a look at whether data is there must not load numpy

    with (folder / IMAGES).open("wb") as file:
        np.save(file, images, allow_pickle=False)
        _sync(file.fileno())


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Rename fresh to folder; what was there before is put back if that fails, removed if not."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        folder.rename(old / folder.name)
        try:
            fresh.rename(folder)
        except OSError:
            (old / folder.name).rename(folder)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
