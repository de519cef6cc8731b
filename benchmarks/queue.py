"""Processes share out thousands of empty jobs, each exactly once; and claims timed in ever longer queues.

Not here: training; a job is claimed and finished through the store, nothing else.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from statistics import median
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlmodel import col

from benchmarks.machine import describe, scratch, table
from store import queue
from store.engine import open_store, writing
from store.jobs import JobStatus
from store.runs import RunRequest, RunSpec, enqueue
from store.snapshot import snapshot
from store.tables import Job, Run, table_of

LEASE_SECONDS = 60.0


def empty_jobs(count: int) -> list[RunRequest]:
    """Return requests for runs that nobody will train."""
    return [
        RunRequest(
            RunSpec(
                experiment="synthetic",
                method="linear",
                preset="quick",
                seed=seed,
                n_way=None,
                k_shot=None,
                config="{}",
                config_hash=f"empty-{seed}",
                group_hash="empty",
                total_steps=0,
            )
        )
        for seed in range(count)
    ]


@dataclass(frozen=True)
class Sharing:
    """How processes shared out some jobs; `times_finished` counts, over runs, how often each was finished."""

    queueing_seconds: float  # through store.runs.enqueue, in one call
    seconds: float
    claim_milliseconds: float  # median, with all the others at it
    processor_milliseconds: float  # of the process, for one job; a server's own is not in it
    times_finished: Counter[int]
    shares: tuple[int, ...]
    done: int  # as the database says


def share_out(database: str | Path, *, processes: int, jobs: int) -> Sharing:
    """Queue empty jobs and have the processes claim and finish them all."""
    engine = open_store(database)
    started = time.perf_counter()
    enqueue(engine, empty_jobs(jobs), now=time.time(), provenance={})
    queueing_seconds = time.perf_counter() - started
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    start = context.Barrier(processes + 1)
    children = [
        context.Process(target=claim_and_finish, args=(database, f"worker-{number}", start, answers))
        for number in range(processes)
    ]
    for child in children:
        child.start()
    start.wait()
    started = time.perf_counter()
    heard = [answers.get() for _ in children]
    seconds = time.perf_counter() - started
    for child in children:
        child.join()
    return Sharing(
        queueing_seconds=queueing_seconds,
        seconds=seconds,
        claim_milliseconds=1e3 * median(took for _, times, _ in heard for took in times),
        processor_milliseconds=1e3 * sum(spent for _, _, spent in heard) / jobs,
        times_finished=Counter(Counter(run_id for run_ids, _, _ in heard for run_id in run_ids).values()),
        shares=tuple(len(run_ids) for run_ids, _, _ in heard),
        done=snapshot(engine, now=time.time(), limit=1).counts.get(JobStatus.DONE, 0),
    )


def claim_and_finish(database: str | Path, name: str, start: Barrier, answers: Any) -> None:
    """Work until the queue is empty; answer with the runs, each claim's time, and the processor's."""
    engine = open_store(database)
    run_ids, times = [], []
    start.wait()
    spent = time.process_time()
    while True:
        started = time.perf_counter()
        claim = queue.claim(engine, name, now=time.time(), lease_seconds=LEASE_SECONDS)
        if claim is None:
            break
        times.append(time.perf_counter() - started)
        queue.finish(engine, claim.run_id, claim.attempt, [], now=time.time())
        run_ids.append(claim.run_id)
    answers.put((run_ids, times, time.process_time() - spent))
    engine.dispose()


def claim_milliseconds(engine: Engine, repeats: int) -> float:
    """Return the median time of a claim by one process alone; each claimed job is finished."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        claim = queue.claim(engine, "alone", now=time.time(), lease_seconds=LEASE_SECONDS)
        times.append(1e3 * (time.perf_counter() - started))
        if claim is None:
            raise SystemExit("the queue ran dry: ask for fewer repeats")
        queue.finish(engine, claim.run_id, claim.attempt, [], now=time.time())
    return median(times)


@dataclass(frozen=True)
class Length:
    """Claims in a table of so many jobs, in milliseconds."""

    jobs: int
    all_queued: float
    priorities: float  # all queued, of ten priorities
    mostly_done: float  # a long history, and few queued


def in_a_queue_of(database: Path, jobs: int, *, repeats: int) -> Length:
    """Time claims in a fresh database that holds so many jobs."""
    engine = open_store(database)
    enqueue(engine, empty_jobs(1), now=time.time(), provenance={})
    with writing(engine) as connection:
        for model, key in ((Run, "id"), (Job, "run_id")):  # many copies of the one that was queued
            one = connection.execute(select(table_of(model))).one()
            rows = [dict(one._mapping) | {key: number} for number in range(2, jobs + 1)]
            connection.execute(insert(model), rows)
    all_queued = claim_milliseconds(engine, repeats)
    with writing(engine) as connection:
        connection.execute(update(Job).values(priority=col(Job.run_id) % 10))
    priorities = claim_milliseconds(engine, repeats)
    with writing(engine) as connection:
        early = update(Job).where(col(Job.run_id) <= jobs - 2 * repeats)
        connection.execute(early.values(status=JobStatus.DONE.value))
    mostly_done = claim_milliseconds(engine, repeats)
    engine.dispose()
    return Length(jobs, all_queued, priorities, mostly_done)


def report(sharing: Sharing, jobs: int, lengths: Sequence[Length]) -> bool:
    """Print everything; return whether each job was finished exactly once."""
    once = sharing.times_finished == Counter({1: jobs}) and sharing.done == jobs
    print(f"\n{len(sharing.shares)} processes, {jobs} empty jobs, each claimed and finished:")
    print(f"  queueing them took {sharing.queueing_seconds:.1f} s")
    print(f"  exactly once: {'yes' if once else f'NO, times finished: {dict(sharing.times_finished)}'}")
    print(
        f"  {jobs / sharing.seconds:.0f} claims (and as many finishes) a second, in {sharing.seconds:.1f} s"
    )
    print(f"  median claim {sharing.claim_milliseconds:.1f} ms, waiting for the others included")
    print(f"  shares {', '.join(map(str, sorted(sharing.shares)))}")
    print("\nOne process alone, median claim in ms:")
    head = ["jobs in the table", "all queued", "of ten priorities", "mostly done"]
    rows = [
        [
            f"{length.jobs:,}",
            f"{length.all_queued:.2f}",
            f"{length.priorities:.2f}",
            f"{length.mostly_done:.2f}",
        ]
        for length in lengths
    ]
    table(head, rows)
    return once


def main() -> int:
    """Return 0 where each job was finished exactly once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--lengths", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=100, help="claims timed in each queue")
    parser.add_argument("--database", help="URL of an empty database for the sharing; else a SQLite file")
    options = parser.parse_args()
    describe("Claiming jobs")
    with scratch() as folder:
        sharing = share_out(
            options.database or folder / "shared.db", processes=options.processes, jobs=options.jobs
        )
        lengths = [
            in_a_queue_of(folder / f"{length}.db", length, repeats=options.repeats)
            for length in options.lengths
        ]
        return 0 if report(sharing, options.jobs, lengths) else 1


if __name__ == "__main__":
    sys.exit(main())
