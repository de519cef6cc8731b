"""What a run is asked to do, as frozen values; needs no torch."""

from experiments.config.adapting import LearnedOptimiserConfig, MamlConfig, MetaLstmConfig
from experiments.config.data import (
    EpisodeEvaluation,
    GlyphsData,
    ImageShape,
    Looks,
    MiniImageNetData,
    OmniglotData,
)
from experiments.config.features import DrawnData, ImageNetData
from experiments.config.image_sets import EmbeddedData, FeatureData, ImageData
from experiments.config.methods import (
    Affine,
    CnnNeighbourConfig,
    FastSlowConfig,
    Features,
    Jitter,
    PixelKnnConfig,
    PretrainConfig,
    ProtoNetConfig,
)
from experiments.config.metric import CnnConfig, MatchingNetConfig, ShrinkingConfig, SiameseConfig
from experiments.config.model_based import MannConfig, MetaNetConfig, RareEventsConfig, SnailConfig
from experiments.config.own_data import OwnFeatures, OwnImages
from experiments.config.run import (
    ImageRun,
    RunConfig,
    config_from_json,
    config_hash,
    config_to_json,
    parse_config,
)
from experiments.config.stages import (
    prerequisites,
    share_trainings,
    standard_evaluation,
    training_run,
    training_steps,
)
from experiments.config.synthetic import GaussianData, LinearFastSlowConfig, SyntheticRun, TaskEvaluation
from experiments.config.training import Accelerated

__all__ = [
    "Accelerated",
    "Affine",
    "CnnConfig",
    "CnnNeighbourConfig",
    "DrawnData",
    "EmbeddedData",
    "EpisodeEvaluation",
    "FastSlowConfig",
    "FeatureData",
    "Features",
    "GaussianData",
    "GlyphsData",
    "ImageData",
    "ImageNetData",
    "ImageRun",
    "ImageShape",
    "Jitter",
    "LearnedOptimiserConfig",
    "LinearFastSlowConfig",
    "Looks",
    "MamlConfig",
    "MannConfig",
    "MatchingNetConfig",
    "MetaLstmConfig",
    "MetaNetConfig",
    "MiniImageNetData",
    "OmniglotData",
    "OwnFeatures",
    "OwnImages",
    "PixelKnnConfig",
    "PretrainConfig",
    "ProtoNetConfig",
    "RareEventsConfig",
    "RunConfig",
    "ShrinkingConfig",
    "SiameseConfig",
    "SnailConfig",
    "SyntheticRun",
    "TaskEvaluation",
    "config_from_json",
    "config_hash",
    "config_to_json",
    "parse_config",
    "prerequisites",
    "share_trainings",
    "standard_evaluation",
    "training_run",
    "training_steps",
]
