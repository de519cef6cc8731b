"""From a data set's config to its images and episodes.

Not here: how a data set is imported or drawn (omniglot.py, glyphs.py).
"""

from pathlib import Path

import torch

from experiments.config import EpisodeEvaluation, GlyphsData, ImageRun, OmniglotData
from experiments.data.episodes import EpisodeSampler
from experiments.data.glyphs import SIZE, open_glyphs
from experiments.data.images import ImageTable, split_classes
from experiments.data.omniglot import open_omniglot
from experiments.data.protocols import DRAWERS, glyph_splits, protocol_splits


def open_table(data: OmniglotData | GlyphsData, data_dir: Path | None) -> ImageTable:
    """Return the images and splits of a data set; raises DataError where it is not imported.

    Without a data_dir the splits alone, and no images: enough for a method that classifies others.
    """
    if data_dir is None:
        return _splits_alone(data)
    if isinstance(data, OmniglotData):
        return open_omniglot(data_dir, data.protocol, holdout=data.holdout, rotations=data.rotations)
    return open_glyphs(data_dir, data.alphabets, data.characters, seed=data.seed, rotations=data.rotations)


def _splits_alone(data: OmniglotData | GlyphsData) -> ImageTable:
    if isinstance(data, OmniglotData):
        sizes = {
            name: len(each) for name, each in protocol_splits(data.protocol, holdout=data.holdout).items()
        }
    else:
        sizes = {name: len(each) for name, each in glyph_splits(data.alphabets, data.characters).items()}
    splits = {name: split_classes(range(size), rotations=data.rotations) for name, size in sizes.items()}
    return ImageTable(torch.empty(0, DRAWERS, SIZE, SIZE, dtype=torch.uint8), splits)


def evaluation_sampler(table: ImageTable, evaluation: EpisodeEvaluation) -> EpisodeSampler:
    """Return the sampler of the numbered episodes that every method is measured on."""
    return EpisodeSampler(
        table,
        n_way=evaluation.n_way,
        k_shot=evaluation.k_shot,
        n_query=evaluation.n_query,
        key=("evaluation", evaluation.seed),
    )


def training_sampler(
    table: ImageTable, config: ImageRun, *, n_way: int, k_shot: int | None, n_query: int
) -> EpisodeSampler:
    """Return the sampler of a run's own training episodes; k_shot None for that of its evaluation."""
    shots = k_shot or config.evaluation.k_shot
    return EpisodeSampler(table, n_way=n_way, k_shot=shots, n_query=n_query, key=("train", config.seed))
