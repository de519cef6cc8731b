"""What a running experiment tells whoever started it.

Not here: who listens; a worker writes to the store, a notebook may print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class EventSink(Protocol):
    """Receives what a run reports, in order, from the thread that trains."""

    def started(self, step: int) -> None:
        """Take note that training goes on from this step; what was reported beyond it is void."""

    def metrics(self, steps: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
        """Take one value per step of each named metric, for example "train/loss"."""

    def checkpoint(self, step: int, path: Path) -> None:
        """Take note of a checkpoint that is complete on disk.

        Raises StorageUnavailable where it cannot be kept at the moment: training goes on, as on a full disk.
        """


@dataclass(frozen=True)
class Measurement:
    """A number a finished run measured, with the value of each numbered episode behind it."""

    name: str  # split/quantity
    value: float  # mean over the episodes
    interval: float  # half width of the 95 % interval of the mean
    episodes: tuple[float, ...]


@dataclass(frozen=True)
class Cost:
    """What a test episode took, the most memory that the evaluation took at a time, what the method learned.

    None where it is not known.
    """

    seconds_per_episode: float
    peak_bytes: int | None
    parameters: int | None = None


@dataclass(frozen=True)
class Finished:
    """The run reached its end; these are its results, and what they cost, in which equal runs may differ."""

    results: tuple[Measurement, ...]
    cost: Cost | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Stopped:
    """The run was asked to stop and left a checkpoint at this step."""

    step: int
