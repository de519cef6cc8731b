"""Every data set of images, or of features of images, told apart by its kind.

Not here: their options (data.py, features.py, own_data.py).
"""

from typing import Annotated, Any, get_args

from pydantic import Discriminator, Field, Tag

from experiments.config.data import GlyphsData, MiniImageNetData, OmniglotData
from experiments.config.features import DrawnData, ImageNetData
from experiments.config.own_data import OwnFeatures, OwnImages

EmbeddedData = ImageNetData | OwnFeatures
FeatureData = EmbeddedData | DrawnData
BuiltInData = OmniglotData | GlyphsData | MiniImageNetData | ImageNetData | DrawnData
ImageData = BuiltInData | OwnImages | OwnFeatures

BUILT_IN: tuple[str, ...] = tuple(each.model_fields["kind"].default for each in get_args(BuiltInData))
"""The kinds of the data sets that fsrun has itself."""

DATA_TAGS = ("built-in data", "own images", "own features")


def _tag(value: Any) -> str:
    """Return which of the three a config of data is, raw or not; without a kind it is one of fsrun's."""
    raw = value if isinstance(value, dict) else vars(value)
    if raw.get("kind", BUILT_IN[0]) in BUILT_IN:
        return DATA_TAGS[0]
    return DATA_TAGS[1] if "facts" in raw else DATA_TAGS[2]


AnyImageData = Annotated[
    Annotated[Annotated[BuiltInData, Field(discriminator="kind")], Tag(DATA_TAGS[0])]
    | Annotated[OwnImages, Tag(DATA_TAGS[1])]
    | Annotated[OwnFeatures, Tag(DATA_TAGS[2])],
    Discriminator(_tag),
]
