"""Runs a backbone once over all images: shards of float16 features, which several processes may share.

Not here: decoding (decoding_ahead.py), and the plan of shards with their locks (shards.py).
"""

import ctypes
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from experiments.data.class_folders import ImageFile
from experiments.errors import DataError
from experiments.features.backbones import Backbone
from experiments.features.decoding_ahead import Batch, Outcome, Waiting, batches
from experiments.features.index import FeatureIndex, read_feature_index
from experiments.features.shards import Embedding, Shard, ShardResult
from experiments.machine import usable_cores

Precision = Literal["float32", "mixed"]
Features = np.ndarray[Any, np.dtype[np.float16]]
POLL_SECONDS = 1.0  # while other processes finish their shards
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _A_GIGABYTE = -1, -3, 10**9  # of mallopt
_STARVED = 0.1  # of the time the network waited for images: then decoding is what limits


@dataclass(frozen=True)
class Progress:
    """How far an embedding is: images done by everybody, of all; and what this process did and waited for."""

    done: int
    total: int
    own: int
    seconds: float
    waited: float

    @property
    def rate(self) -> float:
        """Images a second of this process."""
        return self.own / self.seconds if self.seconds else 0.0

    @property
    def limit(self) -> str:
        """What limits this process."""
        return "decoding" if self.waited > _STARVED * self.seconds else "the network"


Report = Callable[[Progress], None]


class Embedder:
    """Images to features: a backbone on a device, and threads that decode ahead of it."""

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device,
        *,
        batch: int = 64,
        precision: Precision = "float32",
        threads: int | None = None,
    ) -> None:
        self.backbone = backbone
        self.module = backbone.module.to(device)
        self.device = device
        self.batch = batch
        self.precision = precision
        self.threads = threads or usable_cores()
        self.waiting = Waiting()

    def features(self, pixels: "np.ndarray[Any, Any]") -> Features:
        """Return float16 (n, *kept) of uint8 (n, size, size, 3); DataError where float16 cannot hold them."""
        shown = self.backbone.preprocessing.normalised(torch.from_numpy(pixels), self.device)
        with torch.inference_mode(), self._autocast():
            features: Features = self.module(shown).to(torch.float16).cpu().numpy()
        if not np.isfinite(features).all():
            raise DataError(
                f"{self.backbone.name} gives features that float16 cannot hold: use another backbone"
            )
        return features

    def _autocast(self) -> Any:
        if self.precision == "float32":
            return nullcontext()
        dtype = torch.bfloat16 if self.device.type == "cpu" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype)

    def embedded(self, images: list[ImageFile]) -> Iterator[tuple[Batch, Features]]:
        """Yield the images batch by batch with the features of those that are readable."""
        with ThreadPoolExecutor(self.threads) as pool:
            for batch in batches(images, self.backbone.preprocessing, self.batch, pool, self.waiting):
                empty = np.empty((0, *self.backbone.kept), np.float16)
                yield batch, self.features(batch.pixels) if len(batch.pixels) else empty


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: half of a network's time went into page faults."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            library.mallopt(option, _A_GIGABYTE)


class _Tally:
    """Counts what is done, and tells whoever wants to know."""

    def __init__(self, embedding: Embedding, waiting: Waiting, report: Report) -> None:
        self.embedding = embedding
        self.waiting = waiting
        self.report = report
        self.began = time.perf_counter()
        self.own = 0
        self.others = self.elsewhere()

    def elsewhere(self) -> int:
        """Return how many images others have done, or this process in earlier calls."""
        left = sum(shard.size for shard in self.embedding.missing())
        return self.embedding.total - left

    def count(self, images: int) -> None:
        """Note images that this process has done."""
        self.own += images
        seconds = time.perf_counter() - self.began
        done = min(self.others + self.own, self.embedding.total)
        self.report(Progress(done, self.embedding.total, self.own, seconds, self.waiting.seconds))


def embed_images(
    embedding: Embedding, embedder: Embedder, report: Report = lambda progress: None
) -> FeatureIndex:
    """Compute what is missing of an embedding, beside whoever else does so, and return its index.

    It may be stopped at any moment: shards that are whole stay, and the next call goes on after them. Raises
    DataError where the name is taken, the disk has no room for what is missing, or a class has changed.
    """
    embedding.begin()
    keep_freed_memory()
    tally = _Tally(embedding, embedder.waiting, report)
    while missing := embedding.missing():
        done_here = [_embed_if_free(embedding, embedder, shard, tally) for shard in missing]
        tally.others = tally.elsewhere() - tally.own
        tally.count(0)
        if not any(done_here):
            time.sleep(POLL_SECONDS)  # others are at all that is left
    embedding.finish()
    return read_feature_index(embedding.data_dir, embedding.name)


def _embed_if_free(embedding: Embedding, embedder: Embedder, shard: Shard, tally: _Tally) -> bool:
    with embedding.claimed(shard) as mine:
        if mine:
            embedding.store(shard, _result(embedder, shard, tally))
    return mine


def _result(embedder: Embedder, shard: Shard, tally: _Tally) -> ShardResult:
    classes = shard.images()
    parts: list[Features] = [np.empty((0, *embedder.backbone.kept), np.float16)]
    outcomes: list[Outcome] = []
    for batch, features in embedder.embedded([image for images in classes for image in images]):
        parts.append(features)
        outcomes += batch.outcomes
        tally.count(len(batch.outcomes))
    following = iter(outcomes)
    by_class = [[(image, next(following)) for image in images] for images in classes]
    return ShardResult(
        counts=tuple(sum(each.readable for _, each in images) for images in by_class),
        skipped=tuple(
            (f"{place.name}/{image.name}", each.reason)
            for place, images in zip(shard.places, by_class, strict=True)
            for image, each in images
            if not each.readable
        ),
        converted=Counter(how for each in outcomes for how in each.how),
        features=np.concatenate(parts),
    )
