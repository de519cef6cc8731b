"""The first line: which database, how many runs of each status, how many workers.

Not here: the runs themselves.
"""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from fsrun.words import STATUS_STYLES, cut, living, plain
from store.jobs import JobStatus
from store.snapshot import Snapshot

_SHOWN = (JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)


class Summary(Widget):
    """One line; the place of the database is cut from the left where there is no room."""

    counts: reactive[Text | None] = reactive(None)

    def __init__(self, place: str, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only
        self._place = plain(place)

    def show(self, snapshot: Snapshot) -> None:
        """Count the runs and workers; drawn anew only if that changes anything."""
        self.counts = _counts(snapshot)

    def render(self) -> Text:
        """Draw the line."""
        name = Text(" fsrun ", "bold")
        right = self.counts or Text("reading the database", "dim")
        if self._read_only:
            name.append(" read-only ", f"reverse {STATUS_STYLES['stopping']}")
        room = self.size.width - name.cell_len - right.cell_len - 4
        place = self._place if len(self._place) <= room else "…" + self._place[len(self._place) - room + 1 :]
        left = Text().append_text(name).append(f" {place}" if room > 8 else "", "dim")
        left.pad_right(self.size.width - left.cell_len - right.cell_len - 1)
        return left.append_text(right)


def _counts(snapshot: Snapshot) -> Text:
    parts = [
        Text(f"{snapshot.counts[status]} {status}", STATUS_STYLES[status])
        for status in _SHOWN
        if snapshot.counts.get(status)
    ]
    if len(snapshot.runs) < snapshot.found:
        parts.insert(0, Text(f"{cut(len(snapshot.runs), snapshot.found)} listed", "dim"))
    alive = living(snapshot.workers)
    unserved = not alive and bool(snapshot.counts.get(JobStatus.QUEUED))
    workers = f"{alive or 'no'} worker{'s' * (alive != 1)}"
    if snapshot.paused:
        parts.append(Text("paused", STATUS_STYLES["stopping"]))
    parts.append(Text(workers, STATUS_STYLES["stopping"] if unserved else ""))
    return Text.assemble((" · ", "dim")).join(parts)
