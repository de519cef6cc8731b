"""ImageNet on the disk: where its images lie, listed once and read in place; and its features, to learn from.

Not here: computing features (embedding.py), and the classes' splits (splits/folders.py).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.config import EmbeddedData, ImageRun, training_run
from experiments.data.class_folders import ClassPlace, ImageListing, Progress, find_classes
from experiments.data.storage import DataSummary, writing_to
from experiments.errors import DataError, InertOption
from experiments.features.index import FeatureIndex, features_folder, read_feature_index, write_json

if TYPE_CHECKING:
    from experiments.features.table import FeatureTable

LISTING = "listing.json"


def imagenet_folder(data_dir: Path) -> Path:
    """Return where the listing of ImageNet lies; the images stay where they are."""
    return data_dir / "imagenet"


def is_listed(data_dir: Path) -> bool:
    """Say whether ImageNet's images were listed, without reading any."""
    return (imagenet_folder(data_dir) / LISTING).is_file()


def require_listed(data_dir: Path) -> None:
    """Raise DataError saying what to type where ImageNet is not listed."""
    if not is_listed(data_dir):
        raise DataError("ImageNet is not imported: run `fsrun data import imagenet PATH`")


def import_imagenet(
    source: Path, data_dir: Path, *, progress: Progress = lambda done, total: None, replace: bool = False
) -> DataSummary:
    """List the classes below a folder, and how many images each has; the images are read in place later.

    summary.written is false where the same was listed before. Raises DataError where there are no classes.
    """
    found = find_classes(source, progress)
    if is_listed(data_dir) and not replace and _lists_the_same(data_dir, found):
        return _summary(data_dir, read_listing(data_dir))
    folder = imagenet_folder(data_dir)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / LISTING, _as_json(found))
    return _summary(data_dir, found, written=True)


def verify_imagenet(data_dir: Path) -> DataSummary:
    """List the images again and compare; DataError where classes or images are not what was imported."""
    known = read_listing(data_dir)
    now = find_classes(known.root)
    if now != known:
        before, after = (dict(zip(each.names, each.counts, strict=True)) for each in (known, now))
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        raise DataError(
            f"{known.root} has changed in {len(changed):,} classes, {changed[0]} the first: import it again"
        )
    return _summary(data_dir, known)


def read_listing(data_dir: Path) -> ImageListing:
    """Return what was imported; DataError where nothing was, or it is damaged."""
    require_listed(data_dir)
    path = imagenet_folder(data_dir) / LISTING
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        root, classes = Path(raw["root"]), raw["classes"]
        places = tuple(ClassPlace(name, Path(place)) for name, place, _ in classes)
        counts = tuple(int(count) for *_, count in classes)
        return ImageListing(root, places, counts, int(raw.get("litter", 0)))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path} is damaged: import ImageNet again") from error


def open_imagenet_features(data_dir: Path, data: EmbeddedData) -> "FeatureTable":
    """Open the features a run learns from and is measured on; DataError where they are not here."""
    from experiments.features.table import open_feature_table

    index = read_feature_index(data_dir, data.features)
    return open_feature_table(features_folder(data_dir, data.features), index, data.train_images)


def require_features(config: ImageRun, data: EmbeddedData, data_dir: Path) -> None:
    """Raise DataError where a run asks for more classes or images than its features have."""
    index = read_feature_index(data_dir, data.features)
    asked = config.evaluation
    _require_classes(index, data, asked.split, {"n_way": asked.n_way})
    needed = asked.k_shot + asked.n_query
    small = sum(each.images < needed for each in index.classes_of(asked.split))
    if small:
        raise DataError(
            f"k_shot {asked.k_shot} + n_query {asked.n_query} is {needed} images a class, and {small:,} "
            f"{asked.split} classes of features {data.features!r} have fewer: lower one of them"
        )
    if training_run(config) is not None:
        return  # the run that trains is checked by itself
    if config.method.validate_every and len(index.classes_of("val")) < asked.n_way:
        raise DataError(
            f"features {data.features!r} have {len(index.classes_of('val'))} val classes, and validation "
            f"draws {asked.n_way} of them: use --set validate_every=0"
        )
    for split in config.splits_learned_from():
        _require_classes(index, data, split, config.method.classes_per_episode(asked.n_way))


def refuse_statistics(config: ImageRun, data: EmbeddedData, data_dir: Path) -> None:
    """Raise InertOption where statistics are asked for and the features pass no batch normalisation."""
    trained = getattr(config.method, "batch_norm", "running")
    for option, asked, usual in (
        ("evaluation.batch_norm", config.evaluation.batch_norm, None),
        ("batch_norm", trained, "running"),
    ):
        if asked != usual and read_feature_index(data_dir, data.features).tail is None:
            raise InertOption(
                f"{option}={asked} changes nothing on features {data.features!r}, which keep no layer of "
                "their backbone: leave it out"
            )


def _require_classes(index: FeatureIndex, data: EmbeddedData, split: str, needed: Mapping[str, int]) -> None:
    least = 1 if split in ("val", "test") else data.train_images
    here = sum(each.images >= least for each in index.classes_of(split))
    for option, count in (needed or {"1 class": 1}).items():
        if count > here:
            enough = f" with {least} images" if least > 1 else ""
            raise DataError(
                f"{option} {count:,} is more than the {here:,} {split} classes{enough} of features "
                f"{data.features!r}: lower it" + (", or train_images" if least > 1 else "")
            )


def _lists_the_same(data_dir: Path, found: ImageListing) -> bool:
    try:
        return read_listing(data_dir) == found
    except DataError:
        return False


def _as_json(found: ImageListing) -> dict[str, Any]:
    rows = zip(found.places, found.counts, strict=True)
    classes = [(place.name, str(place.path), count) for place, count in rows]
    return {"root": str(found.root), "classes": classes, "litter": found.litter}


def _summary(data_dir: Path, found: ImageListing, *, written: bool = False) -> DataSummary:
    path = imagenet_folder(data_dir) / LISTING
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    images = sum(found.counts)
    return DataSummary(
        "imagenet",
        found.root,
        len(found.places),
        images,
        path.stat().st_size,
        digest,
        written,
        litter=found.litter,
    )
