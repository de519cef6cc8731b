"""Studies: sweeps that are asked for by a name of their own.

Not here: what a study is made of (ablations.py, equal_features.py, table2.py, when.py), and plain sweeps
(sweeps.py).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from experiments.ablations import plan_ablations
from experiments.equal_features import plan_equal_features
from experiments.sweeps import PlannedRun
from experiments.table2 import plan_curves, plan_table2
from experiments.when import plan_when


class Study(Protocol):
    """Plans the runs of a study; ConfigError where a setting does not suit it."""

    def __call__(
        self, experiment: str, *, preset: str, seeds: int, settings: Sequence[str]
    ) -> list[PlannedRun]:
        """Return the runs on the data of an experiment, with settings as a command names them."""


STUDIES: Mapping[str, Study] = {
    "ablations": plan_ablations,
    "table2": plan_table2,
    "curves": plan_curves,
    "equal-features": plan_equal_features,
    "when": plan_when,
}
