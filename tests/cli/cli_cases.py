"""A home for each test, and two ways to type a command: in this process (quick), or in one of its own.

Not here: any test.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from fsrun.paths import Home
from store.curves import metric_names, read_curve
from store.engine import open_store, reading
from store.jobs import JobStatus
from store.results import ResultRow
from store.runs import RunRecord, get_run
from store.snapshot import snapshot

TINY = ("--preset", "quick", "--set", "steps=400", "--set", "episodes=50")
"""Options of a synthetic run of less than a second."""

Points = dict[str, tuple[tuple[int, ...], tuple[float, ...]]]


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Standard output on one line, however it was wrapped."""
        return " ".join(self.out.split())


Typed = Callable[..., Answer]


class Case(Home):
    """A home and what lies in it."""

    def engine(self) -> Engine:
        """Open the database, made where it is missing."""
        return open_store(self.root / "fsrun.db")

    def run(self, run_id: int) -> RunRecord:
        """Return everything stored about a run."""
        return get_run(self.engine(), run_id)

    def statuses(self) -> list[JobStatus]:
        """Return the status of every run, the first run first; empty where there is no database."""
        if not (self.root / "fsrun.db").is_file():
            return []
        return [row.status for row in reversed(snapshot(self.engine(), now=0.0).runs)]

    def numbers(self, run_id: int) -> tuple[tuple[ResultRow, ...], Points]:
        """Return all a run measured: its results with every episode, and every point of every curve."""
        engine = self.engine()
        curves: Points = {}
        with reading(engine) as connection:
            for name in metric_names(connection, run_id):
                curve = read_curve(connection, run_id, name, max_points=1_000_000)
                curves[name] = (curve.steps, curve.last)
        return get_run(engine, run_id).results, curves


def environment(home: Home) -> dict[str, str]:
    """Return the environment of a command that knows only this home."""
    plain = {name: value for name, value in os.environ.items() if name != "FSRUN_DB_URL"}
    return plain | {"FSRUN_HOME": str(home.root), "COLUMNS": "160"}


def in_its_own_process(
    home: Home,
    *words: str,
    seconds: float = 120,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "fsrun"),
    folder: Path | None = None,
) -> Answer:
    """Type a command into a fresh process, whose environment has these settings besides, and wait for it.

    In another folder than the current one it is the installed fsrun that answers.
    """
    if folder is not None:
        program = ("-P", *program)
    done = subprocess.run(
        [sys.executable, *program, *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment(home) | dict(settings or {}),
        check=False,
        cwd=folder,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def assert_refused(answer: Answer, *parts: str) -> None:
    """One line on standard error that says all the parts, no traceback, exit code 1 or 2."""
    assert answer.code in (1, 2)
    assert answer.err.startswith("fsrun: ")
    assert answer.err.endswith("\n")
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err + answer.out
    assert not re.search(r"unexpected \w+Error", answer.err), answer.err
    for part in parts:
        assert part in answer.err
