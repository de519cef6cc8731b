"""What a run is asked to do, as frozen values; needs no torch."""

from experiments.config.adapting import LearnedOptimiser, Maml, MetaLstm
from experiments.config.data import (
    EpisodeEvaluation,
    GlyphsData,
    ImageShape,
    MiniImageNetData,
    OmniglotData,
)
from experiments.config.features import DrawnData, ImageNetData
from experiments.config.image_sets import FeatureData, ImageData
from experiments.config.methods import (
    Affine,
    CnnNeighbour,
    FastSlow,
    Features,
    Jitter,
    PixelKnn,
    Pretrain,
    ProtoNet,
)
from experiments.config.metric import Cnn, MatchingNet, Shrinking, Siamese
from experiments.config.model_based import Mann, MetaNet, RareEvents, Snail
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
from experiments.config.synthetic import GaussianData, LinearFastSlow, SyntheticRun, TaskEvaluation
from experiments.config.training import Accelerated

__all__ = [
    "Accelerated",
    "Affine",
    "Cnn",
    "CnnNeighbour",
    "DrawnData",
    "EpisodeEvaluation",
    "FastSlow",
    "FeatureData",
    "Features",
    "GaussianData",
    "GlyphsData",
    "ImageData",
    "ImageNetData",
    "ImageRun",
    "ImageShape",
    "Jitter",
    "LearnedOptimiser",
    "LinearFastSlow",
    "Maml",
    "Mann",
    "MatchingNet",
    "MetaLstm",
    "MetaNet",
    "MiniImageNetData",
    "OmniglotData",
    "PixelKnn",
    "Pretrain",
    "ProtoNet",
    "RareEvents",
    "RunConfig",
    "Shrinking",
    "Siamese",
    "Snail",
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
