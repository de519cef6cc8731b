"""Which experiments and methods there are, as plain data: listing and checking needs no torch.

Not here: their options (config/) and their code (methods/, linear/).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from experiments.config import (
    CnnConfig,
    CnnNeighbourConfig,
    DrawnData,
    EpisodeEvaluation,
    FastSlowConfig,
    GaussianData,
    GlyphsData,
    ImageNetData,
    LearnedOptimiserConfig,
    LinearFastSlowConfig,
    MamlConfig,
    MannConfig,
    MatchingNetConfig,
    MetaLstmConfig,
    MetaNetConfig,
    MiniImageNetData,
    OmniglotData,
    PixelKnnConfig,
    PretrainConfig,
    ProtoNetConfig,
    RareEventsConfig,
    ShrinkingConfig,
    SiameseConfig,
    SnailConfig,
    TaskEvaluation,
)
from experiments.config.base import Frozen
from experiments.titles import TITLES


@dataclass(frozen=True)
class MethodEntry:
    """A method: its options, and the class that runs it; its title is in titles.py.

    One that somebody wrote outside fsrun has a `source`, its class itself, and presets of its own.
    """

    name: str
    config: type[Frozen]
    location: str  # module:class
    experiments: tuple[str, ...]
    row_of_table2: bool = True
    source: str = ""
    code: type | None = None
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name in the paper's tables; an own method is called as it is."""
        return TITLES.get(self.name, self.name)

    def load(self) -> type:
        """Return the class that runs it."""
        module, _, name = self.location.partition(":")
        loaded: type = self.code or getattr(import_module(module), name)
        return loaded


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
    like: str = ""  # the experiment whose methods and presets an own data set has


_CHARACTERS = ("omniglot", "glyphs")
_IMAGES = (*_CHARACTERS, "miniimagenet")
_FEATURES = ("imagenet", "drawn")
_ANY = (*_IMAGES, *_FEATURES)

METHODS: dict[str, MethodEntry] = {
    entry.name: entry
    for entry in (
        MethodEntry("pixel-knn", PixelKnnConfig, "experiments.methods.pixel_knn:PixelKnn", _IMAGES),
        MethodEntry("mann", MannConfig, "experiments.methods.mann:Mann", _CHARACTERS),
        MethodEntry("cnn-nn", CnnNeighbourConfig, "experiments.methods.cnn_nn:CnnNeighbour", _ANY, False),
        MethodEntry("cnn", CnnConfig, "experiments.methods.cnn:Cnn", _IMAGES),
        MethodEntry("siamese", SiameseConfig, "experiments.methods.siamese:Siamese", _IMAGES),
        MethodEntry("shrinking", ShrinkingConfig, "experiments.methods.shrinking:Shrinking", _IMAGES),
        MethodEntry("matching", MatchingNetConfig, "experiments.methods.matching:MatchingNet", _IMAGES),
        MethodEntry(
            "rare-events", RareEventsConfig, "experiments.methods.rare_events:RareEvents", _CHARACTERS
        ),
        MethodEntry("maml", MamlConfig, "experiments.methods.maml:Maml", _IMAGES),
        MethodEntry("protonet", ProtoNetConfig, "experiments.methods.protonet:ProtoNet", _ANY),
        MethodEntry("metanet", MetaNetConfig, "experiments.methods.metanet:MetaNet", _IMAGES),
        MethodEntry("snail", SnailConfig, "experiments.methods.snail:Snail", _IMAGES),
        MethodEntry(
            "coordinate-lstm",
            LearnedOptimiserConfig,
            "experiments.methods.coordinate_lstm:LearnedOptimiser",
            _IMAGES,
            False,
        ),
        MethodEntry("meta-lstm", MetaLstmConfig, "experiments.methods.meta_lstm:MetaLstm", _IMAGES, False),
        MethodEntry("fastslow", FastSlowConfig, "experiments.methods.fastslow:FastSlow", _ANY),
        MethodEntry("pretrain", PretrainConfig, "experiments.methods.pretrain:Pretrain", _IMAGES, False),
        MethodEntry(
            "linear",
            LinearFastSlowConfig,
            "experiments.linear.trainer:LinearFastSlow",
            ("synthetic",),
            False,
        ),
    )
}

BUILT_IN = tuple(METHODS)
"""The methods that fsrun has itself; METHODS holds those besides that own.py has loaded."""

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
    alike = like(experiment)
    return tuple(name for name, entry in METHODS.items() if alike in entry.experiments)


def like(experiment: str) -> str:
    """Return the built-in experiment whose methods and presets an experiment has: its own, or another's."""
    entry = EXPERIMENTS.get(experiment)
    return (entry and entry.like) or experiment
