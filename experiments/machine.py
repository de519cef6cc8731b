"""What operating systems do differently: usable cores, locks between processes, a new Python, a user's home.

Not here: what a job computes on (fsrun.worker.devices). docs/reference/platforms.md lists what needs Linux.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import ConfigError


def usable_cores() -> int:
    """Return how many cores this process may use; where the system does not say, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows


def requested_threads() -> int | None:
    """Return OMP_NUM_THREADS, None where it is not set to a number above 0."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) or None if text.isdecimal() else None


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a file, made where it is missing, and say whether this process has it.

    The system gives the lock back when the process ends, however it ends. Without `wait` the answer is False
    while another process has it. Raises OSError where the file cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if wait else 0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def python_command(*words: str) -> list[str]:
    """Return the command line of a new Python that imports nothing from the current folder.

    The folder may hold an `experiments` or a `random.py` of the user's own, which `python -m` would take.
    """
    return [sys.executable, "-P", *words]


def expanded(path: str | Path) -> Path:
    """Return a path that a user wrote with its ~ filled in; ConfigError where that user has no home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: the home of {Path(path).parts[0]} is not known; write it out") from error
