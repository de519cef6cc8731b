"""Features drawn at random, as many as ImageNet has classes: to see what time and memory its size takes.

Not here: anything that could be called ImageNet. Drawn at the first use, and kept.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.config import DrawnData
from experiments.data.storage import fresh_folder
from experiments.features.index import (
    INDEX,
    FeatureClass,
    FeatureIndex,
    features_folder,
    read_feature_index,
    write_feature_index,
)
from experiments.features.table import FeatureTable, open_feature_table
from experiments.rng import generator
from experiments.splits.folders import shares

CLASSES_PER_SHARD = 1024
# Of class means; an image adds as many numbers of standard deviation 1. The spectrum falls, as that of real
# features does, so that some directions tell classes apart and most do not.
_SPREAD, _FALL = 3.0, 0.5


def open_drawn(data_dir: Path, data: DrawnData) -> FeatureTable:
    """Return drawn features, drawn first where they are not there; DataError where the disk is full."""
    digest = hashlib.blake2b(json.dumps(data.naming(), sort_keys=True).encode(), digest_size=4).hexdigest()
    name = f"drawn-{digest}"
    folder = features_folder(data_dir, name)
    if not (folder / INDEX).is_file():
        with fresh_folder(folder) as fresh:
            write_feature_index(fresh, _draw(data, fresh))
    return open_feature_table(folder, read_feature_index(data_dir, name), data.train_images)


def _draw(data: DrawnData, folder: Path) -> FeatureIndex:
    shards = []
    for start in range(0, data.classes, CLASSES_PER_SHARD):
        count = min(CLASSES_PER_SHARD, data.classes - start)
        file = f"shard-{start // CLASSES_PER_SHARD:05}.npy"
        features = class_features(data, start, count).flatten(0, 1)
        np.save(folder / file, features.to(torch.float16).numpy(), allow_pickle=False)
        shards.append((file, len(features)))
    return FeatureIndex(
        source="drawn at random",
        backbone="none",
        seen="nothing",
        dimension=data.dimension,
        shards=tuple(shards),
        classes=tuple(
            FeatureClass(f"{number}", split, number * data.images, data.images)
            for number, split in enumerate(_splits(data.classes))
        ),
        drawn=True,
    )


def _splits(classes: int) -> list[str]:
    sizes = shares(classes)
    return [split for split in ("base", "meta", "val", "test") for _ in range(sizes[split])]


def class_features(data: DrawnData, first: int, count: int) -> Tensor:
    """Return the features (count, images, d) of some classes: means that fall off by direction, and noise."""
    source = generator("drawn", data.seed, first)
    scale = _SPREAD * (1 + torch.arange(data.dimension)) ** -_FALL
    means = scale * torch.randn(count, 1, data.dimension, generator=source)
    return means + torch.randn(count, data.images, data.dimension, generator=source)
