"""Every method on images, told apart by its name; or one that somebody wrote outside fsrun.

Not here: the options themselves, one class per method in the files beside this one.
"""

from typing import Annotated, Any, get_args

from pydantic import Discriminator, Field, SerializeAsAny, Tag, WrapValidator

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
from experiments.config.own import OwnMethod, is_own, read_own

BuiltIn = Annotated[
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
    method.model_fields["name"].default for method in get_args(get_args(BuiltIn)[0])
)

KINDS = ("built-in", "own")


def _kind(value: Any) -> str:
    return KINDS[is_own(value)]


ImageMethod = Annotated[
    Annotated[BuiltIn, Tag(KINDS[0])]
    | Annotated[SerializeAsAny[OwnMethod], WrapValidator(read_own), Tag(KINDS[1])],
    Discriminator(_kind),
]
