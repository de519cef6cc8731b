"""Runs that differ in nothing but their seed, folded into one line.

Not here: what an interval is (fsrun.intervals).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

from fsrun.intervals import interval_of
from fsrun.tui.search import Entry
from store.jobs import JobStatus
from store.views import RunRow


@dataclass(frozen=True)
class Outcome:
    """One result over the seeds that have it; `interval` is half of the 95 % interval, None where unknown."""

    name: str
    mean: float
    interval: float | None
    seeds: int


@dataclass(frozen=True)
class Group:
    """The runs of one config; `share` is how much of all their steps is done, from 0 to 1."""

    key: str
    entries: tuple[Entry, ...]
    counts: Mapping[JobStatus, int]
    share: float
    rate: float | None
    eta_seconds: float | None
    outcome: Outcome | None
    tags: tuple[str, ...]

    @property
    def first(self) -> RunRow:
        """The run that stands for what all have in common: the newest that is running, else the newest."""
        running = (entry.row for entry in self.entries if entry.row.status is JobStatus.RUNNING)
        return next(running, self.entries[0].row)


def grouped(entries: Sequence[Entry]) -> tuple[Group, ...]:
    """Return the groups in the order of their first run, given newest first."""
    members: dict[str, list[Entry]] = {}
    for entry in entries:
        members.setdefault(entry.row.group_hash, []).append(entry)
    return tuple(_folded(key, tuple(found)) for key, found in members.items())


def _folded(key: str, entries: tuple[Entry, ...]) -> Group:
    rows = [entry.row for entry in entries]
    running = [row for row in rows if row.status is JobStatus.RUNNING]
    rates = [row.rate for row in running if row.rate]
    times = [row.eta_seconds for row in running if row.eta_seconds is not None]
    return Group(
        key=key,
        entries=entries,
        counts=Counter(row.status for row in rows),
        share=sum(map(_share, rows)) / len(rows),
        rate=sum(rates) if rates else None,
        eta_seconds=max(times) if times else None,
        outcome=_outcome(rows),
        tags=tuple(sorted({tag for row in rows for tag in row.tags})),
    )


def _share(row: RunRow) -> float:
    if row.status is JobStatus.DONE:
        return 1.0
    return min(row.step / row.total_steps, 1.0) if row.total_steps else 0.0


def _outcome(rows: Sequence[RunRow]) -> Outcome | None:
    """Return the result that says most, over the newest finished run of each seed."""
    newest: dict[int, RunRow] = {}
    for row in rows:
        if row.status is JobStatus.DONE and (row.seed not in newest or row.id > newest[row.seed].id):
            newest[row.seed] = row
    for name in ("test/accuracy", "test/loss_ratio", "val/accuracy"):
        found = [row for row in newest.values() if name in row.results]
        if found:
            values = [row.results[name] for row in found]
            own = [row.intervals.get(name, nan) for row in found]
            half = interval_of(values, [None if isnan(each) else each for each in own])
            return Outcome(name, sum(values) / len(values), half, len(found))
    return None
