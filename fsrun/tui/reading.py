"""The threads behind the dashboard: one reads the database, one measures this machine.

Not here: what is read (fsrun.tui.database) and what becomes of it (fsrun.tui.app).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from time import monotonic
from typing import Any

from textual.message import Message

from fsrun.tui.closely import Closely
from fsrun.tui.database import Database
from fsrun.tui.messages import OrderRefused, PictureTaken, ReadFailed, ResourcesMeasured, ThreadBroke
from fsrun.tui.resources import EVERY_SECONDS, Meter
from fsrun.tui.state import State
from store.errors import StoreError

REFRESH_SECONDS = 0.5


@dataclass(frozen=True)
class Wish:
    """What the next picture should hold."""

    selected: int | None = None
    max_points: int = 200
    report: str = ""
    closely: Closely = field(default_factory=Closely)
    every: bool = False  # all runs there are, not only the newest
    marked: frozenset[int] = frozenset()


class Reader:
    """Reads about twice a second what is wished for, and posts it; between reads it saves the state.

    It reads no further before what it posted is `taken_up`: a screen that is busy, or away while the user is
    in the pager, must not find a heap of old pictures. Its threads need not end before the program can, since
    a database may be silent for long.
    """

    def __init__(self, database: Database, state: State, post: Callable[[Message], object]) -> None:
        self.wish = Wish()  # replaced as a whole by the UI thread, read by the reading thread
        self._database = database
        self._state = state
        self._post = post
        self._wake, self._ended, self._taken_up = Event(), Event(), Event()
        self._asked: float | None = None  # when, while the database has not answered

    @property
    def silent_seconds(self) -> float:
        """How long the database has neither answered nor refused."""
        asked = self._asked
        return 0.0 if asked is None else monotonic() - asked

    def start(self) -> None:
        """Begin to read and to measure."""
        for work in (self._read_on, self._measure_on):
            Thread(target=self._work, args=(work,), daemon=True, name=work.__name__).start()

    def stop(self) -> None:
        """Let the threads end at once."""
        self._ended.set()
        self._wake.set()
        self._taken_up.set()

    def taken_up(self) -> None:
        """Go on to read: what was posted is on the screen."""
        self._taken_up.set()

    def ask_for(self, **changes: Any) -> None:
        """Have the next picture hold this, and have it taken now."""
        wish = replace(self.wish, **changes)
        if wish != self.wish:
            self.wish = wish
            self._wake.set()

    def read_now(self) -> None:
        """Take the next picture at once: something has changed."""
        self._wake.set()

    def _work(self, work: Callable[[], None]) -> None:
        """Do a thread's work; a mistake in it ends the program as one on the UI thread would."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 (raised again where it is seen)
            self._post(ThreadBroke(error))

    def _read_on(self) -> None:
        while True:
            self._wake.clear()
            self._taken_up.clear()
            if self._ended.is_set():  # looked at last, so that its waking is not cleared away
                return
            self._asked = monotonic()
            try:
                taken: Message = PictureTaken(self._database.picture(**vars(self.wish)))
            except StoreError as error:
                taken = ReadFailed(str(error))
            self._asked = None
            self._post(taken)
            self._save_state()
            self._wake.wait(REFRESH_SECONDS)
            self._taken_up.wait()

    def _measure_on(self) -> None:
        meter = Meter()
        while not self._ended.wait(EVERY_SECONDS):
            self._post(ResourcesMeasured(meter.measure()))

    def _save_state(self) -> None:
        try:
            self._state.save()
        except OSError as error:
            reason = f"what you chose is not kept for the next start: {error.strerror}"
            self._post(OrderRefused(reason))
