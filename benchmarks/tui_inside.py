"""The dashboard with a stopwatch in it, in a process and a terminal of its own; its numbers go into a file.

Not here: filling the database, the terminal, and what is made of the numbers (tui.py).
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import asyncio
import json
import os
import time

from textual import on

from fsrun.tui import app, reading
from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from fsrun.tui.messages import PictureTaken
from fsrun.tui.start import settle, settle_soon

_LOOK = 0.01  # seconds between looks at whether the UI thread is free
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Watched(Dashboard):
    """Notes with each picture what the one before cost the UI thread, in all and at most in one piece."""

    CSS_PATH = str(Path(str(app.__file__)).with_name("app.tcss"))

    def __init__(self, database: Database, pictures: int) -> None:
        super().__init__(database)
        self.pictures = pictures
        self.busy: list[float] = []  # ms of processor time from one picture to the next
        self.blocked: list[float] = []  # ms, the longest wait for the thread meanwhile
        self.resident: list[float] = []  # MiB
        self._before = 0.0
        self._longest = 0.0

    def on_mount(self) -> None:
        """Begin to watch; the library itself calls what Dashboard does here."""
        self._look(asyncio.get_running_loop().time())

    @on(PictureTaken)
    def _note(self) -> None:
        now = time.thread_time()
        self.busy.append(1e3 * (now - self._before))
        self.blocked.append(1e3 * self._longest)
        self.resident.append(resident_mb())
        self._before, self._longest = now, 0.0
        if len(self.busy) > self.pictures:
            self.exit()

    def _look(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self._longest = max(self._longest, loop.time() - due)
        loop.call_later(_LOOK, self._look, loop.time() + _LOOK)


def resident_mb() -> float:
    """Return the memory of this process that is in RAM, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB


def main() -> int:
    """Watch so many pictures, so many seconds apart, and write the numbers into a file."""
    database, out, pictures, apart = sys.argv[1:]
    reading.REFRESH_SECONDS = float(apart)
    source = Database(database)
    watched = Watched(source, int(pictures))
    # Where memory is watched, all is loaded before; else meanwhile, as in the dashboard.
    (settle_soon if float(apart) else settle)()
    watched.run()
    source.close()
    # The first cost is that of the start.
    numbers = {"busy": watched.busy[1:], "blocked": watched.blocked[1:], "resident": watched.resident[1:]}
    Path(out).write_text(json.dumps(numbers))
    return watched.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
