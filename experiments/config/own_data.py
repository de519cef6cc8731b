"""Options of a user's own data set, of images or of features, told from the built-in ones by its name.

A run stores the facts it needs of the data set, so that lists and reports work where the data are gone.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from experiments.config.base import Frozen
from experiments.config.data import EpisodeEvaluation, ImageSet, ImageShape
from experiments.config.features import FEATURE_NAME, EmbeddedSet

SHAPES: dict[str, ImageShape] = {"grey": (1, 28, 28), "colour": (3, 84, 84)}


class DataFacts(Frozen):
    """What was imported: the form of the images, how many each class has, and the classes of each split."""

    image: Literal["grey", "colour"]
    each: int
    base: int
    meta: int
    val: int
    test: int
    version: str  # of the images and their splits: the first digits of a checksum


class OwnImages(ImageSet):
    """Images that a user has imported under a name of their own."""

    protocol_with: ClassVar[dict[str, str]] = {}

    kind: str = Field(pattern=FEATURE_NAME)
    facts: DataFacts

    @property
    def image_shape(self) -> ImageShape:  # type: ignore[override]
        """Channels, height and width of an image."""
        return SHAPES[self.facts.image]

    @property
    def images_per_class(self) -> int:  # type: ignore[override]
        """How many images each class has."""
        return self.facts.each

    @property
    def standard(self) -> EpisodeEvaluation:  # type: ignore[override]
        """Five ways and fifteen queries of each class, or as many as there are."""
        ways, queries = min(5, self.facts.test), min(15, self.facts.each - 1)
        return EpisodeEvaluation(n_way=ways, n_query=queries, episodes=600)

    def class_count(self, split: str) -> int:
        """Return the number of classes of a split; train is base and meta together."""
        if split == "train":
            return self.facts.base + self.facts.meta
        return int(getattr(self.facts, split)) if split in ("base", "meta", "val", "test") else 0


class OwnFeatures(EmbeddedSet):
    """Features that a user has embedded under a name of their own."""

    kind: str = Field(pattern=FEATURE_NAME)

    @model_validator(mode="after")
    def _named_alike(self) -> Self:
        if self.features != self.kind:
            raise ValueError(f"features {self.features} are other data: queue {self.features} instead")
        return self
