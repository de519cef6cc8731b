"""What the tests of the store have in common: runs to ask for, and workers that run them.

Not here: any test.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from store import queue
from store.curves import Curve, Point, read_curve, write_points
from store.engine import reading
from store.runs import RunRequest, RunSpec, enqueue

LEASE = 30.0


def spec(name: str = "a", *, seed: int = 0, total_steps: int = 1000) -> RunSpec:
    """Return a run whose config is told from others by its name and seed."""
    return RunSpec(
        experiment="omniglot",
        method="protonet",
        preset="quick",
        seed=seed,
        n_way=20,
        k_shot=1,
        config=f'{{"name": "{name}", "seed": {seed}}}',
        config_hash=f"{name}-{seed}",
        group_hash=name,
        total_steps=total_steps,
    )


def request(name: str = "a", *needs: RunRequest, seed: int = 0) -> RunRequest:
    """Return a request for the run of that name."""
    return RunRequest(spec(name, seed=seed), needs)


def ask(engine: Engine, *requests: RunRequest, now: float = 0.0, priority: int = 0) -> list[int]:
    """Queue the requests, and return the numbers of their runs."""
    asked = enqueue(engine, requests, now=now, priority=priority, provenance={"commit": "c0ffee"})
    return [each.run_id for each in asked]


def take(engine: Engine, *, worker: str = "w1", now: float = 1.0) -> queue.Claim:
    """Claim the next job, which must be there."""
    claim = queue.claim(engine, worker, now=now, lease_seconds=LEASE, device="cpu", provenance={"torch": "2"})
    assert claim is not None
    return claim


def complete(engine: Engine, claim: queue.Claim, *, now: float = 2.0) -> None:
    """Finish the job without results."""
    queue.finish(engine, claim.run_id, claim.attempt, [], now=now)


@dataclass(frozen=True)
class Writer:
    """An attempt that writes a metric."""

    engine: Engine
    claim: queue.Claim
    name: str = "train/loss"

    def write(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Store one value per step; the time of a point is its step."""
        points = [Point(self.name, s, v, float(s)) for s, v in zip(steps, values, strict=True)]
        write_points(
            self.engine, self.claim.run_id, self.claim.attempt, points, step=max(steps), rate=10.0, now=5.0
        )

    def read(self, max_points: int = 200, first: int | None = None, last: int | None = None) -> Curve:
        """Read the metric back."""
        with reading(self.engine) as connection:
            return read_curve(
                connection, self.claim.run_id, self.name, max_points=max_points, first=first, last=last
            )
