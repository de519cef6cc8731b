"""A user's own images on the disk: from class folders, a csv of file,label or code to one uint8 file.

Not here: features of images (features/), and how a run stores such data (config/own_data.py).
"""

import csv
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from experiments.config.features import FEATURE_NAME
from experiments.config.image_sets import BUILT_IN
from experiments.config.own_data import SHAPES, DataFacts
from experiments.data.class_folders import ImageFile, find_classes
from experiments.data.storage import (
    IMAGES,
    DataSummary,
    fresh_folder,
    is_stored,
    read_index,
    read_summary,
    verify_dataset,
    write_index,
)
from experiments.errors import DataError
from experiments.splits.folders import listed_splits

if TYPE_CHECKING:
    import numpy as np

    from experiments.data.images import ImageTable

GROUP = "fsrun.datasets"
"""The entry points by which a package offers data sets: functions of a path that yield (class, file)."""

PARTS = ("train", "base", "meta", "val", "test")  # what a list of splits may name
_TAKEN = (*BUILT_IN, "synthetic", "features", "table2", "ablations", "when", "equal-features", "curves")
_FEWEST = 2  # images of a class: one to learn from, one to ask about
Progress = Callable[[int, int], None]
Files = dict[str, list[ImageFile]]  # class -> its images, in order


@dataclass(frozen=True)
class Wanted:
    """How images are to be imported.

    each: images of every class; None is as many as the smallest class has. splits: a csv of class,split or a
    folder of train.txt, val.txt and test.txt; without, fractions of the classes in a seeded order.
    """

    image: Literal["grey", "colour"] = "grey"
    each: int | None = None
    splits: Path | None = None
    test: float = 0.25
    val: float = 0.1
    seed: int = 0

    def stored(self) -> dict[str, Any]:
        """Return the options as an import keeps them."""
        return asdict(self) | {"splits": str(self.splits.resolve()) if self.splits else None}


@dataclass
class _Skipped:
    """What was not taken, to be said in a line each."""

    unreadable: list[str] = field(default_factory=list)
    small: list[str] = field(default_factory=list)  # classes
    unlisted: list[str] = field(default_factory=list)  # classes in no split

    def lines(self, each: int) -> Iterator[str]:
        for found, (one, several) in (
            (self.unreadable, ("image that cannot be read", "images that cannot be read")),
            (self.small, (f"class of fewer than {each} images", f"classes of fewer than {each} images")),
            (self.unlisted, ("class in no split", "classes in no split")),
        ):
            if found:
                what = one if len(found) == 1 else several
                yield f"left out: {len(found):,} {what}, {found[0]} the first"


def check_name(name: str) -> None:
    """Raise DataError for a name that a data set of one's own cannot have."""
    if name in _TAKEN:
        raise DataError(f"fsrun has a data set or study {name} of its own: choose another name")
    if not re.match(FEATURE_NAME, name):
        raise DataError(f"{name!r} is no name for a data set: use letters, digits, dots, - and _")


def offered() -> dict[str, EntryPoint]:
    """Return the data sets that installed packages offer, by name; nothing is imported."""
    return {each.name: each for each in entry_points(group=GROUP)}


def own_names(data_dir: Path) -> list[str]:
    """Return the names of the own data sets of images that are here."""
    here = (path.parent for path in data_dir.glob("[!.]*/index.json"))
    return sorted(each.name for each in here if each.name not in BUILT_IN and "own" in _index(each))


def _index(folder: Path) -> dict[str, Any]:
    try:
        return read_index(folder)
    except DataError:
        return {}


