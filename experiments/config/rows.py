"""Every method on images, told apart by its name.

Not here: the options themselves, one class per method in the files beside this one.
"""

from typing import Annotated, get_args

from pydantic import Field

from experiments.config.adapting import LearnedOptimiserConfig, MamlConfig, MetaLstmConfig
from experiments.config.methods import (
    CnnNeighbourConfig,
    FastSlowConfig,
    PixelKnnConfig,
    PretrainConfig,
    ProtoNetConfig,
)
from experiments.config.metric import CnnConfig, MatchingNetConfig, ShrinkingConfig, SiameseConfig
from experiments.config.model_based import MannConfig, MetaNetConfig, RareEventsConfig, SnailConfig

ImageMethod = Annotated[
    PixelKnnConfig
    | ProtoNetConfig
    | PretrainConfig
    | FastSlowConfig
    | CnnNeighbourConfig
    | SnailConfig
    | MannConfig
    | RareEventsConfig
    | CnnConfig
    | SiameseConfig
    | ShrinkingConfig
    | MatchingNetConfig
    | MamlConfig
    | MetaLstmConfig
    | MetaNetConfig
    | LearnedOptimiserConfig,
    Field(discriminator="name"),
]

METHOD_NAMES: tuple[str, ...] = tuple(
    method.model_fields["name"].default for method in get_args(get_args(ImageMethod)[0])
)
