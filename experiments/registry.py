"""Which experiments and methods there are, as plain data: listing and checking needs no torch.

Not here: their options (config/) and their code (methods/, synthetic/).
"""

from dataclasses import dataclass

from experiments.config import (
    Cnn,
    CnnNeighbour,
    DrawnData,
    EpisodeEvaluation,
    FastSlow,
    GaussianData,
    GlyphsData,
    ImageNetData,
    LearnedOptimiser,
    LinearFastSlow,
    Maml,
    Mann,
    MatchingNet,
    MetaLstm,
    MetaNet,
    MiniImageNetData,
    OmniglotData,
    PixelKnn,
    Pretrain,
    ProtoNet,
    RareEvents,
    Shrinking,
    Siamese,
    Snail,
    TaskEvaluation,
)
from experiments.config.base import Frozen
from experiments.titles import TITLES


@dataclass(frozen=True)
class MethodEntry:
    """A method: its options, and the module with its `build` function; its title is in titles.py."""

    name: str
    config: type[Frozen]
    module: str
    experiments: tuple[str, ...]
    row_of_table2: bool = True

    @property
    def title(self) -> str:
        """The name in the paper's tables."""
        return TITLES[self.name]


@dataclass(frozen=True)
class ExperimentEntry:
    """An experiment: its data, how it is measured, and the method run when none is named."""

    name: str
    summary: str
    data: type[Frozen]
    evaluation: type[Frozen]
    default_method: str
    needs_import: bool = False
    seeds_in_one_run: bool = False  # a run carries any number of seeds together


_CHARACTERS = ("omniglot", "glyphs")
_IMAGES = (*_CHARACTERS, "miniimagenet")
_FEATURES = ("imagenet", "drawn")
_ANY = (*_IMAGES, *_FEATURES)

METHODS: dict[str, MethodEntry] = {
    entry.name: entry
    for entry in (
        MethodEntry("pixel-knn", PixelKnn, "experiments.methods.pixel_knn", _IMAGES),
        MethodEntry("mann", Mann, "experiments.methods.mann", _CHARACTERS),
        MethodEntry("cnn-nn", CnnNeighbour, "experiments.methods.cnn_nn", _ANY, False),
        MethodEntry("cnn", Cnn, "experiments.methods.cnn", _IMAGES),
        MethodEntry("siamese", Siamese, "experiments.methods.siamese", _IMAGES),
        MethodEntry("shrinking", Shrinking, "experiments.methods.shrinking", _IMAGES),
        MethodEntry("matching", MatchingNet, "experiments.methods.matching", _IMAGES),
        MethodEntry("rare-events", RareEvents, "experiments.methods.rare_events", _CHARACTERS),
        MethodEntry("maml", Maml, "experiments.methods.maml", _IMAGES),
        MethodEntry("protonet", ProtoNet, "experiments.methods.protonet", _ANY),
        MethodEntry("metanet", MetaNet, "experiments.methods.metanet", _IMAGES),
        MethodEntry("snail", Snail, "experiments.methods.snail", _IMAGES),
        MethodEntry(
            "coordinate-lstm",
            LearnedOptimiser,
            "experiments.methods.coordinate_lstm",
            _IMAGES,
            False,
        ),
        MethodEntry("meta-lstm", MetaLstm, "experiments.methods.meta_lstm", _IMAGES, False),
        MethodEntry("fastslow", FastSlow, "experiments.methods.fastslow", _ANY),
        MethodEntry("pretrain", Pretrain, "experiments.methods.pretrain", _IMAGES, False),
        MethodEntry(
            "linear",
            LinearFastSlow,
            "experiments.synthetic.trainer",
            ("synthetic",),
            False,
        ),
    )
}

EXPERIMENTS: dict[str, ExperimentEntry] = {
    entry.name: entry
    for entry in (
        ExperimentEntry(
            "synthetic",
            "two-layer linear case study, Figure 4",
            GaussianData,
            TaskEvaluation,
            "linear",
            seeds_in_one_run=True,
        ),
        ExperimentEntry(
            "omniglot",
            "one-shot recognition of handwritten characters, Table 2",
            OmniglotData,
            EpisodeEvaluation,
            "fastslow",
            needs_import=True,
        ),
        ExperimentEntry(
            "glyphs",
            "the same on characters drawn by the program, for machines with no download",
            GlyphsData,
            EpisodeEvaluation,
            "fastslow",
        ),
        ExperimentEntry(
            "miniimagenet",
            "one-shot recognition of things in photographs, Table 2",
            MiniImageNetData,
            EpisodeEvaluation,
            "fastslow",
            needs_import=True,
        ),
        ExperimentEntry(
            "imagenet",
            "one-shot recognition among up to ten thousand classes, on features of a backbone, Figure 5",
            ImageNetData,
            EpisodeEvaluation,
            "fastslow",
            needs_import=True,
        ),
        ExperimentEntry(
            "drawn",
            "the same on random features of ImageNet's size, to see time and memory; they show nothing",
            DrawnData,
            EpisodeEvaluation,
            "fastslow",
        ),
    )
}


def methods_of(experiment: str) -> tuple[str, ...]:
    """Return the names of the methods an experiment can run, in the order of the tables."""
    return tuple(name for name, entry in METHODS.items() if experiment in entry.experiments)
