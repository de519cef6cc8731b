"""mini-ImageNet on the disk: what is here, import what there is of it, verify, open.

Where images are looked for and how a file of them is written is in miniimagenet_files.py.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.data.miniimagenet_files import (
    NAMES,
    Names,
    Progress,
    Stored,
    alone,
    open_source,
    write_images,
)
from experiments.data.storage import IMAGES, DataSummary, is_stored, read_index, read_summary, verify_dataset
from experiments.errors import DataError
from experiments.splits.miniimagenet import (
    CHANNELS,
    IMAGES_PER_CLASS,
    PARTS,
    SIZE,
    all_classes,
    listed,
    miniimagenet_splits,
    part_of,
)

if TYPE_CHECKING:
    from experiments.data.images import ImageTable


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


@dataclass(frozen=True)
class Duplicate:
    """Two images that are equal pixel for pixel, each as list/class/name."""

    one: str
    other: str

    @property
    def across_parts(self) -> bool:
        """Whether the two are in different lists, so that one may be learned from and the other tested."""
        return self.one.partition("/")[0] != self.other.partition("/")[0]


def import_miniimagenet(
    source: Path, data_dir: Path, *, progress: Progress = lambda done, total: None, replace: bool = False
) -> DataSummary:
    """Decode the images of a folder or zip into one file, uint8 (100, 600, 3, 84, 84), holes where some lack.

    What an earlier import has is kept, and only what is new is decoded, unless replace. The file takes
    the earlier one's place when it is whole; summary.written is false where nothing new was found.

    Raises DataError when the source holds nothing of mini-ImageNet, or is damaged or hostile, when an image
    cannot be read, or the disk has no room.
    """
    with open_source(source) as found:
        kept = None if replace else _good_import(data_dir)
        if kept is not None and found.files.keys() <= kept.here():
            return replaced(read_summary(miniimagenet_folder(data_dir)), litter=found.litter)
        names = _merged(kept.names if kept else {}, found.names)
        with alone(data_dir):
            summary = write_images(miniimagenet_folder(data_dir), names, found.files, kept, progress)
        return replaced(summary, litter=found.litter)


def _merged(kept: Mapping[str, tuple[str, ...]], found: Mapping[str, tuple[str, ...]]) -> Names:
    """Return all images of each class in order; DataError where they are more than there can be."""
    names = {}
    for name in all_classes():
        old, new = kept.get(name, ()), found.get(name, ())
        names[name] = new if set(old) <= set(new) else tuple(sorted({*old, *new}))
        if len(names[name]) > IMAGES_PER_CLASS:
            remedy = "import these alone with --replace" if old else "take the others away"
            raise DataError(
                f"class {name} would have {len(names[name]):,} images, and mini-ImageNet has "
                f"{IMAGES_PER_CLASS} of each: {remedy}"
            )
    return names


def _good_import(data_dir: Path) -> Stored | None:
    """Return what an import that passes its check holds, None if there is none or it is damaged."""
    try:
        verify_dataset(miniimagenet_folder(data_dir))
        return read_stored(data_dir)
    except DataError:
        return None


def verify_miniimagenet(data_dir: Path) -> DataSummary:
    """Check the imported images against their checksum; DataError if they differ."""
    read_stored(data_dir)
    return verify_dataset(miniimagenet_folder(data_dir))


def duplicates(data_dir: Path) -> tuple[Duplicate, ...]:
    """Return the pairs of equal images, in the order of the classes; the published set has eight."""
    from experiments.data.images import open_images  # torch

    stored = read_stored(data_dir)
    images = open_images(miniimagenet_folder(data_dir) / IMAGES).numpy()
    seen: defaultdict[bytes, list[str]] = defaultdict(list)
    for number, name in enumerate(all_classes()):
        for place in stored.places[name]:
            digest = hashlib.blake2b(images[number, place].tobytes(), digest_size=16).digest()
            seen[digest].append(f"{part_of(name)}/{name}/{stored.names[name][place]}")
    return tuple(Duplicate(same[0], other) for same in seen.values() for other in same[1:])


def open_miniimagenet(data_dir: Path, protocol: str, *, holdout: bool = True) -> "ImageTable":
    """Open the memory-mapped images with the splits of a protocol.

    Of each split as many images a class are used as the class with fewest has. Raises ConfigError for an
    unknown protocol, DataError when mini-ImageNet is not imported or a class has no images yet.
    """
    import torch

    from experiments.data.images import ImageTable, open_images, split_classes

    splits = miniimagenet_splits(protocol, holdout=holdout)
    stored = read_stored(data_dir)
    folder = miniimagenet_folder(data_dir)
    images = open_images(folder / IMAGES)
    if (len(images), *images.shape[2:]) != (len(all_classes()), CHANNELS, SIZE, SIZE):
        raise DataError(f"{folder} has images of shape {tuple(images.shape)}: import it again")
    number = {name: place for place, name in enumerate(all_classes())}
    rows, places = {}, {}
    for split, classes in splits.items():
        _refuse_empty(split, classes, stored)
        fewest = stored.fewest(classes)
        rows[split] = split_classes([number[name] for name in classes], rotations=False)
        places[split] = torch.tensor([stored.places[name][:fewest] for name in classes])
    return ImageTable(images, rows, places)


def _refuse_empty(split: str, classes: tuple[str, ...], stored: Stored) -> None:
    empty = [name for name in classes if not stored.places[name]]
    if empty:
        raise DataError(
            f"mini-ImageNet has no images yet of {len(empty)} of the {len(classes)} {split} classes, "
            f"{empty[0]} the first: run `fsrun data import miniimagenet PATH` with them too"
        )
