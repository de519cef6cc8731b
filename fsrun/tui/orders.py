"""Every order that keys can give about runs: to which runs it applies, what is asked first, and giving it.

Not here: carrying it out in the store (fsrun.orders) and the thread it is carried out on (fsrun.tui.app).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.app import App
from textual.binding import Binding, BindingType

from experiments.errors import ConfigError
from fsrun import orders
from fsrun.paths import Home
from fsrun.tui.database import Order
from fsrun.tui.messages import OrderRefused
from fsrun.tui.screens.confirm import Confirm
from fsrun.tui.screens.edit import Edit
from fsrun.words import method_title, plain
from store.jobs import JobStatus, are, numbered
from store.runs import check_note, check_tags
from store.views import RunDetail, RunRow

if TYPE_CHECKING:  # planning takes long to load
    from fsrun.drafting import Draft

BINDINGS: list[BindingType] = [
    Binding("c", "order('cancel')", "Cancel", tooltip="cancel the run, or the marked ones; asks first"),
    Binding("r", "order('retry')", "Retry", tooltip="queue the run again; it resumes from its checkpoint"),
    Binding("d", "order('delete')", "Delete", tooltip="put the run into the trash; asks first"),
    Binding("u", "order('undo')", "Undo", tooltip="bring back what was deleted last"),
    Binding("p", "order('pause')", "Pause", tooltip="pause the queue, or let it go on"),
    Binding("plus", "order('sooner')", "Sooner", tooltip="raise the priority of a queued run"),
    Binding("minus", "order('later')", "Later", tooltip="lower the priority of a queued run"),
    Binding("n", "order('queue')", "Queue", tooltip="queue runs: a form with all options"),
    Binding("e", "order('copy')", "Copy", tooltip="queue a copy of the run with edits"),
    Binding("N", "order('note')", "Note", tooltip="write a note to the run"),
    Binding("t", "order('tags')", "Tags", tooltip="tag the run, or the marked ones"),
]
"""The keys of orders about the run under the cursor, or about those that are marked."""

_OVER = (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)
_APPLIES: Mapping[str, Sequence[JobStatus]] = {
    "cancel": (JobStatus.QUEUED, JobStatus.RUNNING),
    "retry": (JobStatus.FAILED, JobStatus.CANCELLED),
    "delete": _OVER,
    "sooner": (JobStatus.QUEUED,),
    "later": (JobStatus.QUEUED,),
}


_INSTEAD = {
    "cancel": "only queued and running runs can be cancelled",
    "retry": "only failed and cancelled runs can be queued again; e queues a copy",
    "delete": "only runs that are over can be deleted; c cancels",
    "sooner": "only queued runs have a priority",
    "later": "only queued runs have a priority",
}


def refusal(name: str, rows: Sequence[RunRow]) -> str:
    """Say why an order does not apply to the chosen runs."""
    if not rows:
        return "no run is chosen"
    numbers, statuses = [row.id for row in rows], " or ".join(sorted({row.status.value for row in rows}))
    named = numbered(numbers) if len(rows) <= 10 else f"{len(rows)} runs"
    return f"{named} {are(numbers)} {statuses}: {_INSTEAD[name]}"


def applies(name: str, rows: Sequence[RunRow]) -> bool:
    """Return whether the order can be given while these runs are chosen."""
    if name in _APPLIES:
        return any(row.status in _APPLIES[name] for row in rows)
    return bool(rows) or name in ("undo", "pause", "queue")


def offered(rows: Sequence[RunRow]) -> tuple[bool, ...]:
    """Return for each order whether it can be given while these runs are chosen."""
    return tuple(applies(name, rows) for name in (*_APPLIES, "note"))


class Orders:
    """Asks what must be asked, then hands the order to whoever carries it out; for the UI thread."""

    def __init__(
        self,
        app: App[None],
        give: Callable[[Order], None],
        *,
        home: Callable[[], Home],
        selected: Callable[[], RunDetail | None],
    ) -> None:
        self._app = app
        self._give = give
        self._home = home
        self._selected = selected
        self._ways: Mapping[str, Callable[[Sequence[RunRow]], None]] = {
            "cancel": self._cancel,
            "retry": self._retry,
            "delete": self._delete,
            "undo": lambda _: self._give(orders.undo),
            "pause": lambda _: self._give(orders.pause_or_resume),
            "sooner": partial(self._prioritise, by=1),
            "later": partial(self._prioritise, by=-1),
            "queue": lambda _: self._new(),
            "copy": lambda _: self._copy(),
            "note": self._note,
            "tags": self._tags,
        }

    def begin(self, name: str, rows: Sequence[RunRow]) -> None:
        """Begin with an order about the chosen runs, those it does not apply to left out."""
        if applies(name, rows):
            self._ways[name]([row for row in rows if row.status in _APPLIES.get(name, tuple(JobStatus))])

    def _cancel(self, rows: Sequence[RunRow]) -> None:
        after = "Their last checkpoints are kept" if len(rows) > 1 else "It keeps its last checkpoint"
        self._ask(f"Cancel {_named(rows)}?\n\n{after}; r queues again.", "Cancel", rows, orders.cancel)

    def _delete(self, rows: Sequence[RunRow]) -> None:
        after = f"u brings back what was deleted; fsrun gc frees it after {orders.TRASH_DAYS:.0f} days."
        self._ask(f"Delete {_named(rows)}?\n\n{after}", "Delete", rows, orders.delete)

    def _retry(self, rows: Sequence[RunRow]) -> None:
        self._give(partial(orders.retry, run_ids=_numbers(rows)))

    def _prioritise(self, rows: Sequence[RunRow], by: int) -> None:
        self._give(partial(orders.prioritise, run_ids=_numbers(rows), by=by))

    def _new(self) -> None:
        """Let the user write what to queue."""
        from fsrun.drafting import new_draft

        self._queue(new_draft())

    def _queue(self, draft: "Draft") -> None:
        """Let the user write what to queue, beginning with a draft."""
        from fsrun.tui.screens.queue_form import QueueForm

        def send(order: Order | None) -> None:
            if order is not None:
                self._give(order)

        self._app.push_screen(QueueForm(draft, self._home), send)

    def _copy(self) -> None:
        """Let the user edit what was asked for by the selected run, and queue that."""
        from fsrun.drafting import draft_of

        detail = self._selected()
        if detail is None:
            return
        try:
            draft = draft_of(detail.row.id, detail.row.preset, detail.config)
        except ConfigError as error:
            self._app.post_message(OrderRefused(f"run {detail.row.id} cannot be copied: {error}"))
        else:
            self._queue(draft)

    def _note(self, rows: Sequence[RunRow]) -> None:
        """Let the user write one note for the runs, that of the first to begin with."""
        first, numbers = rows[0], _numbers(rows)

        def keep(text: str | None) -> None:
            if text is not None:
                self._give(partial(orders.note, run_ids=numbers, text=text))

        title = f"Note for {_named(rows)} (empty removes it)"
        self._app.push_screen(Edit(title, plain(first.note), check=check_note), keep)

    def _tags(self, rows: Sequence[RunRow]) -> None:
        """Let the user write the tags that the runs have in common."""
        common = set(rows[0].tags).intersection(*(row.tags for row in rows))
        numbers = _numbers(rows)

        def keep(text: str | None) -> None:
            wanted = set(_tags_in(text or ""))
            if text is not None and wanted != common:
                add, remove = sorted(wanted - common), sorted(common - wanted)
                self._give(partial(orders.tag, run_ids=numbers, add=add, remove=remove))

        title = f"{'Common tags' if len(rows) > 1 else 'Tags'} of {_named(rows)}, separated by blanks"
        written = Edit(title, " ".join(sorted(common)), check=lambda text: check_tags(_tags_in(text)))
        self._app.push_screen(written, keep)

    def _ask(self, question: str, yes: str, rows: Sequence[RunRow], order: Callable[..., str]) -> None:
        def answer(sure: bool | None) -> None:
            if sure:
                self._give(partial(order, run_ids=_numbers(rows)))

        self._app.push_screen(
            Confirm(question, yes=f"Yes, {yes.lower()} {'them' if len(rows) > 1 else 'it'}", no="No"), answer
        )


def _tags_in(text: str) -> list[str]:
    """Return the tags of a line; a comma separates them too."""
    return text.replace(",", " ").split()


def _numbers(rows: Sequence[RunRow]) -> list[int]:
    return [row.id for row in rows]


def _named(rows: Sequence[RunRow]) -> str:
    """Name the runs: one with what it is, many by their numbers, very many by how many they are."""
    if len(rows) == 1:
        return f"run {rows[0].id}, {method_title(rows[0].method)} on {plain(rows[0].experiment)}"
    return numbered(_numbers(rows)) if len(rows) <= 10 else f"{len(rows)} runs"
