"""From a data set's config to its images and episodes.

Not here: how a data set is imported or drawn (omniglot.py, miniimagenet.py, glyphs.py).
"""

from pathlib import Path

import torch

from experiments.config import (
    DrawnData,
    EpisodeEvaluation,
    GlyphsData,
    ImageData,
    ImageNetData,
    MiniImageNetData,
    OmniglotData,
)
from experiments.data.alphabets import AlphabetSampler
from experiments.data.drawn import open_drawn
from experiments.data.episodes import EpisodeSampler, Sampler
from experiments.data.features import FeatureTable, UnevenSampler
from experiments.data.glyphs import open_glyphs
from experiments.data.imagenet import open_imagenet_features
from experiments.data.images import ImageTable, split_classes
from experiments.data.miniimagenet import open_miniimagenet
from experiments.data.omniglot import open_omniglot
from experiments.data.protocols import TURNS
from experiments.data.table import Table
from experiments.errors import DataError

SPLITS = ("train", "base", "meta", "val", "test")


def open_examples(data: ImageData, data_dir: Path | None) -> Table:
    """Return the images or features of a data set, with its splits; DataError where they are not here."""
    if isinstance(data, ImageNetData):
        return open_imagenet_features(_required(data_dir), data)
    if isinstance(data, DrawnData):
        return open_drawn(_required(data_dir), data)
    return open_table(data, data_dir)


def _required(data_dir: Path | None) -> Path:
    if data_dir is None:
        raise DataError("a model of features cannot look at images by itself: use a run on images")
    return data_dir


def open_table(data: ImageData, data_dir: Path | None) -> ImageTable:
    """Return the images and splits of a data set; raises DataError where it is not imported.

    Without a data_dir the splits alone, and no images: enough for a method that classifies others.
    """
    if data_dir is None:
        return _splits_alone(data)
    if isinstance(data, OmniglotData):
        return open_omniglot(data_dir, data.protocol, holdout=data.holdout, rotations=data.rotations)
    if isinstance(data, MiniImageNetData):
        return open_miniimagenet(data_dir, data.protocol, holdout=data.holdout)
    if not isinstance(data, GlyphsData):
        raise DataError(f"{data.kind} holds features, and this method needs images: use another method")
    return open_glyphs(data_dir, data.alphabets, data.characters, seed=data.seed, rotations=data.rotations)


def _splits_alone(data: ImageData) -> ImageTable:
    rotations = getattr(data, "rotations", False)
    sizes = {name: data.class_count(name) // (TURNS if rotations else 1) for name in SPLITS}
    splits = {name: split_classes(range(size), rotations=rotations) for name, size in sizes.items() if size}
    channels, height, width = data.image_shape
    shape = (data.images_per_class, *((channels,) if channels > 1 else ()), height, width)
    return ImageTable(torch.empty(0, *shape, dtype=torch.uint8), splits)


def evaluation_sampler(table: Table, evaluation: EpisodeEvaluation) -> Sampler:
    """Return the sampler of the numbered episodes that every method is measured on."""
    if isinstance(table, FeatureTable):
        sizes = (evaluation.n_way, evaluation.k_shot, evaluation.n_query)
        return UnevenSampler(table, *sizes, key=("evaluation", evaluation.seed))
    assert isinstance(table, ImageTable)
    within = evaluation.sampling == "within-alphabet"
    draws = AlphabetSampler if within else EpisodeSampler
    return draws(
        table,
        n_way=evaluation.n_way,
        k_shot=evaluation.k_shot,
        n_query=evaluation.n_query,
        key=("evaluation", *(["within-alphabet"] if within else []), evaluation.seed),
    )
