"""What the tests of engines have in common: short jobs, and everything that finished runs left behind.

Not here: any test.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.final_state import FinalState, final_state
from store.jobs import Outcome
from tests.cli.cli_cases import Case

SHORT: dict[str, Sequence[Any]] = {"steps": [300], "log_every": [20], "episodes": [10], "sampler": ["direct"]}
"""Options of a synthetic run of a second or so."""


def final_states(home: Case) -> list[FinalState]:
    """Return all that the runs of a home left behind, the first run first."""
    return [final_state(home.engine(), home, run_id) for run_id in range(1, len(home.statuses()) + 1)]


def times_done(home: Case) -> list[int]:
    """Return how many attempts of each run were brought to their end."""
    records = [home.run(run_id) for run_id in range(1, len(home.statuses()) + 1)]
    return [sum(each.outcome is Outcome.DONE for each in record.attempts) for record in records]


def parent(pid: int) -> int:
    """Return the process that started another, 0 where it is gone."""
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descendants(pids: Sequence[int]) -> set[int]:
    """Return these processes and all that they started."""
    known = set(pids)
    everyone = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    while fresh := {pid for pid in everyone if parent(pid) in known} - known:
        known |= fresh
    return known


def end_at_once(pids: set[int]) -> None:
    """Kill processes that the test has started."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
