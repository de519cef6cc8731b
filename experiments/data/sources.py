"""From a data set's config to its images and episodes.

Not here: how a data set is imported or drawn (omniglot.py, miniimagenet.py, glyphs.py).
"""

from pathlib import Path

import torch

from experiments.config import EpisodeEvaluation, ImageData, ImageRun, MiniImageNetData, OmniglotData
from experiments.data.alphabets import AlphabetSampler
from experiments.data.episodes import EpisodeSampler, Sampler
from experiments.data.glyphs import open_glyphs
from experiments.data.images import ImageTable, split_classes
from experiments.data.miniimagenet import open_miniimagenet
from experiments.data.omniglot import open_omniglot
from experiments.data.protocols import TURNS

SPLITS = ("train", "base", "meta", "val", "test")


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
    return open_glyphs(data_dir, data.alphabets, data.characters, seed=data.seed, rotations=data.rotations)


def _splits_alone(data: ImageData) -> ImageTable:
    rotations = getattr(data, "rotations", False)
    sizes = {name: data.class_count(name) // (TURNS if rotations else 1) for name in SPLITS}
    splits = {name: split_classes(range(size), rotations=rotations) for name, size in sizes.items() if size}
    channels, height, width = data.image_shape
    shape = (data.images_per_class, *((channels,) if channels > 1 else ()), height, width)
    return ImageTable(torch.empty(0, *shape, dtype=torch.uint8), splits)


def evaluation_sampler(table: ImageTable, evaluation: EpisodeEvaluation) -> Sampler:
    """Return the sampler of the numbered episodes that every method is measured on."""
    within = evaluation.sampling == "within-alphabet"
    draws = AlphabetSampler if within else EpisodeSampler
    return draws(
        table,
        n_way=evaluation.n_way,
        k_shot=evaluation.k_shot,
        n_query=evaluation.n_query,
        key=("evaluation", *(["within-alphabet"] if within else []), evaluation.seed),
    )


def training_sampler(
    table: ImageTable, config: ImageRun, *, n_way: int, k_shot: int | None, n_query: int
) -> EpisodeSampler:
    """Return the sampler of a run's own training episodes; k_shot None for that of its evaluation."""
    shots = k_shot or config.evaluation.k_shot
    return EpisodeSampler(table, n_way=n_way, k_shot=shots, n_query=n_query, key=("train", config.seed))
