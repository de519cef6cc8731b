"""What a run is asked to do, as frozen values; needs no torch."""

from experiments.config.data import EpisodeEvaluation, GaussianData, GlyphsData, OmniglotData, TaskEvaluation
from experiments.config.methods import (
    TRAINING_SPLITS,
    FastSlow,
    Jitter,
    LinearFastSlow,
    PixelKnn,
    Pretrain,
    ProtoNet,
)
from experiments.config.run import (
    ImageRun,
    RunConfig,
    SyntheticRun,
    config_from_json,
    config_hash,
    config_to_json,
    parse_config,
    prerequisites,
)

__all__ = [
    "TRAINING_SPLITS",
    "EpisodeEvaluation",
    "FastSlow",
    "GaussianData",
    "GlyphsData",
    "ImageRun",
    "Jitter",
    "LinearFastSlow",
    "OmniglotData",
    "PixelKnn",
    "Pretrain",
    "ProtoNet",
    "RunConfig",
    "SyntheticRun",
    "TaskEvaluation",
    "config_from_json",
    "config_hash",
    "config_to_json",
    "parse_config",
    "prerequisites",
]
