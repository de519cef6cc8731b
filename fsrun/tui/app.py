"""The dashboard itself: reads the database on one thread, carries out orders on others, holds the screens.

Not here: what is on the screens (screens/, widgets/) and what is read (database.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.reactive import var
from textual.theme import Theme
from textual.worker import get_current_worker

from fsrun.tui.database import Database
from fsrun.tui.messages import (
    OrderCarriedOut,
    OrderRefused,
    Picture,
    PictureTaken,
    ReadFailed,
    RunHighlighted,
    RunOpened,
)
from fsrun.tui.screens.confirm import Confirm
from fsrun.tui.screens.help import Help
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.run import RunScreen
from fsrun.tui.screens.table2 import Table2Screen
from fsrun.words import method_title, plain
from store.errors import StoreError
from store.jobs import JobStatus
from store.snapshot import RunRow

REFRESH_SECONDS = 0.5
NOTICE_SECONDS = 8.0

_THEME = Theme(
    name="fsrun",
    primary="#46a0dc",
    secondary="#14a073",
    accent="#e1911e",
    warning="#e1911e",
    error="#dc5046",
    success="#14a073",
    foreground="#c9ced6",
    background="#14171c",
    surface="#1c2027",
    panel="#232830",
    dark=True,
)


@dataclass(frozen=True)
class _Wish:
    """What the next picture should hold."""

    selected: int | None = None
    max_points: int = 200
    with_table2: bool = False


class Dashboard(App[None]):
    """Runs, curves and results of one database, read about twice a second."""

    CSS_PATH = "app.tcss"
    TITLE = "fsrun"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "cancel", "Cancel"),
        Binding("r", "retry", "Retry"),
        Binding("t,2", "table2", "Table 2"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    picture: var[Picture | None] = var(None)
    trouble: var[str] = var("")
    notice: var[str] = var("")

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._wish = _Wish()  # replaced as a whole by the UI thread, read by the reading thread
        self._wake = Event()

    def on_mount(self) -> None:
        """Show the overview and begin to read."""
        self.register_theme(_THEME)
        self.theme = "fsrun"
        self.push_screen(Overview(self._database.shown))
        self.run_worker(self._read_on, thread=True, group="read", exit_on_error=True)

    def on_unmount(self) -> None:
        """Let the reading thread end at once."""
        self._wake.set()

    def _read_on(self) -> None:
        """Read the database again and again; runs on a thread of its own."""
        worker = get_current_worker()
        while not worker.is_cancelled and self.is_running:
            self._wake.clear()
            wish = self._wish
            try:
                picture = self._database.picture(
                    wish.selected, max_points=wish.max_points, with_table2=wish.with_table2
                )
            except StoreError as error:
                self.post_message(ReadFailed(str(error)))
            else:
                self.post_message(PictureTaken(picture))
            self._wake.wait(REFRESH_SECONDS)

    def _ask_for(self, wish: _Wish) -> None:
        """Have the next picture hold this, and have it taken now."""
        if wish != self._wish:
            self._wish = wish
            self._wake.set()

    @on(PictureTaken)
    def _show(self, message: PictureTaken) -> None:
        self.trouble = ""
        before = self._selected()
        self.picture = message.picture
        after = self._selected()
        if (after and (after.id, after.status)) != (before and (before.id, before.status)):
            self.refresh_bindings()  # draws the footer anew, so only when the keys on offer may change

    @on(ReadFailed)
    def _say_what_is_wrong(self, message: ReadFailed) -> None:
        self.trouble = message.reason

    @on(RunHighlighted)
    def _select(self, message: RunHighlighted) -> None:
        self._ask_for(replace(self._wish, selected=message.run_id))

    @on(RunOpened)
    def _open(self, message: RunOpened) -> None:
        self._ask_for(replace(self._wish, selected=message.run_id))
        self.push_screen(RunScreen())

    @on(OrderCarriedOut)
    def _report(self, message: OrderCarriedOut) -> None:
        self._notify_in_line(message.notice)
        self._wake.set()

    @on(OrderRefused)
    def _refuse(self, message: OrderRefused) -> None:
        self._notify_in_line(message.reason)

    def on_resize(self, event: events.Resize) -> None:
        """Ask for as many points as there are dots across the screen."""
        self._ask_for(replace(self._wish, max_points=max(2 * event.size.width, 100)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the selected run allows; None greys a key out in the footer."""
        row = self._selected()
        if action in ("cancel", "retry", "table2") and isinstance(self.screen, Table2Screen):
            return False
        if action == "cancel":
            return True if row and row.status in (JobStatus.QUEUED, JobStatus.RUNNING) else None
        if action == "retry":
            return True if row and row.status in (JobStatus.FAILED, JobStatus.CANCELLED) else None
        return True

    def action_cancel(self) -> None:
        """Ask, then cancel the selected run."""
        row = self._selected()
        if row is None:
            return
        name = f"run {row.id}, {method_title(row.method)} on {plain(row.experiment)}"
        after = "It keeps its last checkpoint; r queues it again."
        question = Confirm(f"Cancel {name}?\n\n{after}", yes="Cancel run", no="Keep it")
        self.push_screen(question, partial(self._cancel_if, row.id))

    def action_retry(self) -> None:
        """Queue the selected run again."""
        row = self._selected()
        if row is not None:
            self._order(partial(self._database.retry, row.id))

    def action_table2(self) -> None:
        """Show Table 2."""
        if not isinstance(self.screen, Table2Screen):
            self._ask_for(replace(self._wish, with_table2=True))
            self.push_screen(Table2Screen(), self._leave_table2)

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def _leave_table2(self, _: None) -> None:
        self._ask_for(replace(self._wish, with_table2=False))

    def _cancel_if(self, run_id: int, sure: bool | None) -> None:
        if sure:
            self._order(partial(self._database.cancel, run_id))

    def _order(self, order: Callable[[], str]) -> None:
        """Carry the order out on a thread: the database may be busy for long."""

        def carry_out() -> None:
            try:
                self.post_message(OrderCarriedOut(order()))
            except StoreError as error:
                self.post_message(OrderRefused(str(error)))

        self.run_worker(carry_out, thread=True, group="orders")

    def _selected(self) -> RunRow | None:
        if self.picture is None or self.picture.snapshot.selected is None:
            return None
        return self.picture.snapshot.selected.row

    def _notify_in_line(self, notice: str) -> None:
        self.notice = notice
        self.set_timer(NOTICE_SECONDS, partial(self._forget, notice))

    def _forget(self, notice: str) -> None:
        if self.notice == notice:
            self.notice = ""


def run_tui(database: str | Path) -> None:
    """Show the dashboard of a database, which is made if there is none, until the user quits."""
    source = Database(database)
    try:
        Dashboard(source).run()
    finally:
        source.close()
