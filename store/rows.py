"""The lines of lists: a run, and a worker, as frozen values.

Not here: reading them (store.snapshot), and one run in full (store.details).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from json import loads

from store.jobs import JobStatus


@dataclass(frozen=True)
class RunRow:
    """One run as a line of a list; ages and the remaining time in seconds, `rate` in steps per second.

    A run may carry several `seeds`, from `seed` on; `worked` is the time all its ended attempts took.
    `latest` maps each metric to its newest value, `results` each result to its value, `intervals` to half of
    its 95 % interval, NaN where unknown. `waits_for` are the runs it starts from that are not done. `error`
    is the one line of the error that says most, `variant` what tells the run from others of its preset. Runs
    of one `group_hash` differ by their seeds only. When the lease of a running run, with `lease_left`
    seconds, has run out, another worker resumes it. `worker_died` is False as stored: whoever can look for
    the process may know better.
    """

    id: int
    experiment: str
    method: str
    preset: str
    seed: int
    n_way: int | None
    k_shot: int | None
    status: JobStatus
    priority: int
    step: int
    total_steps: int
    rate: float | None
    eta_seconds: float | None
    latest: Mapping[str, float]
    results: Mapping[str, float]
    worker_id: str | None
    attempt: int
    created: float
    started: float | None
    finished: float | None
    cancel_requested: bool
    heartbeat_age: float | None
    waits_for: tuple[int, ...]
    error: str | None
    group_hash: str = ""
    variant: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    intervals: Mapping[str, float] = field(default_factory=dict)
    lease_left: float | None = None
    worker_died: bool = False
    seeds: int = 1
    worked: float = 0.0

    @property
    def all_seeds(self) -> range:
        """Every seed that the run carries."""
        return range(self.seed, self.seed + self.seeds)


@dataclass(frozen=True)
class WorkerRow:
    """One worker that has not signed off; silent for long means that it died, as `died` may say for sure."""

    id: str
    host: str
    pid: int
    device: str
    started: float
    heartbeat_age: float
    run_id: int | None
    died: bool = False


def seeds_in(config: str) -> int:
    """Return how many seeds a run of this config carries; one where the config does not say."""
    try:
        found = loads(config).get("seeds", 1) if '"seeds"' in config else 1
    except ValueError:
        return 1
    return found if isinstance(found, int) else 1
