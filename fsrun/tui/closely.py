"""What a screen shows beyond the list of runs: curves from closer by, runs side by side, the end of a log.

Not here: reading the curves (store.views), and who asks for it (screens/).
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from fsrun.words import plain

TAIL_BYTES = 65_536
TAIL_LINES = 500


@dataclass(frozen=True)
class Closely:
    """What the next picture should hold besides.

    `window` is the first and last step of curves, None for whole ones; of the runs in `compared` only
    `metric` is read.
    """

    window: tuple[int, int] | None = None
    compared: tuple[int, ...] = ()
    metric: str = ""
    with_log: bool = False


@dataclass(frozen=True)
class LogTail:
    """The end of a run's log, ready to be shown; `lines` is None where this machine has no such file."""

    run_id: int
    path: str
    lines: tuple[str, ...] | None
    is_cut: bool = False


class LogReader:
    """Reads the end of one log again and again, from the disk only where it has changed."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] = ()
        self._last: LogTail | None = None

    def read(self, run_id: int, path: Path) -> LogTail:
        """Return the last lines, at most TAIL_LINES of at most TAIL_BYTES in all."""
        try:
            with path.open("rb") as file:
                status = path.stat()
                seen = run_id, path, status.st_ino, status.st_size, status.st_mtime_ns
                if self._last is None or seen != self._seen:
                    file.seek(max(status.st_size - TAIL_BYTES, 0))
                    self._last = _tail(run_id, path, file.read(TAIL_BYTES), status.st_size)
                    self._seen = seen
        except OSError:
            self._last = LogTail(run_id, plain(str(path)), None)
            self._seen = ()
        return self._last


def _tail(run_id: int, path: Path, end: bytes, size: int) -> LogTail:
    lines = end.decode("utf-8", errors="replace").split("\n")
    if size > len(end):
        lines = lines[1:]  # the first one is not whole
    if lines and not lines[-1]:
        lines.pop()
    # A carriage return begins the line anew, as it would in a terminal.
    shown = [plain(line.removesuffix("\r").rpartition("\r")[2]) for line in deque(lines, TAIL_LINES)]
    return LogTail(run_id, plain(str(path)), tuple(shown), size > len(end) or len(lines) > TAIL_LINES)
