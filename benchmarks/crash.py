"""Kills runners and workers at random moments, and compares every run with the one that nobody disturbed.

Not here: what the store does about it. Moments are drawn from a seed, but the machine decides what they hit.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import random
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from benchmarks.final_state import Difference, FinalState, difference, final_state
from benchmarks.machine import describe, scratch
from benchmarks.processes import Crew, kill, runner_of, wait_until
from benchmarks.small_jobs import small_jobs
from fsrun.paths import Home
from store import queue
from store.engine import open_store
from store.jobs import JobStatus, Outcome
from store.runs import RunRequest, enqueue, get_run
from store.snapshot import snapshot
from store.views import RunRow

LEASE_SECONDS = 4.0
"""Short, so that a job whose worker and runner both died is soon taken over."""

TARGETS = ("runner", "worker", "both")
PATIENCE = 120.0  # seconds until a worker must have got a job going
MANY = 10**6  # runs


def undisturbed_states(crew: Crew, jobs: Sequence[RunRequest]) -> dict[str, FinalState]:
    """Have one worker carry out each config in peace; return config hash -> final state."""
    engine = open_store(crew.home.root / "fsrun.db")
    enqueue(engine, jobs, now=time.time(), provenance={})
    code = crew.start("--drain").wait()
    rows = snapshot(engine, now=time.time(), limit=MANY).runs
    if code or any(row.status is not JobStatus.DONE for row in rows):
        raise SystemExit(f"the undisturbed runs did not end well: {crew.said()}")
    return {get_run(engine, row.id).spec.config_hash: final_state(engine, crew.home, row.id) for row in rows}


@dataclass
class Disturbance:
    """Workers that are killed and replaced, and what happened to them."""

    crew: Crew
    engine: Engine
    jobs: Sequence[RunRequest]
    rng: random.Random
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)  # by target
    moments: Counter[str] = field(default_factory=Counter)  # what the victim was doing
    given_up: int = 0  # jobs that three crashes in a row ended, and that were then retried
    ended_alone: int = 0  # workers that nobody had killed

    def run(self, count: int, *, workers: int) -> None:
        """Kill so many times while the queue never runs dry, then let everything come to its end."""
        self.workers = [self.crew.start() for _ in range(workers)]
        while self.kills.total() < count:
            self.keep_busy()
            self.strike(self.rng.randrange(workers), self.rng.choice(TARGETS))
        wait_until(self.all_over, 10 * PATIENCE)
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(PATIENCE)

    def keep_busy(self) -> None:
        """Queue all jobs once more when few are left, and retry what was given up."""
        self.retry_given_up()
        counts = snapshot(self.engine, now=time.time(), limit=1).counts
        if counts.get(JobStatus.QUEUED, 0) < len(self.workers):
            enqueue(self.engine, self.jobs, now=time.time(), provenance={})

    def retry_given_up(self) -> None:
        """Queue again what three crashes in a row have ended: here the job is not to blame."""
        for row in snapshot(self.engine, now=time.time(), limit=MANY).runs:
            if row.status is JobStatus.FAILED and str(row.error).startswith("crashed"):
                queue.retry(self.engine, [row.id], time.time())
                self.given_up += 1

    def strike(self, place: int, target: str) -> None:
        """Kill one worker, its runner or both, and put a new worker where one has gone."""
        worker = self.workers[place]
        if self.rng.random() < 0.75:  # else the moment is any, also while a process only starts
            wait_until(lambda: self.doing(worker) == "training" or worker.poll() is not None, PATIENCE)
        time.sleep(self.rng.uniform(0.0, 1.5))
        runner = runner_of(worker)
        if worker.poll() is not None:
            self.ended_alone += 1
        elif runner is None and target != "worker":
            return  # between two processes: not a kill
        else:
            self.moments[self.doing(worker)] += 1
            self.kills[target] += 1
            victims = [runner] * (target != "worker") + [worker.pid] * (target != "runner")
            self.rng.shuffle(victims)
            for pid in victims:
                kill(pid)
        if target != "runner" or worker.poll() is not None:
            worker.wait()
            self.workers[place] = self.crew.start()

    def doing(self, worker: subprocess.Popen[bytes]) -> str:
        """Return what a worker is about, as far as the database knows."""
        row = self.row_of(worker)
        if row is None:
            return "between jobs"
        if row.step == 0:
            return "starting"
        return "training" if row.step < row.total_steps else "measuring"

    def row_of(self, worker: subprocess.Popen[bytes]) -> RunRow | None:
        """Return the run that a worker has claimed."""
        name = f"{socket.gethostname()}-{worker.pid}"
        rows = snapshot(self.engine, now=time.time(), limit=1).runs  # and all that are running
        return next((row for row in rows if row.status is JobStatus.RUNNING and row.worker_id == name), None)

    def all_over(self) -> bool:
        """Say whether nothing is left to do."""
        self.retry_given_up()
        counts = snapshot(self.engine, now=time.time(), limit=1).counts
        return not counts.get(JobStatus.QUEUED) and not counts.get(JobStatus.RUNNING)


@dataclass(frozen=True)
class Verdict:
    """What all the kills have changed; every number but the first should be 0."""

    runs: int
    lost_points: int
    doubled_points: int
    runs_that_differ: dict[int, tuple[str, ...]]  # run -> what differs
    runs_not_done: dict[int, str]
    processes_left: int
    workers_ended_alone: int

    @property
    def flawless(self) -> bool:
        """Whether everything came out as if nothing had happened."""
        return not (
            self.lost_points
            or self.doubled_points
            or self.runs_that_differ
            or self.runs_not_done
            or self.processes_left
            or self.workers_ended_alone
        )


def judge(disturbance: Disturbance, undisturbed: dict[str, FinalState]) -> Verdict:
    """Compare every run with the undisturbed one of the same config."""
    engine = disturbance.engine
    rows = snapshot(engine, now=time.time(), limit=MANY).runs
    differences: dict[int, Difference] = {}
    for row in rows:
        if row.status is JobStatus.DONE:
            known = undisturbed[get_run(engine, row.id).spec.config_hash]
            differences[row.id] = difference(known, final_state(engine, disturbance.crew.home, row.id))
    wait_until(lambda: not disturbance.crew.alive(), 10)
    return Verdict(
        runs=len(rows),
        lost_points=sum(each.lost_points for each in differences.values()),
        doubled_points=sum(each.doubled_points for each in differences.values()),
        runs_that_differ={run_id: each.parts for run_id, each in differences.items() if each.parts},
        runs_not_done={row.id: str(row.error) for row in rows if row.status is not JobStatus.DONE},
        processes_left=disturbance.crew.clear(),
        workers_ended_alone=disturbance.ended_alone,
    )


def disturbed(
    folder: Path,
    jobs: Sequence[RunRequest],
    *,
    kills: int,
    seed: int,
    workers: int,
    database: str | None = None,
) -> tuple[Disturbance, Verdict]:
    """Carry out the jobs in peace, then under fire, below `folder`; return what happened and the verdict."""
    homes = [Home(folder / name / "home") for name in ("undisturbed", "disturbed")]
    for home in homes:
        home.root.mkdir(parents=True)
        if (folder / "data").is_dir():
            home.data.symlink_to(folder / "data")
    peace = Crew(homes[0])
    settings = {"FSRUN_LEASE_SECONDS": str(LEASE_SECONDS)} | ({"FSRUN_DB_URL": database} if database else {})
    crew = Crew(homes[1], settings)
    disturbance = Disturbance(
        crew, open_store(database or homes[1].root / "fsrun.db"), jobs, random.Random(seed)
    )
    if snapshot(disturbance.engine, now=time.time(), limit=1).runs:
        raise SystemExit("the database holds runs already: give an empty one")
    try:
        undisturbed = undisturbed_states(peace, jobs)
        disturbance.run(kills, workers=workers)
        return disturbance, judge(disturbance, undisturbed)
    finally:
        peace.clear()
        crew.clear()


def report(disturbance: Disturbance, verdict: Verdict, seconds: float) -> None:
    """Print what was done and what it changed."""
    attempts = [
        attempt
        for row in snapshot(disturbance.engine, now=time.time(), limit=MANY).runs
        for attempt in get_run(disturbance.engine, row.id).attempts
    ]
    ends = Counter(attempt.outcome for attempt in attempts)
    resumed = sum(attempt.from_step > 0 for attempt in attempts)
    print(f"  kills                   {disturbance.kills.total()}  ({_counted(disturbance.kills)})")
    print(f"  while the victim was    {_counted(disturbance.moments)}")
    print(f"  jobs                    {verdict.runs}, in {len(attempts)} attempts, {seconds:.0f} s")
    print(f"  attempts resumed        {resumed} from a checkpoint, the others from the start")
    print(f"  attempts ended          {', '.join(f'{ends[each]} {each}' for each in Outcome if ends[each])}")
    print(f"  given up after 3 crashes without progress, retried here: {disturbance.given_up}")
    print(f"  lost points             {verdict.lost_points}")
    print(f"  doubled points          {verdict.doubled_points}")
    print(f"  runs that differ        {len(verdict.runs_that_differ)}  {verdict.runs_that_differ or ''}")
    print(f"  runs not done           {len(verdict.runs_not_done)}  {verdict.runs_not_done or ''}")
    print(f"  workers ended alone     {verdict.workers_ended_alone}")
    print(f"  processes left          {verdict.processes_left}")


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


def main() -> int:
    """Return 0 where nothing was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="draws victims and moments")
    parser.add_argument("--workers", type=int, default=2, help="workers at a time")
    parser.add_argument("--size", type=int, default=1, help="times as many steps in every job")
    parser.add_argument("--database", help="URL of an empty database; a SQLite file without it")
    parser.add_argument(
        "--omniglot", type=Path, help="folder with the two official zips; drawn glyphs without it"
    )
    options = parser.parse_args()
    describe("kill -9 at random moments")
    with scratch() as folder:
        images = "glyphs"
        if options.omniglot:
            from experiments.data.omniglot import import_omniglot

            images = "omniglot"
            import_omniglot(options.omniglot, folder / "data")
        started = time.monotonic()
        disturbance, verdict = disturbed(
            folder,
            small_jobs(images, size=options.size),
            kills=options.kills,
            seed=options.seed,
            workers=options.workers,
            database=options.database,
        )
        report(disturbance, verdict, time.monotonic() - started)
        if not verdict.flawless:
            print(disturbance.crew.said())
        return 0 if verdict.flawless else 1


if __name__ == "__main__":
    sys.exit(main())
