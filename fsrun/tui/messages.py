"""What the parts of the dashboard say to each other.

Not here: who acts on it (fsrun.tui.app).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from textual.message import Message

from fsrun.tui.closely import Closely, LogTail
from fsrun.tui.resources import Resources
from store.snapshot import Snapshot

if TYPE_CHECKING:  # forms and reports take long to load
    from fsrun.drafting import Checked
    from fsrun.report.render import Table
    from fsrun.tui.pages import Page


@dataclass(frozen=True)
class Picture:
    """All that is on the screen at one moment; a report is empty unless it was asked for.

    `identity` is the database's, nothing as long as it has been given none.
    """

    snapshot: Snapshot
    identity: str = ""
    tables: "tuple[Table, ...]" = ()  # Table 2
    stories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of its rows, by name
    classes: "tuple[Page, ...]" = ()
    theory: "tuple[Page, ...]" = ()
    log: LogTail | None = None


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
class LookedCloser(Message):
    """A screen wants the next pictures to hold this besides."""

    closely: Closely


@dataclass
class ListWanted(Message):
    """The list of runs is to be made of every run there is, or of the newest."""

    every: bool


@dataclass
class SectionChosen(Message):
    """The user wants to read this section."""

    name: str


@dataclass
class RunOpened(Message):
    """The user wants to see everything about the run."""

    run_id: int


@dataclass
class OrderCarriedOut(Message):
    """What the user ordered is in the database; `notice` says so in one line."""

    notice: str


@dataclass
class OrderDoubted(Message):
    """What the user wants to queue is there already, as `line` says; `order` queues it once more."""

    line: str
    order: Callable[[Engine, float], str]


@dataclass
class OrderRefused(Message):
    """What the user ordered cannot be; `reason` is one line."""

    reason: str


@dataclass
class RunsMarked(Message):
    """The user marked these runs, or took the marks off where all of them had one."""

    run_ids: frozenset[int]


@dataclass
class GroupToggled(Message):
    """The user folded or unfolded the runs of one config."""

    key: str


@dataclass
class SortChosen(Message):
    """The user wants the list sorted by this column, the other way round if it is already."""

    column: str


@dataclass
class SearchChanged(Message):
    """The user typed in the search line."""

    query: str


@dataclass
class ResourcesMeasured(Message):
    """How busy this machine is was measured."""

    resources: Resources

    def can_replace(self, message: Message) -> bool:
        """Give way to a newer one: none piles up while the screen is away."""
        return isinstance(message, ResourcesMeasured)


@dataclass
class SearchEnded(Message):
    """The user has typed what to search for."""


@dataclass
class ThreadBroke(Message):
    """A thread came upon an error that nobody foresaw."""

    error: Exception


@dataclass
class OptionWritten(Message):
    """The user wrote a value for an option of a run to queue; an empty text takes the change back."""

    name: str
    text: str


@dataclass
class DraftChecked(Message):
    """What the user wrote so far about runs to queue was checked."""

    checked: "Checked"


@dataclass
class LogCopied(Message):
    """A copy of a run's log that a pager may show is ready."""

    path: Path
