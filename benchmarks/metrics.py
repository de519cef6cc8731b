"""What logging a scalar costs the training loop, beside other loggers; and opening a very long curve.

Not here: how each logger is used (candidates.py).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import math
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.candidates import CANDIDATES, FLUSH_SECONDS, NAMES, Cost
from benchmarks.machine import describe, median_milliseconds, scratch, table
from benchmarks.queue import empty_jobs
from fsrun.plot import Series, draw_chart
from store import queue
from store.curves import Point, read_curve, write_points
from store.engine import open_store, reading
from store.runs import enqueue

OURS, PLAIN = "fsrun", "sqlite3, batched"
BATCH = 100_000  # points a transaction while the long curve is made
SHOWN = 500  # points
OPEN_GOAL_MS = 50.0
PACE = 0.01  # seconds a step of the paced loop takes


@dataclass(frozen=True)
class Medians:
    """One candidate's medians: microseconds a scalar, bytes a point; or why there are none."""

    name: str
    version: str = ""
    paced: float = math.nan  # inside the loop, a step every PACE seconds
    flat_out: float = math.nan  # inside the loop
    in_all: float = math.nan  # flat out, until everything is in the files
    cpu: float = math.nan  # of the whole process, a step every PACE seconds
    bytes_each: float = math.nan
    missing: str = ""


def compare(peers: str | None, folder: Path, *, seconds: float, trials: int) -> list[Medians]:
    """Measure every candidate, each trial in a process and a folder of its own, in turn."""
    pythons = {name: peers if package else sys.executable for name, (_, package) in CANDIDATES.items()}
    found: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in CANDIDATES}
    missing: dict[str, str] = {}
    for trial in range(trials):
        for place, (name, python) in enumerate(pythons.items()):
            if python is None:
                missing[name] = "give --peers PYTHON, one that has it"
            if name in missing or python is None:
                continue
            try:
                fresh = [folder / f"{trial}-{place}-{kind}" for kind in ("paced", "flat-out")]
                paced = _measure(python, name, fresh[0], seconds, PACE)
                found[name].append((paced, _measure(python, name, fresh[1], seconds, 0.0)))
            except (subprocess.SubprocessError, ValueError) as error:
                missing[name] = _reason(error)
    return [_medians(name, found[name], missing.get(name, "")) for name in CANDIDATES]


