"""Every data set of images, or of features of images, told apart by its kind.

Not here: their options (data.py, features.py).
"""

from typing import Annotated

from pydantic import Field

from experiments.config.data import GlyphsData, MiniImageNetData, OmniglotData
from experiments.config.features import DrawnData, ImageNetData

FeatureData = ImageNetData | DrawnData
ImageData = OmniglotData | GlyphsData | MiniImageNetData | FeatureData
AnyImageData = Annotated[ImageData, Field(discriminator="kind")]
