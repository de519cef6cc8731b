"""Workers in processes of their own, and the same jobs carried out in this one.

Not here: any test. Homes and commands are those of the command line's tests.
"""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from experiments.sweeps import Sweep, plan
from fsrun.checkpoint_files import prepare
from fsrun.planning import requests
from store.queue import Claim, claim
from store.runs import enqueue
from tests.cli.cli_cases import Case, environment

STEPS = 6000
LONG = (
    *("--preset", "quick", "--set", f"steps={STEPS}", "--set", "log_every=20", "--set", "episodes=50"),
    *("--set", "sampler=direct"),
)
"""Options of a synthetic run of a few seconds that looks up several times a second."""

PATIENCE = 60.0  # seconds
DYING = 10.0  # seconds that a process which was killed may take to free its memory


def wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for something that other processes bring about.

    A look counts for a second at most: a machine that stood still for a while has used up no patience.
    """
    looked_at = time.monotonic()
    while not condition():
        now = time.monotonic()
        patience -= min(now - looked_at, 1.0)
        looked_at = now
        assert patience > 0, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def working(home: Case, *words: str, patience: float = PATIENCE) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a process of its own; at the end neither it nor a child of it may be left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fsrun", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
    )
    seen: set[int] = set()
    try:
        with process:
            try:
                yield process
                process.wait(patience)
            except BaseException:
                process.kill()  # else a test that failed would wait for it
                raise
    finally:
        seen |= runners(home)
        if process.poll() is None:
            process.kill()
            process.wait()
        deadline = time.monotonic() + DYING
        while any(map(is_alive, seen)) and time.monotonic() < deadline:
            time.sleep(0.02)
        left = {pid for pid in seen if is_alive(pid)}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert left == set(), "a runner outlived its worker"


def runners(home: Case) -> set[int]:
    """Return the processes that train for workers of this home."""
    return processes_of("fsrun.worker.runner", home)


def processes_of(module: str, home: Case, *settings: str) -> set[int]:
    """Return the processes that run a module for this home, with NAME=VALUE in their environment besides."""
    named = {f"FSRUN_HOME={home.root}", *settings}
    return {pid for pid in _processes() if _runs(pid, module, named)}


def the_runner(home: Case) -> int:
    """Wait for the one runner of this home, and return its process."""
    wait_until(lambda: len(runners(home)) == 1)
    return runners(home).pop()


@contextmanager
def suspended(runner: int) -> Iterator[None]:
    """Suspend a runner, whose run cannot end by itself before it has heard what is ordered meanwhile."""
    os.kill(runner, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # a test may have killed it
            os.kill(runner, signal.SIGCONT)


def go_on_until(condition: Callable[[], bool], runner: int) -> None:
    """Let a suspended runner go on for moments, so that it cannot be done before the condition is seen."""
    for _ in range(2000):
        if condition():
            return
        os.kill(runner, signal.SIGCONT)
        time.sleep(0.05)
        os.kill(runner, signal.SIGSTOP)
    raise AssertionError("it did not happen in time")


@contextmanager
def held_under_way(home: Case, runner: int | None = None, run_id: int = 1) -> Iterator[int]:
    """Suspend a runner once its run has made a step, and yield its process.

    It is suspended from its start on, so that its run cannot be done before the test acts.
    """
    process = runner or the_runner(home)
    with suspended(process):
        go_on_until(
            lambda: bool(home.statuses()) and home.run(run_id).step > 0 and _may_be_written(home), process
        )
        yield process


def _may_be_written(home: Case) -> bool:
    """Say whether nobody holds the database's lock, as a process does that is suspended while it writes."""
    with closing(sqlite3.connect(home.root / "fsrun.db", timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
    return True


def wait_until_told(runner: int) -> None:
    """Wait until a suspended runner's worker has told it something, which then lies in the pipe."""
    wait_until(lambda: _unread(runner) > 0)


def _unread(pid: int) -> int:
    descriptor = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
    finally:
        os.close(descriptor)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _runs(pid: int, module: str, settings: set[str]) -> bool:
    folder = Path("/proc") / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")
        named = (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # gone, or somebody else's
    return module.encode() in words and {each.encode() for each in settings} <= set(named)


def is_alive(pid: int) -> bool:
    """Say whether a process still runs; one that only waits to be noticed as dead does not."""
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def ask(
    home: Case, experiment: str, method: str, settings: Mapping[str, Sequence[Any]], *, seeds: int = 1
) -> list[int]:
    """Queue a sweep, and return the numbers of its runs."""
    planned = plan(Sweep(experiment, (method,), "quick", seeds=seeds, settings=settings))
    asked = enqueue(home.engine(), requests(planned), now=time.time(), provenance={})
    return [each.run_id for each in asked]


def ask_for_the_long_run(home: Case, steps: int = STEPS) -> int:
    """Queue what LONG describes, or a longer one: where the machine is busy, that may be over too soon."""
    return ask(
        home,
        "synthetic",
        "linear",
        {"steps": [steps], "log_every": [20], "episodes": [50], "sampler": ["direct"]},
    )[0]


def take(home: Case) -> Claim:
    """Claim the next job, which must be there, in a home that is prepared as by a worker."""
    prepare(home.engine(), home, time.time())
    taken = claim(home.engine(), "here", now=time.time(), lease_seconds=60)
    assert taken is not None
    return taken


def after(chunks: int) -> Callable[[], bool]:
    """Return a should_stop that says yes after so many chunks."""
    asked = count()
    return lambda: next(asked) >= chunks


def never() -> bool:
    """Go on to the end."""
    return False
