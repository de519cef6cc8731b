"""What an imported mini-ImageNet holds: which images of which classes are here, read without any pixel.

Not here: the import (miniimagenet.py), and the classes of each protocol (miniimagenet_splits.py).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from experiments.data.miniimagenet_splits import (
    IMAGES_PER_CLASS,
    PARTS,
    all_classes,
    listed,
    miniimagenet_splits,
)
from experiments.data.storage import is_stored, read_index
from experiments.errors import DataError

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


@dataclass(frozen=True)
class PartCount:
    """How much of one of Ravi & Larochelle's lists is here."""

    part: str
    images: int
    expected: int


def miniimagenet_folder(data_dir: Path) -> Path:
    """Return where an imported mini-ImageNet lies."""
    return data_dir / "miniimagenet"


def is_imported(data_dir: Path) -> bool:
    """Say whether mini-ImageNet, or a part of it, is there, without reading an image."""
    return is_stored(miniimagenet_folder(data_dir))


def require_imported(data_dir: Path) -> None:
    """Raise DataError saying what to type where mini-ImageNet is not there."""
    if not is_imported(data_dir):
        raise DataError("mini-ImageNet is not imported: run `fsrun data import miniimagenet PATH`")


def read_stored(data_dir: Path) -> Stored:
    """Return what is here; DataError where nothing is, or where it is damaged."""
    require_imported(data_dir)
    folder = miniimagenet_folder(data_dir)
    index = read_index(folder)
    try:
        names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
        places = {
            name: tuple(place for start, end in index["present"][name] for place in range(start, end))
            for name in all_classes()
        }
        return Stored({name: tuple(names[name]) for name in all_classes()}, places)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{folder / NAMES} is damaged or missing: import the data set again") from error


def counts(data_dir: Path) -> tuple[PartCount, ...]:
    """Return how much of each list is here."""
    places = read_stored(data_dir).places
    return tuple(
        PartCount(part, sum(len(places[name]) for name in listed(part)), len(listed(part)) * IMAGES_PER_CLASS)
        for part in PARTS
    )


def images_of_each_class(data_dir: Path, protocol: str, *, holdout: bool) -> dict[str, int]:
    """Return for each split of a protocol the number of images that each of its classes has at least."""
    stored = read_stored(data_dir)
    splits = miniimagenet_splits(protocol, holdout=holdout)
    return {split: stored.fewest(classes) for split, classes in splits.items()}
