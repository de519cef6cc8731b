"""What the trainer asks of whatever carries W_s from task to task.

Not here: the ways to do it (fast.py, direct.py, lstm.py).
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RECENT = 16  # tasks at most whose gradients a chunk is judged by


@dataclass(frozen=True)
class Progress:
    """What some tasks in turn came to, for every seed.

    after, before (seeds,): sums of L1 and of L0, both times k. diverged (seeds,): the first task at which L1
    was no number or beyond all bounds, -1 where none is. Of the last tasks, at most RECENT: components
    (seeds, n), w_bar (seeds, n, d) and y_x (seeds, n, d), which is Y X^T of the batch W_f learned from.
    """

    after: Array
    before: Array
    diverged: NDArray[np.int64]
    components: NDArray[np.int64]
    w_bar: Array
    y_x: Array


class Recursion(Protocol):
    """W_s of every seed, learning from one task after another."""

    def weights(self) -> Array:
        """Return W_s, (seeds, modules, d, d)."""

    def advance(self, start: int, count: int) -> Progress:
        """Meet the tasks start .. start + count - 1, addressed by number."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that learning changes."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state_dict, so that learning goes on as if it had never stopped."""
