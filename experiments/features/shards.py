"""The plan of an embedding: which images make which shard, which shards are done, and who works on which.

Not here: computing features (embedding.py), and reading them (features.py).
"""

import hashlib
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.class_folders import ClassPlace, ImageFile, ImageListing
from experiments.data.decoding import DECODER
from experiments.data.storage import writing_to
from experiments.errors import DataError
from experiments.features.backbone_weights import save_weights
from experiments.features.backbones import Backbone
from experiments.features.decoding_ahead import decode
from experiments.features.index import (
    FEWEST,
    INDEX,
    PLAN,
    TAIL,
    FeatureClass,
    FeatureIndex,
    KeptPart,
    features_folder,
    write_feature_index,
    write_json,
)
from experiments.machine import locked

SHARD_IMAGES = 4096  # a shard ends with the class that reaches as many,
SHARD_NUMBERS = 2**27  # or as many numbers
_BYTES = 2  # of a number in float16
_REPAIRED = "repaired"  # of the plan: how many times images were added that could not be read before
_TROUBLE_KEPT = 1000  # skipped images that are named


@dataclass(frozen=True)
class Shard:
    """Whole classes that follow each other, at most per_class images of each."""

    number: int
    places: tuple[ClassPlace, ...]
    counts: tuple[int, ...]  # files of each class, as they were listed
    per_class: int | None

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"shard-{self.number:05}"

    @property
    def size(self) -> int:
        """How many images it has, readable or not."""
        return sum(min(count, self.per_class or count) for count in self.counts)

    def images(self) -> list[list[ImageFile]]:
        """Return the images of each class; DataError where a class has others than were listed."""
        found = []
        for place, count in zip(self.places, self.counts, strict=True):
            images = place.images()
            if len(images) != count:
                raise DataError(
                    f"{place.path} had {count:,} images when it was listed and has {len(images):,} now: "
                    "import or embed it again under another name"
                )
            found.append(_some(images, self.per_class))
        return found


def _some(images: list[ImageFile], most: int | None) -> list[ImageFile]:
    """Return at most so many images, always the same ones, in the order of their names."""
    if most is None or len(images) <= most:
        return images
    chosen = sorted(images, key=lambda image: hashlib.sha256(os.fsencode(image.name)).digest())[:most]
    return sorted(chosen, key=lambda image: image.name)


@dataclass(frozen=True)
class ShardResult:
    """Features float16 (readable, d), class by class; counts of each; what was skipped, and why."""

    counts: tuple[int, ...]
    skipped: tuple[tuple[str, str], ...]
    converted: Mapping[str, int]
    features: "np.ndarray[Any, np.dtype[np.float16]]"


