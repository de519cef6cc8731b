"""Every method on images, told apart by its name.

Not here: the options themselves, one class per method in the files beside this one.
"""

from typing import Annotated, get_args

from pydantic import Field

from experiments.config.adapting import LearnedOptimiser, Maml, MetaLstm
from experiments.config.methods import CnnNeighbour, FastSlow, PixelKnn, Pretrain, ProtoNet
from experiments.config.metric import Cnn, MatchingNet, Shrinking, Siamese
from experiments.config.model_based import Mann, MetaNet, RareEvents, Snail

ImageMethod = Annotated[
    PixelKnn
    | ProtoNet
    | Pretrain
    | FastSlow
    | CnnNeighbour
    | Snail
    | Mann
    | RareEvents
    | Cnn
    | Siamese
    | Shrinking
    | MatchingNet
    | Maml
    | MetaLstm
    | MetaNet
    | LearnedOptimiser,
    Field(discriminator="name"),
]

METHOD_NAMES: tuple[str, ...] = tuple(
    method.model_fields["name"].default for method in get_args(get_args(ImageMethod)[0])
)
