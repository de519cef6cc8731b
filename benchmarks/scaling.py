"""How far one store carries: jobs and points a second that workers get through it, and what an engine adds.

Not here: training; jobs are empty, but for those that time the engine.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import math
import multiprocessing
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.synchronize import Barrier
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from benchmarks.machine import describe, scratch
from benchmarks.queue import LEASE_SECONDS, Sharing, empty_jobs, share_out
from experiments.sweeps import Sweep, plan
from fsrun.paths import Home
from fsrun.planning import requests
from store import queue
from store.curves import Point, write_points
from store.engine import open_store, reading
from store.runs import enqueue
from store.tables import Attempt

BATCH = 150  # points: three curves of a hundred steps a second, written twice a second
NAMES = ("train/loss", "train/accuracy", "train/grad_norm")
SHORT: dict[str, Sequence[Any]] = {"steps": [300], "log_every": [20], "episodes": [10], "sampler": ["direct"]}


def write_for(database: str | Path, name: str, seconds: float, start: Barrier, answers: Any) -> None:
    """Claim a job and write batches of its curves as fast as the store takes them; answer how many points."""
    engine = open_store(database)
    claim = queue.claim(engine, name, now=time.time(), lease_seconds=LEASE_SECONDS)
    assert claim is not None
    start.wait()
    deadline, written = time.perf_counter() + seconds, 0
    while time.perf_counter() < deadline:
        first, now = written // len(NAMES), time.time()
        steps = range(first, first + BATCH // len(NAMES))
        batch = [Point(each, step, math.sin(step / 100), now) for step in steps for each in NAMES]
        write_points(engine, claim.run_id, claim.attempt, batch, step=steps[-1], rate=None, now=now)
        written += len(batch)
    answers.put(written)
    engine.dispose()


def points_per_second(database: str | Path, *, processes: int, seconds: float) -> float:
    """Return how many points a second all processes together can log, each to a run of its own."""
    engine = open_store(database)
    enqueue(engine, empty_jobs(processes), now=time.time(), provenance={})
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    start = context.Barrier(processes)
    children = [
        context.Process(target=write_for, args=(database, f"writer-{number}", seconds, start, answers))
        for number in range(processes)
    ]
    for child in children:
        child.start()
    written: int = sum(answers.get() for _ in children)
    for child in children:
        child.join()
    return written / seconds


@dataclass(frozen=True)
class Overhead:
    """What one worker spends beside its jobs, in seconds."""

    until_first: float  # from the command to the first claim
    each: float  # between the end of one job and the beginning of the next
    job: float  # the job itself


def overhead(home: Home, words: Sequence[str], jobs: int) -> Overhead:
    """Have one worker carry out short jobs, and tell from the store's times what was lost between."""
    home.root.mkdir(parents=True)
    engine = open_store(home.root / "fsrun.db")
    planned = plan(Sweep("synthetic", ("linear",), "quick", seeds=jobs, settings=SHORT))
    enqueue(engine, requests(planned), now=time.time(), provenance={})
    plain = {name: value for name, value in os.environ.items() if name != "FSRUN_DB_URL"}
    began = time.time()
    subprocess.run(
        [sys.executable, "-m", "fsrun", "worker", "--drain", *words],
        env=plain | {"FSRUN_HOME": str(home.root)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with reading(engine) as connection:
        times = connection.execute(
            select(col(Attempt.started), col(Attempt.ended)).order_by(col(Attempt.started))
        ).all()
    gaps = [later.started - earlier.ended for earlier, later in pairwise(times)]
    spent = [each.ended - each.started for each in times]
    return Overhead(times[0].started - began, sum(gaps) / len(gaps), sum(spent) / len(spent))


def report_overhead(folder: Path, jobs: int) -> None:
    """Print what a job costs beside itself here, and in a slot of Ray on the loopback interface."""
    local = overhead(Home(folder / "local"), (), jobs)
    print(f"\n{jobs} jobs of {local.job:.2f} s by one worker; between two jobs, and until the first:")
    print(f"  local  {1e3 * local.each:7.1f} ms a job, {local.until_first:.1f} s until the first")
    with _loopback_cluster() as address:
        if address is None:
            print("  ray    not measured: pip install 'fsrun[ray]'")
            return
        words = ("--engine", "ray", "--address", address, "--jobs", "1")
        there = overhead(Home(folder / "ray"), words, jobs)
    print(f"  ray    {1e3 * there.each:7.1f} ms a job, {there.until_first:.1f} s until the first")


@contextmanager
def _loopback_cluster() -> Iterator[str | None]:
    """Give the address of a cluster of one node, None where ray is not installed."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray then keeps to 127.0.0.1
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        yield None
        return
    node = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": 1}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def report_store(name: str, sharing: Sharing, jobs: int, points: float) -> bool:
    """Print the limits of one store; return whether each job was finished exactly once."""
    once = sharing.times_finished == Counter({1: jobs}) and sharing.done == jobs
    print(f"\n{name}, {len(sharing.shares)} worker slots:")
    print(f"  {jobs:,} empty jobs queued in {sharing.queueing_seconds:.1f} s")
    print(f"  each claimed and finished exactly once: {'yes' if once else 'NO'}")
    print(f"  {jobs / sharing.seconds:.0f} jobs a second, median claim {sharing.claim_milliseconds:.1f} ms")
    print(f"  {sharing.processor_milliseconds:.1f} ms of its worker's processor for each job")
    print(f"  {points:,.0f} points a second, in batches of {BATCH} under the lease")
    return once


def main() -> int:
    """Return 0 where each job was finished exactly once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of writing points")
    parser.add_argument("--engine-jobs", type=int, default=20, help="jobs that time the engine; 0 for none")
    parser.add_argument("--database", nargs=2, metavar="URL", help="two empty databases beside SQLite files")
    options = parser.parse_args()
    describe("The store's limits, and an engine's overhead")
    sound = True
    with scratch() as folder:
        places: dict[str, tuple[str | Path, str | Path]] = {"SQLite": (folder / "1.db", folder / "2.db")}
        if options.database:
            places["PostgreSQL"] = (options.database[0], options.database[1])
        for name, (first, second) in places.items():
            sharing = share_out(first, processes=options.slots, jobs=options.jobs)
            points = points_per_second(second, processes=options.slots, seconds=options.seconds)
            sound &= report_store(name, sharing, options.jobs, points)
        if options.engine_jobs:
            report_overhead(folder, options.engine_jobs)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
