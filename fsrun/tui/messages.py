"""What the parts of the dashboard say to each other.

Not here: who acts on it (fsrun.tui.app).
"""

from dataclasses import dataclass

from textual.message import Message

from fsrun.report.render import Table
from store.snapshot import Snapshot


@dataclass(frozen=True)
class Picture:
    """All that is on the screen at one moment; `tables` is empty unless Table 2 was asked for."""

    snapshot: Snapshot
    tables: tuple[Table, ...] = ()


@dataclass
class PictureTaken(Message):
    """The database was read."""

    picture: Picture


@dataclass
class ReadFailed(Message):
    """The database could not be read; `reason` is one line."""

    reason: str


@dataclass
class RunHighlighted(Message):
    """The cursor is on this run, None if there is none."""

    run_id: int | None


@dataclass
class RunOpened(Message):
    """The user wants to see everything about the run."""

    run_id: int


@dataclass
class OrderCarriedOut(Message):
    """What the user ordered is in the database; `notice` says so in one line."""

    notice: str


@dataclass
class OrderRefused(Message):
    """What the user ordered cannot be; `reason` is one line."""

    reason: str
