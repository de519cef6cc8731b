"""Options of the image data sets and of the numbered episodes every method is measured on.

Not here: images (experiments/data), features (features.py), and the linear case study (synthetic.py).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from experiments.config.base import MAX_SEED, Frozen
from experiments.config.methods import Affine
from experiments.splits.miniimagenet import CHANNELS, IMAGES_PER_CLASS, SIZE, miniimagenet_splits
from experiments.splits.omniglot import DRAWERS, TURNS, glyph_splits, protocol_splits

MANY_WAYS = 100  # from here on 50 episodes ask at least 25,000 questions

ImageShape = tuple[int, int, int]  # channels, height, width


class Looks(Frozen):
    """How often a test looks at each image: as it is, and changed; support and query in the same way.

    The log-probabilities of all looks are averaged.
    """

    views: int = Field(1, ge=1, le=100)  # the image itself, and changed by `change`
    turns: Literal[1, 4] = 1  # of each view: upright alone, or all four quarter turns
    mirrored: bool = False  # each view's mirror image is one more look
    change: Affine = Affine(degrees=10, scale=0.12, shear=8, shift=1)

    @property
    def count(self) -> int:
        """How many looks there are at an image."""
        return self.views * self.turns * (2 if self.mirrored else 1)


class EpisodeEvaluation(Frozen):
    """How a row of Table 2 is measured: numbered episodes of a split, the same for every method.

    Choices are made with split "val"; what is measured there enters no table.
    """

    split: Literal["test", "val"] = "test"
    n_way: int = Field(20, ge=2)
    k_shot: int = Field(1, ge=1)
    n_query: int = Field(5, ge=1)  # per class
    episodes: int = Field(1000, ge=2, le=1_000_000)
    seed: int = Field(0, ge=0, le=MAX_SEED)
    # mixed: classes of the whole split, each by drawers of its own. within-alphabet: upright characters of
    # one alphabet, by some drawers as the support, by others as the queries (Lake et al. 2015); much harder.
    sampling: Literal["mixed", "within-alphabet"] = "mixed"
    # Where batch normalisation has its statistics from: training (running), the episode's support, or all
    # queries of the episode together, which so help each other (transductive). None: as the method has it.
    batch_norm: Literal["running", "support", "queries"] | None = None

    looks: Looks = Looks()

    later: ClassVar[Mapping[str, Any]] = {"sampling": "mixed", "batch_norm": None, "looks": Looks()}


class ImageSet(Frozen):
    """What every image data set says of itself, whatever its options."""

    image_shape: ClassVar[ImageShape] = (1, 28, 28)
    images_per_class: ClassVar[int] = DRAWERS
    standard: ClassVar[EpisodeEvaluation] = EpisodeEvaluation()  # where no other is asked for
    protocol_with: ClassVar[Mapping[str, str]] = {"train": "P-V", "base": "R1", "meta": "R1"}  # this split
    holds_features: ClassVar[bool] = False  # of images, instead of the images

    def episodes_at(self, n_way: int) -> int:
        """Return how many test episodes there are unless asked for: fewer where each has many classes."""
        return self.standard.episodes if n_way < MANY_WAYS else min(self.standard.episodes, 50)

    def largest_alphabet(self, split: str) -> int:
        """Return how many classes of one alphabet a split has at most, 0 where nothing is written."""
        return 0


class OmniglotData(ImageSet):
    """The real Omniglot under a named protocol: P-V, P-B, R1 or R2 (splits/omniglot.py)."""

    kind: Literal["omniglot"] = "omniglot"
    protocol: str = "P-V"
    holdout: bool = True  # keep five background alphabets for validation, out of training
    rotations: bool = True  # a character turned by 90, 180, 270 degrees is a class of its own

    def class_count(self, split: str) -> int:
        """Return the number of classes of a split, 0 where the protocol has no such split."""
        characters = protocol_splits(self.protocol, holdout=self.holdout).get(split, ())
        return len(characters) * (TURNS if self.rotations else 1)

    def largest_alphabet(self, split: str) -> int:
        """Return how many characters of one alphabet a split has at most."""
        characters = protocol_splits(self.protocol, holdout=self.holdout).get(split, ())
        return max(Counter(character.alphabet for character in characters).values(), default=0)


class GlyphsData(ImageSet):
    """Characters drawn by the program itself; never to be reported as Omniglot."""

    kind: Literal["glyphs"] = "glyphs"
    alphabets: int = Field(20, ge=10, le=200)
    characters: int = Field(25, ge=2, le=100)  # in each alphabet
    seed: int = Field(0, ge=0, le=MAX_SEED)
    rotations: bool = True  # a character turned by 90, 180, 270 degrees is a class of its own

    def class_count(self, split: str) -> int:
        """Return the number of classes of a split, 0 where there is no such split."""
        characters = glyph_splits(self.alphabets, self.characters).get(split, range(0))
        return len(characters) * (TURNS if self.rotations else 1)

    def largest_alphabet(self, split: str) -> int:
        """Return how many characters each alphabet of a split has."""
        return self.characters if self.class_count(split) else 0


class MiniImageNetData(ImageSet):
    """The real mini-ImageNet under a named protocol: R-L or R1 (splits/miniimagenet.py)."""

    image_shape: ClassVar[ImageShape] = (CHANNELS, SIZE, SIZE)
    images_per_class: ClassVar[int] = IMAGES_PER_CLASS
    standard: ClassVar[EpisodeEvaluation] = EpisodeEvaluation(n_way=5, n_query=15, episodes=600)
    protocol_with: ClassVar[Mapping[str, str]] = {"train": "R-L", "base": "R1", "meta": "R1"}

    kind: Literal["miniimagenet"] = "miniimagenet"
    protocol: str = "R-L"
    # Keep classes for validation, out of training: the 16 of val.csv in R-L, 12 of the 64 base classes in R1.
    holdout: bool = True

    def class_count(self, split: str) -> int:
        """Return the number of classes of a split, 0 where the protocol has no such split."""
        return len(miniimagenet_splits(self.protocol, holdout=self.holdout).get(split, ()))
