"""From a data set's config to its images and episodes.

Not here: how a data set is imported or drawn (omniglot.py, glyphs.py).
"""

from pathlib import Path

from experiments.config import EpisodeEvaluation, GlyphsData, OmniglotData
from experiments.data.episodes import EpisodeSampler
from experiments.data.glyphs import open_glyphs
from experiments.data.images import ImageTable
from experiments.data.omniglot import open_omniglot


def open_table(data: OmniglotData | GlyphsData, data_dir: Path) -> ImageTable:
    """Return the images and splits of a data set; raises DataError where it is not imported."""
    if isinstance(data, OmniglotData):
        return open_omniglot(data_dir, data.protocol, holdout=data.holdout, rotations=data.rotations)
    return open_glyphs(data_dir, data.alphabets, data.characters, seed=data.seed, rotations=data.rotations)


def evaluation_sampler(table: ImageTable, evaluation: EpisodeEvaluation) -> EpisodeSampler:
    """Return the sampler of the numbered episodes that every method is measured on."""
    return EpisodeSampler(
        table,
        n_way=evaluation.n_way,
        k_shot=evaluation.k_shot,
        n_query=evaluation.n_query,
        key=("evaluation", evaluation.seed),
    )
