"""One worker over hundreds of short jobs: its memory stays flat, and it leaves nothing behind.

Not here: kills (crash.py).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.machine import describe, scratch, table
from benchmarks.processes import Crew, memory_mb, open_files, runner_of
from experiments.sweeps import Sweep, plan
from fsrun.paths import Home
from fsrun.planning import requests
from store.engine import open_store
from store.jobs import JobStatus
from store.runs import enqueue
from store.snapshot import snapshot

SAMPLE_SECONDS = 0.5
FLAT_MB = 10.0
"""How much a process may grow from its second tenth of the jobs to the last and still count as flat."""

_EXPECTED = re.compile(
    r"fsrun\.db|logs/run-\d+\.log|logs/(worker|supervisor)-[^/]+\.log"
    r"|checkpoints/(\.fsrun|[0-9a-f]{12}/(owner|run-\d+/step-\d+-attempt-1\.safetensors))"
)


@dataclass(frozen=True)
class Sample:
    """Both processes at one moment: jobs done, memory in MiB, open files; 0 for a process not there."""

    done: int
    worker_mb: float
    runner_mb: float
    worker_files: int
    runner_files: int


@dataclass(frozen=True)
class Soak:
    """What a worker did over many jobs, and what it left behind."""

    seconds: float
    exit_code: int
    not_done: int
    runners: int  # how many processes trained; one, if none had to be replaced
    samples: tuple[Sample, ...]
    strange_files: tuple[str, ...]
    processes_left: int
    mb_on_disk: float

    def tenth(self, number: int, quantity: str) -> float:
        """Return the median of a quantity over the samples of one tenth of the jobs, 0 to 9."""
        last = self.samples[-1].done + 1
        chosen = [
            sample for sample in self.samples if sample.done * 10 // last == number and sample.runner_mb
        ]
        return float(median(getattr(sample, quantity) for sample in chosen or self.samples))

    def growth(self, quantity: str) -> float:
        """Return how much a quantity grew from the second tenth of the jobs to the last."""
        return self.tenth(9, quantity) - self.tenth(1, quantity)

    @property
    def clean(self) -> bool:
        """Whether all jobs are done, nothing is left behind and memory stayed flat."""
        grew = max(self.growth("worker_mb"), self.growth("runner_mb")) > FLAT_MB
        leaked = max(self.growth("worker_files"), self.growth("runner_files")) > 2
        failed = self.exit_code or self.not_done or self.strange_files or self.processes_left
        return not (grew or leaked or failed)


def soak(folder: Path, jobs: int) -> Soak:
    """Have one worker carry out so many short runs of the linear case study below `folder`."""
    home = Home(folder / "soaked" / "home")
    temporary = folder / "temporary"
    for each in (home.root, temporary):
        each.mkdir(parents=True)
    settings = {"steps": [400], "log_every": [20], "episodes": [20]}
    planned = plan(Sweep("synthetic", ("linear",), "quick", seeds=jobs, settings=settings))
    engine = open_store(home.root / "fsrun.db")
    enqueue(engine, requests(planned), now=time.time(), provenance={})
    crew = Crew(home, {"TMPDIR": str(temporary)})
    started = time.monotonic()
    worker = crew.start("--drain")
    samples, runners = [], set[int]()

    def jobs_done() -> int:
        return snapshot(engine, now=time.time(), limit=1).counts.get(JobStatus.DONE, 0)

    try:
        while worker.poll() is None:
            runner = runner_of(worker) or 0
            runners |= {runner} - {0}
            files = (open_files(worker.pid), open_files(runner))
            samples.append(Sample(jobs_done(), memory_mb(worker.pid), memory_mb(runner), *files))
            time.sleep(SAMPLE_SECONDS)
    finally:
        processes_left = crew.clear()
    seconds, not_done = time.monotonic() - started, jobs - jobs_done()
    engine.dispose()  # its files go with the last connection
    return Soak(
        seconds=seconds,
        exit_code=worker.returncode,
        not_done=not_done,
        runners=len(runners),
        samples=tuple(samples),
        strange_files=_strange([home.root, temporary], jobs),
        processes_left=processes_left,
        mb_on_disk=sum(path.stat().st_size for path in home.root.rglob("*") if path.is_file()) / 2**20,
    )


def _strange(folders: Collection[Path], jobs: int) -> tuple[str, ...]:
    """Return files that nobody should have left, and a line where more checkpoints lie there than jobs."""
    names = [
        path.relative_to(folder).as_posix()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    strange = [name for name in names if not _EXPECTED.fullmatch(name)]
    checkpoints = sum(name.endswith(".safetensors") for name in names)
    return (*strange, *([f"{checkpoints} checkpoints"] if checkpoints > jobs else []))


def report(found: Soak, jobs: int) -> None:
    """Print the course of memory and what is left."""
    print(f"  {jobs} jobs in {found.seconds:.0f} s by {found.runners} runner process", end="")
    print(f"{'' if found.runners == 1 else 'es'}; {found.mb_on_disk:.1f} MiB on disk")
    head = ["tenth of the jobs", *(str(number + 1) for number in range(10)), "growth from 2"]
    rows: list[Sequence[str]] = []
    for title, quantity in (
        ("worker MiB", "worker_mb"),
        ("runner MiB", "runner_mb"),
        ("worker files", "worker_files"),
        ("runner files", "runner_files"),
    ):
        values = [f"{found.tenth(number, quantity):.0f}" for number in range(10)]
        rows.append([title, *values, f"{found.growth(quantity):+.1f}"])
    table(head, rows)
    print(f"  jobs not done {found.not_done}, exit code {found.exit_code}")
    print(f"  processes left {found.processes_left}")
    print(f"  files that should not be there {len(found.strange_files)} {' '.join(found.strange_files[:5])}")
    print(f"  flat and clean: {'yes' if found.clean else 'NO'}")


def main() -> int:
    """Return 0 where memory stayed flat and nothing was left behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=500)
    options = parser.parse_args()
    describe("One worker over many short jobs")
    with scratch() as folder:
        found = soak(folder, options.jobs)
        report(found, options.jobs)
        return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
