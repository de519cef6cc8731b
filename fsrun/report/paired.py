"""The difference between two methods on the same numbered episodes, with its 95 % interval.

Not here: the intervals of a method alone (measured.py), and which methods are compared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps, loads
from typing import Protocol

import numpy as np

from experiments.splits.miniimagenet import miniimagenet_splits
from experiments.splits.omniglot import OMNIGLOT_PROTOCOLS, protocol_splits
from experiments.table2 import looks_of
from fsrun.intervals import over_runs
from fsrun.provenance import REPAIRED
from store.results import ResultRow

Values = np.typing.NDArray[np.float64]

_MIXED = "mixed"  # what evaluation.sampling is, and was before there was this option


class Tested(Protocol):
    """A result beside the config of its run, which says on which episodes it was measured."""

    @property
    def config(self) -> str:
        """The config as JSON."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """What made it."""

    @property
    def result(self) -> ResultRow:
        """What was measured."""


@dataclass(frozen=True)
class Difference:
    """How far one group of runs is ahead of another, in the unit of the results, over shared episodes."""

    mean: float
    interval: float
    episodes: int

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return abs(self.mean) > self.interval


def signed(difference: Difference | None) -> str:
    """Return a difference with its sign and interval in two decimals; nothing where there is none."""
    return "" if difference is None else f"{difference.mean:+.2f} ± {difference.interval:.2f}"


def shared_values(ahead: Sequence[Tested], behind: Sequence[Tested]) -> tuple[Values, Values] | None:
    """Return the values (runs, episodes) of both groups on shared episodes.

    Runs that kept none, as in files of older versions, are left aside; None where they met other episodes, or
    a group kept fewer than two.
    """
    if len({episodes_of(run) for run in (*ahead, *behind)}) != 1:
        return None
    values = [
        [values_of(run.result) for run in group if run.result.episode_values] for group in (ahead, behind)
    ]
    shared = min((len(each) for group in values for each in group), default=0)
    if shared < 2 or not all(values):
        return None
    one, other = (np.stack([each[:shared] for each in group]) for group in values)
    return one, other


def paired_difference(
    ahead: Sequence[Tested], behind: Sequence[Tested], *, scale: float = 1.0
) -> Difference | None:
    """Return how far the first group of seeds is ahead, None where they met other episodes or kept none.

    Episode by episode, so that how hard an episode is counts for neither: the interval is narrower than those
    of the two means. With several seeds, what they vary by is added in quadrature.
    """
    values = shared_values(ahead, behind)
    if values is None:
        return None
    return difference_of(*values, scale=scale)


def difference_of(one: Values, other: Values, *, scale: float = 1.0) -> Difference:
    """Return how far the first values (runs, episodes) are ahead of the others, episode by episode."""
    apart = one.mean(axis=0) - other.mean(axis=0)
    over_episodes = 1.96 * float(apart.std(ddof=1)) / math.sqrt(len(apart))
    spreads = [over_runs(each.mean(axis=1).tolist()) for each in (one, other)]
    return Difference(scale * float(apart.mean()), scale * math.hypot(over_episodes, *spreads), len(apart))


def held_out(run: Tested) -> object:
    """Return what tells test classes apart: equal for runs that are tested on the same ones."""
    data = loads(run.config)["data"]
    if data["kind"] == "miniimagenet":
        return miniimagenet_splits(data["protocol"], holdout=data["holdout"])["test"]
    if "features" in data:
        return "features", data["features"], run.provenance.get(REPAIRED)
    if data["kind"] != "omniglot":
        return dumps(data, sort_keys=True)
    protocol = data["protocol"]
    classes = protocol_splits(protocol)["test"] if protocol in OMNIGLOT_PROTOCOLS else protocol
    return classes, data["rotations"]


def unusual_test(run: Tested, *, several_looks: bool = False) -> str | None:
    """Return why a run is not to stand beside others that met the same test classes, None if it may.

    several_looks: it may ask for several looks at each image.
    """
    evaluation = loads(run.config)["evaluation"]
    if evaluation.get("sampling", _MIXED) != _MIXED:
        return f"its episodes are drawn {evaluation['sampling']}"
    looks = looks_of({"evaluation": evaluation, "method": {}})  # those of Fast/Slow itself are its own
    if looks > 1 and not several_looks:
        return f"it looks at each test image {looks} times"
    statistics = evaluation.get("batch_norm")
    return (
        None
        if statistics is None
        else f"batch norm uses the statistics of the {statistics} (evaluation.batch_norm={statistics})"
    )


def episodes_of(run: Tested) -> object:
    """Return what tells series of numbered episodes apart, but for how many there are."""
    evaluation = {"split": "test", "sampling": _MIXED} | loads(run.config)["evaluation"]
    names = ("split", "sampling", "n_way", "k_shot", "n_query", "seed")
    return held_out(run), *(evaluation.get(name) for name in names)


def values_of(result: ResultRow) -> Values:
    """Return the value of each episode, none where they were not kept."""
    return np.frombuffer(result.episode_values or b"", dtype="<f4").astype(np.float64)