def import_own(
    name: str,
    source: Path,
    data_dir: Path,
    wanted: Wanted,
    *,
    progress: Progress = lambda done, total: None,
    replace: bool = False,
) -> DataSummary:
    """Decode images into one file, uint8 (classes, each, [3,] height, width), with the split of each class.

    A good import from the same place with the same options is kept unless replace. Raises DataError where
    the source, a split or the name is no good, too few classes or images are left, or the disk refuses.
    """
    check_name(name)
    if (data_dir / "features" / name).is_dir():
        raise DataError(f"features {name!r} are here already: choose another name, or remove them first")
    folder = data_dir / name
    place = f"entry point {name}" if name in offered() else str(source.resolve())
    if is_stored(folder) and not replace:
        own = _index(folder).get("own", {})
        if own.get("source") != place:
            raise DataError(f"{name} is here already, from another place: use --replace or another name")
        if own.get("wanted") != wanted.stored():
            raise DataError(f"{name} is here already, with other options: use --replace or another name")
        return verify_dataset(folder)
    files = _files(name, source)
    left = _Skipped()
    splits = _splits(files, wanted, left)
    each = wanted.each or min(len(files[each]) for each in splits)
    if each < _FEWEST:
        least = min(splits, key=lambda name: len(files[name]))
        raise DataError(
            f"class {least} has {len(files[least])} image, and {_FEWEST} are needed: give it more, or leave "
            "smaller classes out by --per-class"
        )
    with fresh_folder(folder) as fresh:
        kept, converted = _write(
            fresh / IMAGES, {name: files[name] for name in splits}, each, wanted, left, progress
        )
        kept_splits = {name: splits[name] for name in kept}
        _require_splits(kept_splits)
        own = {"image": wanted.image, "source": place, "wanted": wanted.stored(), "splits": kept_splits}
        own["left_out"] = [*left.lines(each)]
        write_index(fresh, classes=kept, drawers=each, own=own, converted=converted)
    return read_summary(folder, written=True)


def remarks(folder: Path) -> list[str]:
    """Return what to say of an import: the classes of each split, and what was left out."""
    own = read_index(folder)["own"]
    counts = Counter(own["splits"].values())
    said = ", ".join(f"{name} {counts[name]:,}" for name in PARTS if counts[name])
    return [f"classes: {said}", *own["left_out"]]


def read_facts(data_dir: Path, name: str) -> DataFacts:
    """Return what a run stores of the data set; DataError where it is not here, or damaged."""
    folder = data_dir / name
    if not is_stored(folder):
        raise DataError(f"data set {name} is not here: run `fsrun data import {name} PATH`")
    index = read_index(folder)
    try:
        splits = index["own"]["splits"]
        text = json.dumps([index["sha256"], sorted(splits.items())])
        counts = Counter(splits.values())
        return DataFacts(
            image=index["own"]["image"],
            each=index["drawers"],
            **{part: counts[part] for part in PARTS[1:]},
            version=hashlib.sha256(text.encode()).hexdigest()[:12],
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{folder} is damaged: import {name} again with --replace") from error


def open_own(data_dir: Path, name: str) -> "ImageTable":
    """Open the memory-mapped images with their splits; train is base and meta together."""
    from experiments.data.images import ImageTable, open_images, split_classes

    index = read_index(data_dir / name)
    splits = index["own"]["splits"]
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(index["classes"]):
        rows[splits[each]].append(number)
    rows["train"] = sorted(rows["base"] + rows["meta"])
    found = {part: split_classes(rows[part], rotations=False) for part in PARTS if rows[part]}
    return ImageTable(open_images(data_dir / name / IMAGES), found)


def _files(name: str, source: Path) -> Files:
    """Return the images of each class: of folders, of a csv, or of code that a package offers."""
    if name in offered():
        found: defaultdict[str, list[ImageFile]] = defaultdict(list)
        for label, path in offered()[name].load()(source):
            found[str(label)].append(ImageFile(str(path), Path(path)))
        return dict(found)
    if source.suffix.lower() == ".csv":
        return _listed(source)
    listing = find_classes(source)
    return {place.name: place.images() for place in listing.places}


def _listed(path: Path) -> Files:
    """Return the images of a csv of file,label; files lie beside it unless their paths are whole."""
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as lines of file,label: name a csv file") from error
    labels: dict[Path, str] = {}
    missing = []
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[:2] == ["file", "label"]):
            continue
        if len(cells) != 2 or not all(cells):
            raise DataError(f"{path} line {number} is not file,label: write for example bird-1.png,bird")
        file, label = path.parent / cells[0], cells[1]
        if labels.setdefault(file, label) != label:
            raise DataError(
                f"{path} line {number}: {cells[0]} is of {labels[file]} and of {label}: choose one"
            )
        if not file.is_file():
            missing.append(cells[0])
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of {len(labels):,} files are not there, {missing[0]} the first: "
            "paths are counted from the csv's folder"
        )
    found: defaultdict[str, list[ImageFile]] = defaultdict(list)
    for file, label in labels.items():
        found[label].append(ImageFile(str(file), file))
    return dict(found)


