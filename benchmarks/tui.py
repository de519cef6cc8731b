"""The dashboard with very many runs and a very long curve that still grows: how soon, how smooth, how quiet.

Not here: the stopwatch in the dashboard (tui_inside.py), and how others show the same curve (tui_peers.py).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import multiprocessing
import os
import pty
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from multiprocessing.synchronize import Event
from select import select
from statistics import linear_regression, median, quantiles
from termios import TIOCSWINSZ
from threading import Thread

import psutil
from sqlalchemy import Engine

from benchmarks.machine import describe, scratch, table
from benchmarks.tui_peers import PATIENCE, TAG, has_braille, peers, value
from experiments.sweeps import Sweep, plan
from fsrun.planning import requests
from store import queue, workers
from store.curves import Point, write_points
from store.engine import open_store
from store.results import ResultRow
from store.runs import RunRequest, enqueue

COLUMNS, LINES = 160, 50
LEASE_SECONDS = 1e6
APART = 0.5  # seconds between two refreshes, the dashboard's own
HOUR = round(3600 / APART)  # refreshes
BATCH = 100_000  # points a transaction while the long curve is made
GROWTH_SECONDS = 0.25
GROWTH = 25  # points each
FIRST_GOAL, MEDIAN_GOAL, WORST_GOAL, IDLE_GOAL = 1.0, 16.0, 50.0, 2.0  # seconds, ms, ms, % of a core


@dataclass(frozen=True)
class Refreshes:
    """What pictures cost the UI thread, ms, and the memory at each, MiB."""

    busy: Sequence[float]
    blocked: Sequence[float]
    resident: Sequence[float]


def fill(database: Path, runs: int, points: int) -> queue.Claim:
    """Fill a database: so many runs, most of them done, and a running one with so many points of a curve."""
    engine = open_store(database)
    asked = enqueue(engine, _asked(runs), now=time.time(), provenance={})
    for number, each in enumerate(asked[: runs - runs // 10]):
        claim = _claim(engine, each.run_id)
        write_points(engine, each.run_id, 1, _points(range(1, 21)), step=20, rate=4.0, now=time.time())
        if number % 10:
            accuracy = ResultRow("test/accuracy", 0.9 + number % 97 / 1000, 0.001, 1000)
            queue.finish(engine, each.run_id, claim.attempt, [accuracy], now=time.time())
        else:
            queue.fail(engine, each.run_id, claim.attempt, "ValueError: no", now=time.time())
    (long,) = enqueue(engine, _asked(1, settings={"steps": [100_000_000]}), now=time.time(), provenance={})
    claim = _claim(engine, long.run_id)
    for begin in range(0, points, BATCH):
        batch = _points(range(begin, min(begin + BATCH, points)))
        write_points(
            engine, long.run_id, claim.attempt, batch, step=begin + len(batch), rate=40.0, now=time.time()
        )
    engine.dispose()
    return claim


def _asked(runs: int, **options: object) -> list[RunRequest]:
    methods = ("protonet",) if runs == 1 else ("protonet", "maml", "matching", "siamese")
    sweep = Sweep("omniglot", methods, "quick", seeds=max(runs // len(methods), 1), **options)  # type: ignore[arg-type]
    return list(requests(plan(sweep)))


def _points(steps: Sequence[int]) -> list[Point]:
    return [Point(TAG, step, value(step), float(step)) for step in steps]


def _claim(engine: Engine, run_id: int) -> queue.Claim:
    claim = queue.claim(
        engine,
        "benchmark",
        now=time.time(),
        lease_seconds=LEASE_SECONDS,
        only=[run_id],
        device="cpu",
    )
    if claim is None:
        raise SystemExit(f"run {run_id}, just queued, cannot be claimed")
    return claim


def _grow(database: Path, claim: queue.Claim, begin: int, stop: Event) -> None:
    """Write further points like a worker, until told to stop."""
    engine = open_store(database)
    workers.register(engine, "benchmark", host="here", pid=os.getpid(), device="cpu", now=time.time())
    while not stop.wait(GROWTH_SECONDS):
        batch = _points(range(begin, begin := begin + GROWTH))
        write_points(engine, claim.run_id, claim.attempt, batch, step=begin, rate=100.0, now=time.time())
        workers.beat(engine, "benchmark", time.time(), claim.run_id)
    engine.dispose()


@contextmanager
def growing(database: Path, claim: queue.Claim, points: int) -> Iterator[None]:
    """Have the long curve grow meanwhile, from another process."""
    fresh = multiprocessing.get_context("spawn")
    stop = fresh.Event()
    writer = fresh.Process(target=_grow, args=(database, claim, points, stop), daemon=True)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


@contextmanager
def terminal(words: Sequence[str], home: Path) -> Iterator[tuple[int, int]]:
    """Start a program in a terminal of its own; gives its number and the terminal, and ends it at last."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(FSRUN_HOME=str(home), TERM="xterm-256color", COLORTERM="truecolor")
        os.execv(words[0], [*words])
    ioctl(master, TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    try:
        yield pid, master
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


def read_until(master: int, is_there: Callable[[bytes], bool], seconds: float) -> None:
    """Read what the program draws until it is there."""
    seen, deadline = b"", time.monotonic() + seconds
    while not is_there(seen):
        if time.monotonic() > deadline:
            raise SystemExit(f"not drawn in {seconds:.0f} s")
        if select([master], [], [], 0.05)[0]:
            try:
                seen = seen[-1_000_000:] + os.read(master, 65_536)
            except OSError as error:  # the program has ended
                if is_there(seen):
                    return
                raise SystemExit(f"ended early: {seen[-500:].decode(errors='replace')}") from error


def first_picture(home: Path, run_id: int) -> float:
    """Return the seconds from typing `fsrun tui` until the list and the long curve are drawn."""
    started = time.perf_counter()
    with terminal([sys.executable, "-m", "fsrun", "tui"], home) as (_, master):
        read_until(master, lambda seen: f"#{run_id} ".encode() in seen and has_braille(seen), 60)
        return time.perf_counter() - started


def imports() -> float:
    """Return the seconds Python takes to load what the dashboard is made of, and to end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import fsrun.tui.start"], check=True)
    return time.perf_counter() - started


def refreshes(home: Path, out: Path, pictures: int, apart: float) -> Refreshes:
    """Let the dashboard take so many pictures, and return what each cost."""
    script = Path(__file__).with_name("tui_inside.py")
    words = [sys.executable, str(script), str(home / "fsrun.db"), str(out), str(pictures), str(apart)]
    with terminal(words, home) as (_, master):
        read_until(
            master, lambda _: out.exists() and out.stat().st_size > 0, 60 + pictures * (1 + 20 * apart)
        )
        time.sleep(0.2)  # until the file is whole
    return Refreshes(**json.loads(out.read_text()))


def idle(home: Path, seconds: float) -> float:
    """Return the share of a core, in percent, that the dashboard uses while nothing changes."""
    with terminal([sys.executable, "-m", "fsrun", "tui"], home) as (pid, master):
        read_until(master, has_braille, 60)
        drain = Thread(target=_drain, args=(master,), daemon=True)
        drain.start()
        time.sleep(5)
        process = psutil.Process(pid)
        before = sum(process.cpu_times()[:2])
        time.sleep(seconds)
        return float(100 * (sum(process.cpu_times()[:2]) - before) / seconds)


def _drain(master: int) -> None:
    try:
        while os.read(master, 65_536):
            pass
    except OSError:
        return


def report_refreshes(found: Refreshes, apart: float) -> None:
    """Print what a refresh costs the UI thread."""
    print(f"\nA refresh, {len(found.busy)} of them {apart} s apart, all with new points:")
    table(
        ["", "median", "95 %", "worst"],
        [_line("processor time of the UI thread, ms", found.busy), _line("in one piece, ms", found.blocked)],
    )
    print(f"  goal: {MEDIAN_GOAL:.0f} ms median, {WORST_GOAL:.0f} ms worst")


def _line(name: str, values: Sequence[float]) -> list[str]:
    high = quantiles(values, n=20)[-1]
    return [name, f"{median(values):.1f}", f"{high:.1f}", f"{max(values):.1f}"]


def report_memory(found: Refreshes, pace: str) -> None:
    """Print how memory grew over many refreshes: where it levels off, the last part tells."""
    resident = found.resident
    early, late = median(resident[len(resident) // 10 :][:20]), median(resident[-20:])
    print(
        f"\nMemory over {len(resident):,} refreshes {pace}, of which an hour has {HOUR:,}: "
        f"{early:.1f} MiB after a tenth, {late:.1f} MiB at the end ({late - early:+.1f})"
    )
    quarters = [
        growth(resident[len(resident) * part // 4 : len(resident) * (part + 1) // 4]) for part in range(4)
    ]
    print(f"  MiB per 1,000 refreshes, quarter by quarter: {', '.join(f'{each:+.2f}' for each in quarters)}")


def growth(resident: Sequence[float]) -> float:
    """Return by how much memory grew per 1,000 refreshes: the slope of the line that fits best."""
    if len(resident) < 2:
        return 0.0
    return 1000 * linear_regression(range(len(resident)), resident).slope


def main() -> int:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--peers", help="a Python that has the others: pip install tensorboard wandb playwright"
    )
    parser.add_argument(
        "--peer-points",
        type=int,
        nargs="+",
        default=[1_000_000, 100_000, 20_000],
        help="lengths of the curve for the others, each of which gets the first that it reads in time",
    )
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds the others have")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10_000_000, help="length of the long curve")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--refreshes", type=int, default=100, help="at the dashboard's own pace")
    parser.add_argument("--fast", type=int, default=2000, help="refreshes over which memory is watched")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of watching nothing happen")
    options = parser.parse_args()
    describe(f"The dashboard, {options.runs:,} runs, a curve of {options.points:,} points that grows")
    with scratch() as folder:
        home = folder / "home"
        home.mkdir()
        claim = fill(home / "fsrun.db", options.runs, options.points)
        with growing(home / "fsrun.db", claim, options.points):
            starts = [first_picture(home, claim.run_id) for _ in range(options.starts)]
            loading = median(imports() for _ in range(options.starts))
            print(f"\nFirst picture {median(starts):.2f} s after typing fsrun tui, worst {max(starts):.2f} s")
            print(f"  of that, Python and its modules: {loading:.2f} s (goal: {FIRST_GOAL:.0f} s in all)")
            slow = refreshes(home, folder / "slow.json", options.refreshes, APART)
            report_refreshes(slow, APART)
            report_memory(slow, f"{APART} s apart")
            report_memory(refreshes(home, folder / "fast.json", options.fast, 0.0), "as fast as they go")
        print(
            f"\nWhile nothing changes: {idle(home, options.idle):.1f} % of a core (goal: {IDLE_GOAL:.0f} %)"
        )
        print("\nFirst picture of a curve that does not grow:")
        alone = folder / "alone"
        alone.mkdir()
        lone = fill(alone / "fsrun.db", 4, options.peer_points[0])
        starts = [first_picture(alone, lone.run_id) for _ in range(options.starts)]
        print(f"  fsrun, {options.peer_points[0]:,} points: {median(starts):.2f} s, the whole curve")
        for line in peers(options.peers, folder, options.peer_points, options.patience):
            print(f"  {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
