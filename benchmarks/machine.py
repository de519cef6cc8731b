"""What every benchmark says first: the machine, the versions, and how its tables look.

Not here: any measurement.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from fsrun.provenance import provenance


def describe(title: str) -> None:
    """Print what is measured, and on what."""
    facts = provenance()
    print(title)
    print(f"  {facts['processor']}; {facts['platform']}; load {os.getloadavg()[0]:.1f} at the start")
    print(
        f"  python {facts['python']}, torch {facts['torch']}, sqlite {sqlite3.sqlite_version}, "
        f"commit {facts['commit'][:12]}"
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a temporary folder that is gone at the end, also after SIGTERM; TMPDIR chooses the disk."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with TemporaryDirectory(prefix="fsrun-benchmark-") as folder:
        yield Path(folder)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text in columns, the first one flush left."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join([row[0].ljust(len(first)), *rest]))


def median_milliseconds(repeats: int, act: Callable[[], object]) -> float:
    """Return the median time of an act."""
    times = []
    for _ in range(repeats):
        started = perf_counter()
        act()
        times.append(1e3 * (perf_counter() - started))
    return median(times)