def _splits(files: Files, wanted: Wanted, left: _Skipped) -> dict[str, str]:
    """Return the split of each class, in the order of the names, of classes with enough images."""
    enough = sorted(name for name, images in files.items() if len(images) >= (wanted.each or 1))
    left.small += sorted(files.keys() - enough)
    if wanted.splits is None:
        return _dealt(enough, wanted)
    listed = _of_lists(wanted.splits, sorted(files)) if wanted.splits.is_dir() else None
    listed = listed or listed_splits(wanted.splits, sorted(files), (), PARTS)
    left.unlisted += sorted(set(enough) - listed.keys())
    trained = _ordered([name for name in enough if listed.get(name) == "train"], wanted.seed)
    halves = {name: "base" if number % 2 else "meta" for number, name in enumerate(trained)}
    return {name: halves.get(name, listed[name]) for name in enough if name in listed}


def _of_lists(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the split of each class by train.txt, val.txt and test.txt, a class a line."""
    found: dict[str, str] = {}
    for part in PARTS:
        path = folder / f"{part}.txt"
        lines = path.read_text(encoding="utf-8-sig").split("\n") if path.is_file() else []
        for name in filter(None, map(str.strip, lines)):
            if name not in names:
                raise DataError(f"{path}: {name!r} is none of the {len(names):,} classes: take it away")
            if name in found:
                raise DataError(f"{path}: class {name!r} is in {found[name]}, too: list each class once")
            found[name] = part
    if not found:
        raise DataError(
            f"{folder} holds no train.txt, val.txt or test.txt: name a csv of class,split instead"
        )
    return found


def _dealt(names: Sequence[str], wanted: Wanted) -> dict[str, str]:
    """Return the splits by fractions; what is learned from is halved into base and meta."""
    if not (0 < wanted.test < 1 and 0 <= wanted.val < 1 and wanted.test + wanted.val < 1):
        raise DataError(
            f"--test {wanted.test} and --val {wanted.val} are not fractions that leave some to train"
        )
    order = _ordered(names, wanted.seed)
    test = max(2, round(len(order) * wanted.test))
    val = test + round(len(order) * wanted.val)
    dealt = {
        name: "test" if number < test else "val" if number < val else ("meta", "base")[number % 2]
        for number, name in enumerate(order)
    }
    return {name: dealt[name] for name in names}


def _ordered(names: Collection[str], seed: int) -> list[str]:
    return sorted(
        names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()
    )


def _require_splits(splits: Mapping[str, str]) -> None:
    counts = Counter(splits.values())
    learned = counts["base"] + counts["meta"]
    if counts["test"] < 2 or not learned:
        raise DataError(
            f"{learned} classes are left to learn from and {counts['test']} to test on: at least one and two "
            "are needed; import more classes, or lower --per-class"
        )


def _write(
    path: Path, files: Files, each: int, wanted: Wanted, left: _Skipped, progress: Progress
) -> tuple[list[str], Counter[str]]:
    """Write `each` readable images of every class; return the classes that have so many, and conversions."""
    channels, *size = SHAPES[wanted.image]
    shape = (each, *((channels,) if channels > 1 else ()), *size)
    kept: list[str] = []
    converted: Counter[str] = Counter()
    with path.open("wb") as file:
        start = _header(file, (len(files), *shape))
        for done, (name, images) in enumerate(files.items(), start=1):
            rows = _rows(images, each, wanted, left, converted)
            if len(rows) == each:
                kept.append(name)
                file.write(b"".join(row.tobytes() for row in rows))
            else:
                left.small.append(name)
            progress(done, len(files))
        file.seek(0)
        if _header(file, (len(kept), *shape)) != start:
            raise AssertionError("numpy keeps room in the header for every number of classes")
    return kept, converted


def _rows(
    images: Sequence[ImageFile], each: int, wanted: Wanted, left: _Skipped, converted: Counter[str]
) -> "list[np.ndarray[Any, Any]]":
    """Return the first readable images of a class as uint8."""
    import numpy as np

    from experiments.data.folder import picture_of

    rows: list[np.ndarray[Any, Any]] = []
    for image in images:
        if len(rows) == each:
            break
        try:
            picture = picture_of(image, SHAPES[wanted.image])
        except DataError:
            left.unreadable.append(image.name)
            continue
        converted.update(picture.how)
        pixels = (picture.pixels.numpy() * 255).round().astype(np.uint8)
        rows.append(pixels[0] if len(pixels) == 1 else pixels)
    return rows


def _header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    """Write the beginning of an array's file, and return its length."""
    import numpy as np

    facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, facts)
    return file.tell()
