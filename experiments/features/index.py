"""What a folder of features holds: its shards, the classes with their splits, and what was left out and why.

Not here: the features (features.py), and computing them (embedding.py). Needs neither torch nor numpy.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.errors import DataError

FORMAT_VERSION = 1
INDEX, PLAN, TAIL = "index.json", "plan.json", "tail.pt"
ALL = "all"  # in the place of a part: the whole backbone is kept, and its inputs, which are images
FEWEST = 2  # readable images of a class: one to learn from and one to ask about


@dataclass(frozen=True)
class FeatureClass:
    """A class: its split, and the rows of its images, counted over all shards one after the other."""

    name: str
    split: str
    first: int
    images: int


@dataclass(frozen=True)
class KeptPart:
    """Where inputs of a backbone's last block are kept instead of features: their shape, and of which block.

    architecture is what models/architectures.py calls the backbone; the block's weights lie beside the index.
    """

    part: str
    architecture: str
    shape: tuple[int, ...]

    @property
    def whose(self) -> str:
        """What sees these inputs, as a sentence says it."""
        return "the whole backbone" if self.part == ALL else self.part


@dataclass(frozen=True)
class FeatureIndex:
    """Everything but the numbers: `shards` are file names with their rows, in order.

    drawn: the features are random numbers and show nothing. seen: what the backbone was trained on, in words;
    seen_here: how many of the classes are among it; seen_given: a user has listed what was seen.
    left_out: classes with too few readable images, or in no split. skipped: reason -> images that were not
    read; converted: what was done to images that were. trouble: the first of the skipped, image and reason.
    """

    source: str
    backbone: str
    seen: str
    dimension: int
    shards: tuple[tuple[str, int], ...]
    classes: tuple[FeatureClass, ...]
    drawn: bool = False
    seen_certain: bool = True  # whether the backbone was trained on nothing else
    seen_given: bool = False
    seen_here: int = 0
    left_out: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    converted: Mapping[str, int] = field(default_factory=dict)
    trouble: tuple[tuple[str, str], ...] = ()
    tail: KeptPart | None = None
    decoder: int = 1  # of the images; decoding.DECODER when they were embedded
    litter: int = 0  # files and folders beside the images that are hidden or left by desktops
    repaired: int = 0  # how many times images were added that could not be read before

    @property
    def kept(self) -> tuple[int, ...]:
        """The shape of what is kept of an image."""
        return self.tail.shape if self.tail else (self.dimension,)

    @property
    def images(self) -> int:
        """How many images there are features of."""
        return sum(rows for _, rows in self.shards)

    @property
    def bytes(self) -> int:
        """How many bytes the features take, two a number."""
        return 2 * self.images * math.prod(self.kept)

    def classes_of(self, split: str) -> tuple[FeatureClass, ...]:
        """Return the classes of a split; `train` are those of meta."""
        wanted = "meta" if split == "train" else split
        return tuple(each for each in self.classes if each.split == wanted)

    def counts(self) -> dict[str, int]:
        """Return how many classes each split has."""
        return {split: len(self.classes_of(split)) for split in ("base", "meta", "val", "test")}


def features_folder(data_dir: Path, name: str) -> Path:
    """Return where the features of this name lie."""
    return data_dir / "features" / name


def write_feature_index(folder: Path, index: FeatureIndex) -> None:
    """Write the index, whole or not at all; the features are there as soon as it is."""
    write_json(folder / INDEX, {"format_version": FORMAT_VERSION} | asdict(index))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read_feature_index(data_dir: Path, name: str) -> FeatureIndex:
    """Return the index of the features of a name; DataError where there are none, or it is damaged."""
    folder = features_folder(data_dir, name)
    if not (folder / INDEX).is_file():
        begun = (folder / PLAN).is_file()
        what = "are not complete: go on with" if begun else "are not here: run"
        raise DataError(f"features {name!r} {what} `fsrun data embed SOURCE --backbone NAME --name {name}`")
    try:
        raw = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if raw.pop("format_version") != FORMAT_VERSION:
            raise DataError(f"{folder} has another format than {FORMAT_VERSION}: embed the images again")
        if "seen_given" not in raw:  # written before this was kept
            raw["seen_given"] = not raw["seen"].startswith(("imagenet-", "mini-ImageNet"))
            raw["seen_here"] = sum(each["split"] == "base" for each in raw["classes"])
        raw["shards"] = tuple((str(file), int(rows)) for file, rows in raw["shards"])
        raw["classes"] = tuple(FeatureClass(**each) for each in raw["classes"])
        raw["trouble"] = tuple((image, why) for image, why in raw["trouble"])
        if tail := raw.get("tail"):
            raw["tail"] = KeptPart(**tail | {"shape": tuple(tail["shape"])})
        return FeatureIndex(**raw | {"left_out": tuple(raw["left_out"])})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{folder / INDEX} is damaged: embed the images again") from error


def embedded_sets(data_dir: Path) -> list[str]:
    """Return the names of all features that are complete."""
    return sorted(path.parent.name for path in data_dir.glob(f"features/[!.]*/{INDEX}"))
