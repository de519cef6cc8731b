"""Options of the data sets that hold features of images, computed once by a backbone, instead of images.

Not here: the features (data/features.py), and how they are computed (data/embedding.py).
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from experiments.config.base import MAX_SEED
from experiments.config.data import EpisodeEvaluation, ImageSet
from experiments.splits.folders import shares

IMAGENET_CLASSES = 21_841
FEATURE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class FeatureSet(ImageSet):
    """What data sets of features have in common: theta' is an adapter of them, and no pixel is changed."""

    standard: ClassVar[EpisodeEvaluation] = EpisodeEvaluation(n_way=5, n_query=1, episodes=600)
    protocol_with: ClassVar[Mapping[str, str]] = {}
    images_per_class: ClassVar[int] = 1_000_000
    holds_features: ClassVar[bool] = True

    def episodes_at(self, n_way: int) -> int:
        """Return how many episodes there are unless asked for: of about 10,000 queries in all, at least 5."""
        return max(5, min(self.standard.episodes, 10_000 // max(n_way, 1)))


class EmbeddedSet(FeatureSet):
    """Features of a folder of class folders, as `fsrun data embed` left them."""

    features: str = Field("imagenet", pattern=FEATURE_NAME)  # the name they were embedded under
    train_images: int = Field(10, ge=2)  # of each class learned from; classes with fewer are not

    def class_count(self, split: str) -> int:
        """Return the most classes a split can have; how many it has is known where the features are."""
        return IMAGENET_CLASSES if split in ("train", "base", "meta", "val", "test") else 0


class ImageNetData(EmbeddedSet):
    """Features of ImageNet, or of any other that were embedded, by their name."""

    kind: Literal["imagenet"] = "imagenet"


class DrawnData(FeatureSet):
    """Features drawn at random at ImageNet's size, to see what time and memory that takes."""

    kind: Literal["drawn"] = "drawn"
    classes: int = Field(IMAGENET_CLASSES, ge=50, le=100_000)
    images: int = Field(6, ge=2, le=100)  # of each class
    dimension: int = Field(1536, ge=2, le=16_384)
    seed: int = Field(0, ge=0, le=MAX_SEED)

    @property
    def train_images(self) -> int:
        """How many images there are of each class learned from: all."""
        return self.images

    def class_count(self, split: str) -> int:
        """Return the number of classes of a split, 0 where there is no such split."""
        return shares(self.classes).get(split, 0)
