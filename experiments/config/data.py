"""Options of the data sets and of the numbered episodes every method is measured on.

Not here: images (experiments/data).
"""

from typing import Literal

from pydantic import Field

from experiments.config.base import Frozen
from experiments.data.protocols import TURNS, glyph_splits, protocol_splits


class GaussianData(Frozen):
    """Inputs of the linear case study, x ~ N(0, Sigma_x), y = W_bar x + noise (paper section 3.1)."""

    kind: Literal["gaussian"] = "gaussian"
    dimension: int = Field(10, ge=1, le=4096)  # d
    batch_size: int = Field(100, ge=1, le=1_000_000)  # k
    noise: float = Field(0.1, ge=0)  # standard deviation of epsilon
    condition_number: float = Field(1.0, ge=1)  # largest over smallest eigenvalue of Sigma_x, mean 1
    covariance_seed: int = Field(0, ge=0)  # draws the eigenvectors of Sigma_x


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


class TaskEvaluation(Frozen):
    """How the linear case study is measured: fresh tasks, numbered, the same for every run."""

    episodes: int = Field(1000, ge=2, le=1_000_000)
    seed: int = Field(0, ge=0)


class EpisodeEvaluation(Frozen):
    """How a row of Table 2 is measured: numbered test episodes, the same for every method."""

    n_way: int = Field(20, ge=2)
    k_shot: int = Field(1, ge=1)
    n_query: int = Field(5, ge=1)  # per class
    episodes: int = Field(1000, ge=2, le=1_000_000)
    seed: int = Field(0, ge=0)