def _measure(python: str, name: str, folder: Path, seconds: float, pace: float) -> Cost:
    folder.mkdir()
    script = Path(__file__).with_name("candidates.py")
    done = subprocess.run(
        [python, str(script), name, str(folder), str(seconds), str(pace)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60 + 10 * seconds,
        cwd=folder,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _reason(error: Exception) -> str:
    """Return the last line of what a candidate said before it failed."""
    said = str(getattr(error, "stderr", "") or "").strip().splitlines()
    return said[-1] if said else str(error)


def _medians(name: str, costs: Sequence[tuple[Cost, Cost]], missing: str) -> Medians:
    if missing:
        return Medians(name, missing=missing)
    return Medians(
        name,
        version=costs[0][0].version,
        paced=median(paced.loop for paced, _ in costs),
        flat_out=median(flat.loop for _, flat in costs),
        in_all=median(flat.in_all for _, flat in costs),
        cpu=median(paced.cpu for paced, _ in costs),
        bytes_each=median(flat.bytes_each for _, flat in costs),
    )


def report_costs(rows: Sequence[Medians], trials: int) -> None:
    """Print the medians, and how ours stand to plain sqlite3 and to the cheapest of the others."""
    print(f"\nMicroseconds a scalar, {len(NAMES)} scalars a step, medians of {trials} trials:")
    paced = f"loop, {1 / PACE:.0f} steps/s"
    head = ["", paced, "its process", "loop, flat out", "flat out, until filed", "bytes a point"]
    measured = [row for row in rows if not row.missing]
    table(
        head,
        [
            [
                f"{row.name} {row.version}",
                f"{row.paced:.2f}",
                f"{row.cpu:.1f}",
                f"{row.flat_out:.1f}",
                f"{row.in_all:.1f}",
                f"{row.bytes_each:.0f}",
            ]
            for row in measured
        ],
    )
    for row in rows:
        if row.missing:
            print(f"  {row.name}: not measured: {row.missing}")
    for title in ("paced", "flat_out"):
        costs: dict[str, float] = {row.name: getattr(row, title) for row in measured}
        ratio = costs[OURS] / costs[PLAIN]
        print(f"  {title.replace('_', ' ')}: {ratio:.1f} times plain sqlite3 (goal: at most 2)", end="")
        others = [row.name for row in measured if row.version]
        if others:
            cheapest = min(others, key=costs.__getitem__)
            times = costs[cheapest] / costs[OURS]
            print(f"; {cheapest} costs {times:.1f} times ours (goal: at least 10)", end="")
        print()
    print("  its process: processor time of all its threads, the loop around the logging included")
    print(f"  sqlite3 and fsrun write every {FLUSH_SECONDS} s; fsrun keeps summaries and checks the lease")


@dataclass(frozen=True)
class LongCurve:
    """Making and opening one long curve; times in milliseconds, `first` in a process new to the file."""

    points: int
    microseconds_each: float  # to write
    bytes_each: float
    entries: int
    first: float
    read: float
    draw: float


def long_curve(database: Path, points: int, *, repeats: int) -> LongCurve:
    """Write one curve of so many points, then read it for a screen and draw it."""
    engine = open_store(database)
    enqueue(engine, empty_jobs(1), now=time.time(), provenance={})
    claim = queue.claim(engine, "benchmark", now=time.time(), lease_seconds=1e6)
    if claim is None:
        raise SystemExit("the job just queued cannot be claimed")
    started = time.perf_counter()
    for begin in range(0, points, BATCH):
        steps = range(begin, min(begin + BATCH, points))
        batch = [
            Point("train/loss", step, math.sin(step / 1e5) + step % 7 / 50, float(step)) for step in steps
        ]
        now = time.time()
        write_points(engine, claim.run_id, claim.attempt, batch, step=steps[-1], rate=None, now=now)
    seconds = time.perf_counter() - started
    engine.dispose()

    engine = open_store(database)

    def read() -> Series:
        with reading(engine) as connection:
            curve = read_curve(connection, claim.run_id, "train/loss", max_points=SHOWN)
        return Series("train/loss", curve.steps, curve.mean, curve.low, curve.high)

    first = median_milliseconds(1, lambda: draw_chart([read()], width=120, height=30))
    series = read()
    return LongCurve(
        points=points,
        microseconds_each=1e6 * seconds / points,
        bytes_each=database.stat().st_size / points,
        entries=len(series.steps),
        first=first,
        read=median_milliseconds(repeats, read),
        draw=median_milliseconds(repeats, lambda: draw_chart([series], width=120, height=30)),
    )


def report_long_curve(curve: LongCurve) -> None:
    """Print what opening the long curve took."""
    print(
        f"\nA curve of {curve.points:,} points, shown as {curve.entries} entries (at most {SHOWN} asked for):"
    )
    print(f"  written at {curve.microseconds_each:.1f} us a point in batches of {BATCH:,}", end="")
    print(f"; {curve.bytes_each:.1f} bytes a point with all summaries")
    print(f"  first opening after connecting, read and drawn: {curve.first:.1f} ms")
    print(f"  median: read {curve.read:.1f} ms, draw {curve.draw:.1f} ms", end="")
    print(f", together {curve.read + curve.draw:.1f} ms (goal: {OPEN_GOAL_MS:.0f})")


def main() -> int:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--peers", help="a Python that has the others: pip install trackio tensorboard torch mlflow aim"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each loop")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--points", type=int, default=10_000_000, help="length of the long curve; 0 for none")
    parser.add_argument("--repeats", type=int, default=50, help="openings of the long curve")
    options = parser.parse_args()
    describe("Logging scalars, and opening curves")
    with scratch() as folder:
        rows = compare(options.peers, folder, seconds=options.seconds, trials=options.trials)
        report_costs(rows, options.trials)
        if options.points:
            report_long_curve(long_curve(folder / "long.db", options.points, repeats=options.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
