"""Workers of one home as processes of their own: started, found, measured, ended by number.

Not here: what is done to them, and any verdict. Needs /proc.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fsrun.paths import Home

_PROC = Path("/proc")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class Crew:
    """Starts workers that know only this home; `settings` are further variables of their environment."""

    home: Home
    settings: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `fsrun worker`; what it says goes to a file beside the home."""
        plain = {name: value for name, value in os.environ.items() if name != "FSRUN_DB_URL"}
        with self.home.root.with_name("said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "fsrun", "worker", *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=plain | {"FSRUN_HOME": str(self.home.root)} | self.settings,
            )

    def said(self) -> str:
        """Return the last lines that any of the workers printed."""
        return self.home.root.with_name("said.txt").read_text(errors="replace")[-2000:]

    def alive(self) -> set[int]:
        """Return all processes whose environment names this home, runners without a worker among them."""
        named = f"FSRUN_HOME={self.home.root}".encode()
        return {pid for pid in _processes() if named in _read(pid, "environ").split(b"\0") and is_alive(pid)}

    def clear(self) -> int:
        """End whatever is left of this home, and return how many processes that were."""
        left = self.alive()
        for pid in left:
            kill(pid)
        return len(left)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for something that other processes bring about; return whether it came in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runner_of(worker: subprocess.Popen[bytes]) -> int | None:
    """Return the process that trains for this worker, None where it has none at the moment."""
    for pid in _processes():
        if _parent(pid) == worker.pid and b"fsrun.worker.runner" in _read(pid, "cmdline").split(b"\0"):
            return pid if is_alive(pid) else None
    return None


def kill(pid: int | None) -> None:
    """End a process at once, if there is one and it is still there."""
    if pid is None:
        return
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def is_alive(pid: int) -> bool:
    """Say whether a process still runs; one that only waits to be noticed as dead does not."""
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def memory_mb(pid: int) -> float:
    """Return the memory of a process that is in RAM, in MiB; 0 where it is gone."""
    pages = _read(pid, "statm").split()
    return int(pages[1]) * _PAGE_MB if pages else 0.0


def open_files(pid: int) -> int:
    """Return how many files, pipes and sockets a process holds open; 0 where it is gone."""
    try:
        return len(list((_PROC / str(pid) / "fd").iterdir()))
    except OSError:
        return 0


def _processes() -> list[int]:
    return [int(path.name) for path in _PROC.iterdir() if path.name.isdecimal()]


def _parent(pid: int) -> int:
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def _stat(pid: int) -> list[str]:
    """Return what follows the name of the program: its state, its parent, and more."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""  # gone, or somebody else's