@dataclass(frozen=True)
class Embedding:
    """One backbone over one listing of images, kept under a name; many may carry it out."""

    data_dir: Path
    name: str
    listing: ImageListing
    splits: Mapping[str, str]  # of classes; a class in none is left out
    backbone: Backbone
    per_class: int | None = None
    precision: str = "float32"

    @property
    def folder(self) -> Path:
        """Where the features lie."""
        return features_folder(self.data_dir, self.name)

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """All shards, whole classes each."""
        most = min(SHARD_IMAGES, max(SHARD_NUMBERS // math.prod(self.backbone.kept), 1))
        shards: list[Shard] = []
        places: list[ClassPlace] = []
        counts: list[int] = []
        for place, count in zip(self.listing.places, self.listing.counts, strict=True):
            if place.name in self.splits:
                places.append(place)
                counts.append(count)
            if sum(min(each, self.per_class or each) for each in counts) >= most:
                shards.append(Shard(len(shards), tuple(places), tuple(counts), self.per_class))
                places, counts = [], []
        if places:
            shards.append(Shard(len(shards), tuple(places), tuple(counts), self.per_class))
        return tuple(shards)

    @cached_property
    def total(self) -> int:
        """How many images there are, readable or not."""
        return sum(shard.size for shard in self.shards)

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What tells this embedding from others."""
        rows = zip(self.listing.names, self.listing.counts, strict=True)
        return {
            "source": str(self.listing.root),
            "backbone": self.backbone.name,
            "weights": self.backbone.digest,
            "preprocessing": {**asdict(self.backbone.preprocessing)},
            "precision": self.precision,
            "per_class": self.per_class,
            "tail": self.backbone.tail.part if self.backbone.tail else None,
            "classes": [[name, count, self.splits.get(name)] for name, count in rows],
        }

    def begin(self) -> None:
        """Write the plan, or find it; DataError where the name is taken or the disk has no room."""
        self._require_the_same_plan()
        self._require_space()
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._require_the_same_plan()  # somebody may have begun since
            if not (self.folder / PLAN).is_file():
                if self.backbone.tail:
                    save_weights(self.backbone.tail.module, self.folder / TAIL)
                write_json(self.folder / PLAN, self.plan)
            self._take_back_repaired()

    def _take_back_repaired(self) -> None:
        """Have shards done again in which images can be read now that could not, and the index with them."""
        again = [shard for shard in self.shards if self._is_repaired(shard)]
        if again:
            plan = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
            write_json(self.folder / PLAN, plan | {_REPAIRED: plan.get(_REPAIRED, 0) + 1})
            (self.folder / INDEX).unlink(missing_ok=True)
        for shard in again:
            self._result(shard).unlink()

    def _is_repaired(self, shard: Shard) -> bool:
        if not self._result(shard).is_file():
            return False
        facts = json.loads(self._result(shard).read_text(encoding="utf-8"))
        skipped = {image for image, _ in facts["skipped"]}
        try:
            classes = shard.images() if skipped else [[] for _ in shard.places]
        except DataError:
            return False  # the images have gone or changed; what is whole stays
        return any(
            decode(image, self.backbone.preprocessing)[1].readable
            for place, images in zip(shard.places, classes, strict=True)
            for image in images
            if f"{place.name}/{image.name}" in skipped
        )

    def missing(self) -> list[Shard]:
        """Return the shards that nobody has finished yet."""
        return [shard for shard in self.shards if not self._result(shard).is_file()]

    @contextmanager
    def claimed(self, shard: Shard) -> Iterator[bool]:
        """Say whether the shard is this process's to do; the claim ends with the block or the process."""
        with ExitStack() as held:
            with writing_to(self.folder):
                is_ours = held.enter_context(locked(self.folder / f"{shard.name}.lock", wait=False))
            yield is_ours and not self._result(shard).is_file()

    def store(self, shard: Shard, result: ShardResult) -> None:
        """Keep a shard's features; DataError where the disk refuses."""
        path = self.folder / f"{shard.name}.npy"
        partial = path.with_suffix(".partial")
        with writing_to(self.folder):
            try:
                with partial.open("wb") as file:
                    np.save(file, result.features, allow_pickle=False)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
            facts = {
                "counts": result.counts,
                "skipped": result.skipped,
                "converted": dict(result.converted),
                "decoder": DECODER,
            }
            write_json(self._result(shard), facts)

    def finish(self) -> None:
        """Write the index of all shards, unless somebody else has."""
        with self._alone():
            if not (self.folder / INDEX).is_file():
                write_feature_index(self.folder, self._index())
            for left in self.folder.glob("shard-*.lock"):
                left.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the others of this embedding out of the folder's own files until the block ends."""
        with writing_to(self.folder), locked(self.folder / ".folder.lock"):
            yield

    def _index(self) -> FeatureIndex:
        classes: list[FeatureClass] = []
        shards: list[tuple[str, int]] = []
        skipped: list[tuple[str, str]] = []
        converted: Counter[str] = Counter()
        row, decoder = 0, DECODER
        for shard in self.shards:
            facts = json.loads(self._result(shard).read_text(encoding="utf-8"))
            for place, count in zip(shard.places, facts["counts"], strict=True):
                classes.append(FeatureClass(place.name, self.splits[place.name], row, count))
                row += count
            shards.append((f"{shard.name}.npy", sum(facts["counts"])))
            skipped += [(image, why) for image, why in facts["skipped"]]
            converted.update(facts["converted"])
            decoder = min(decoder, facts.get("decoder", 1))
        few = [each.name for each in classes if each.images < FEWEST]
        unlisted = [name for name in self.listing.names if name not in self.splits]
        return FeatureIndex(
            source=str(self.listing.root),
            backbone=f"{self.backbone.name}, weights {self.backbone.digest} from {self.backbone.origin}",
            seen=self.backbone.seen.words,
            seen_certain=self.backbone.seen.certain,
            seen_given=self.backbone.seen.given,
            seen_here=len(self.backbone.seen.among(self.listing.names)),
            dimension=self.backbone.dimension,
            shards=tuple(shards),
            classes=tuple(each for each in classes if each.images >= FEWEST),
            left_out=tuple(sorted([*few, *unlisted])),
            skipped=dict(Counter(why for _, why in skipped)),
            converted=dict(converted),
            trouble=tuple(skipped[:_TROUBLE_KEPT]),
            tail=self._kept_part(),
            decoder=decoder,
            litter=self.listing.litter,
            repaired=json.loads((self.folder / PLAN).read_text(encoding="utf-8")).get(_REPAIRED, 0),
        )

    def _kept_part(self) -> KeptPart | None:
        tail = self.backbone.tail
        return KeptPart(tail.part, self.backbone.architecture, tail.shape) if tail else None

    def _result(self, shard: Shard) -> Path:
        return self.folder / f"{shard.name}.json"

    def _require_the_same_plan(self) -> None:
        if not (self.folder / PLAN).is_file():
            return
        try:
            known = json.loads((self.folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.folder / PLAN} is damaged: use another --name") from error
        asked = json.loads(json.dumps(self.plan))
        differ = [name for name in asked if known.get(name) != asked[name]]
        if differ:
            was = f"{known.get('backbone')} over {known.get('source')}"
            raise DataError(
                f"features {self.name!r} were embedded otherwise ({was}; {', '.join(differ)} differ): "
                "add --name with another name"
            )

    def _require_space(self) -> None:
        images = sum(shard.size for shard in self.missing())
        needed = images * math.prod(self.backbone.kept) * _BYTES
        place = next(each for each in (self.data_dir, *self.data_dir.parents) if each.exists())
        free = shutil.disk_usage(place).free
        if needed > free:
            raise DataError(
                f"the features of {images:,} images take {needed / 1e9:.1f} GB and {place} has "
                f"{free / 1e9:.1f} GB free: free some, set FSRUN_HOME to another disk, or --images-per-class"
            )
