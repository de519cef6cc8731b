"""From the runs of a picture to the lines of the list: searched, sorted, folded.

Not here: how a line is drawn (fsrun.tui.columns, fsrun.tui.widgets.run_table).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from fsrun.tui.columns import Column, SortKey, column
from fsrun.tui.groups import Group, grouped
from fsrun.tui.search import Entry, matcher
from fsrun.words import status_word
from store.jobs import JobStatus
from store.snapshot import Snapshot
from store.views import RunRow


@dataclass(frozen=True)
class View:
    """How the user wants the runs listed."""

    query: str = ""
    sort: str = "id"
    descending: bool = True
    folded: bool = False
    unfolded: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class RunLine:
    """A line of one run; `nested` below the line of its group."""

    entry: Entry
    nested: bool = False

    @property
    def key(self) -> str:
        """What the line is known by while its contents change."""
        return str(self.entry.row.id)

    @property
    def row(self) -> RunRow:
        """The run itself."""
        return self.entry.row

    @property
    def run_ids(self) -> tuple[int, ...]:
        """The runs the line stands for."""
        return (self.entry.row.id,)


@dataclass(frozen=True)
class GroupLine:
    """A line of all runs of one config."""

    group: Group
    is_open: bool = False
    nested: ClassVar[bool] = False

    @property
    def key(self) -> str:
        """What the line is known by while its contents change."""
        return f"group {self.group.key}"

    @property
    def row(self) -> RunRow:
        """The run that stands for all of them."""
        return self.group.first

    @property
    def run_ids(self) -> tuple[int, ...]:
        """The runs the line stands for, the one to look at first."""
        rest = (entry.row.id for entry in self.group.entries if entry.row.id != self.group.first.id)
        return (self.group.first.id, *rest)


Line = RunLine | GroupLine
Item = TypeVar("Item")


def entries_of(snapshot: Snapshot, marked: frozenset[int], before: Sequence[Entry] = ()) -> tuple[Entry, ...]:
    """Return the runs as they are listed, newest first; those that look as before are the same objects."""
    devices = {worker.id: worker.device for worker in snapshot.workers}
    known = {entry.row.id: entry for entry in before}

    def entry_of(row: RunRow) -> Entry:
        worker = row.worker_id if row.status is JobStatus.RUNNING else None
        device, is_marked = devices.get(worker or "", ""), row.id in marked
        old = known.get(row.id)
        if old is not None and (old.device, old.marked) == (device, is_marked) and _looks_same(old.row, row):
            return old
        return Entry(row, device, is_marked)

    return tuple(map(entry_of, snapshot.runs))


def _looks_same(before: RunRow, after: RunRow) -> bool:
    """Return whether the runs differ at most in when their worker was last heard of."""
    if before is after:
        return True
    aged = replace(before, heartbeat_age=after.heartbeat_age, lease_left=after.lease_left)
    return aged == after and status_word(before) == status_word(after)


def lines_of(entries: Sequence[Entry], view: View) -> tuple[Line, ...]:
    """Return the lines in the order in which they stand."""
    meets = matcher(view.query)
    found = [entry for entry in entries if meets(entry)]
    by = column(view.sort)
    if not view.folded:
        return tuple(RunLine(entry) for entry in _sorted(found, by.key, descending=view.descending))
    lines: list[Line] = []
    for group in _sorted(grouped(found), by.group_key, descending=view.descending):
        is_open = group.key in view.unfolded
        lines.append(GroupLine(group, is_open))
        if is_open:
            lines += _members(group, by, view)
    return tuple(lines)


def _members(group: Group, by: Column, view: View) -> Iterable[Line]:
    members = _sorted(group.entries, by.key, descending=view.descending)
    return (RunLine(entry, nested=True) for entry in members)


def _sorted(items: Sequence[Item], key: Callable[[Item], SortKey], *, descending: bool) -> list[Item]:
    """Return the items in order; those without a key come last either way, equal ones as they were."""
    keyed = [(key(item), item) for item in items]
    having = [(value, item) for value, item in keyed if value is not None]
    # Of one column all keys are numbers, or all are texts.
    having.sort(key=lambda pair: pair[0], reverse=descending)
    return [item for _, item in having] + [item for value, item in keyed if value is None]
