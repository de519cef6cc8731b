"""Options of the image data sets and of the numbered episodes every method is measured on.

Not here: images (experiments/data), and the linear case study (synthetic.py).
"""

from typing import Literal

from pydantic import Field

from experiments.config.base import Frozen
from experiments.data.protocols import TURNS, glyph_splits, protocol_splits


class OmniglotData(Frozen):
    """The real Omniglot under a named protocol: P-V, P-B, R1 or R2 (data/protocols.py)."""

    kind: Literal["omniglot"] = "omniglot"
    protocol: str = "P-V"
    holdout: bool = True  # keep five background alphabets for validation, out of training
    rotations: bool = True  # a character turned by 90, 180, 270 degrees is a class of its own

    def class_count(self, split: str) -> int:
        """Return the number of classes of a split, 0 where the protocol has no such split."""
        characters = protocol_splits(self.protocol, holdout=self.holdout).get(split, ())
        return len(characters) * (TURNS if self.rotations else 1)


class GlyphsData(Frozen):
    """Characters drawn by the program itself; never to be reported as Omniglot."""

    kind: Literal["glyphs"] = "glyphs"
    alphabets: int = Field(20, ge=10, le=200)
    characters: int = Field(25, ge=2, le=100)  # in each alphabet
    seed: int = Field(0, ge=0)
    rotations: bool = True

    def class_count(self, split: str) -> int:
        """Return the number of classes of a split, 0 where there is no such split."""
        characters = glyph_splits(self.alphabets, self.characters).get(split, range(0))
        return len(characters) * (TURNS if self.rotations else 1)


class EpisodeEvaluation(Frozen):
    """How a row of Table 2 is measured: numbered episodes of a split, the same for every method.

    Choices are made with split "val"; what is measured there enters no table.
    """

    split: Literal["test", "val"] = "test"
    n_way: int = Field(20, ge=2)
    k_shot: int = Field(1, ge=1)
    n_query: int = Field(5, ge=1)  # per class
    episodes: int = Field(1000, ge=2, le=1_000_000)
    seed: int = Field(0, ge=0)
