"""The classes of each split of a run's data by their names, for whoever uses a model elsewhere.

Not here: which classes those are (data/protocols.py).
"""

from experiments.config.data import GlyphsData, MiniImageNetData, OmniglotData
from experiments.config.features import FeatureSet
from experiments.config.run import ImageRun, RunConfig
from experiments.data.miniimagenet_splits import miniimagenet_splits
from experiments.data.protocols import TURNS, glyph_splits, protocol_splits


def split_names(config: RunConfig) -> dict[str, list[str]]:
    """Return the names of each split's classes in their order; no splits where the data have no classes.

    Alphabet and character, both counted from 1 for glyphs, and the quarter turns anticlockwise: Tibetan/7/3.
    mini-ImageNet's classes by their WordNet number: n01532829.
    """
    if not isinstance(config, ImageRun):
        return {}
    data = config.data
    if isinstance(data, FeatureSet):
        return {}  # known where the features are
    if isinstance(data, MiniImageNetData):
        splits = miniimagenet_splits(data.protocol, holdout=data.holdout)
        return {split: list(members) for split, members in splits.items()}
    turns = range(TURNS if data.rotations else 1)
    return {
        split: [f"{name}/{turn}" for turn in turns for name in names]
        for split, names in _upright(data).items()
    }


def _upright(data: OmniglotData | GlyphsData) -> dict[str, list[str]]:
    if isinstance(data, OmniglotData):
        splits = protocol_splits(data.protocol, holdout=data.holdout)
        return {
            split: [f"{each.alphabet}/{each.number}" for each in members] for split, members in splits.items()
        }
    size = data.characters
    glyphs = glyph_splits(data.alphabets, size)
    return {
        split: [f"{each // size + 1}/{each % size + 1}" for each in members]
        for split, members in glyphs.items()
    }
