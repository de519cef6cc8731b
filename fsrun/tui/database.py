"""The dashboard's side of the database: one picture at a time, and the user's orders.

Not here: threads and widgets. Everything here may take long and belongs on a thread of its own.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Engine, make_url

from fsrun.liveness import Clock, with_the_dead
from fsrun.paths import Home, find_home
from fsrun.tui.closely import Closely, LogReader, LogTail
from fsrun.tui.messages import Picture
from store.engine import check_schema, open_store, reading
from store.errors import DatabaseUnavailable, RunNotFound
from store.postgres import shown
from store.snapshot import MOST_RUNS, Pictures, Snapshot
from store.upkeep import given_identity
from store.views import Look

if TYPE_CHECKING:  # reports take long to load
    from fsrun.tui.reports import Reports

Order = Callable[[Engine, float], str]
"""Does something in the store at a time, and says in one line what has happened (fsrun.orders)."""


class Database:
    """The database behind a path or URL, opened when first needed and again after it was gone.

    Every method may raise a StoreError, and may be called from any thread, `picture` from one at a time.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        home: Home | None = None,
        read_only: bool = False,
    ) -> None:
        self.place = str(place)
        self._read_only = read_only
        self._home = home  # whose logs are shown; None: that of this process
        self._log = LogReader()
        self._clock = clock
        self._engine: Engine | None = None
        self._pictures: Pictures | None = None  # of that engine, as are the reports
        self._reports: Reports | None = None
        self._opened_file: tuple[int, int] | None = None
        self._is_first = True
        self._opening = Lock()

    @property
    def shown(self) -> str:
        """The place as a screen may show it: a URL without its password, a path from the user's folder on."""
        if "://" in self.place:
            return shown(make_url(self.place))
        path, home = Path(self.place), os.path.expanduser("~")  # noqa: PTH111 (never raises)
        return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else self.place

    def picture(
        self,
        selected: int | None,
        *,
        max_points: int,
        closely: Closely | None = None,
        report: str = "",
        every: bool = False,
        marked: Collection[int] = (),
    ) -> Picture:
        """Read what the screen shows, all of it as it was at one moment.

        Listed are the newest runs, or `every` one, and those that are `marked`. A selected run that is not
        there any more counts as none. `report` is "table2", "classes" or "theory".
        """
        closely = closely or Closely()
        engine = self._current_engine()
        if self._pictures is None or self._pictures.engine is not engine:
            self._pictures, self._reports = Pictures(engine), None
            self._now = Clock(engine, self._clock)
        now = self._now()
        # A window is read half as wide again on either side.
        most = max_points if closely.window is None else 2 * max_points
        look = Look(most, closely.window, closely.compared, closely.metric)
        limit = None if every else MOST_RUNS
        with _schema_named(engine), reading(engine):
            try:
                taken = self._pictures.take(now=now, selected=selected, look=look, limit=limit, also=marked)
            except RunNotFound:
                taken = self._pictures.take(now=now, limit=limit, also=marked)
            picture = Picture(
                with_the_dead(taken),
                identity=given_identity(engine),
                log=self._log_of(taken) if closely.with_log else None,
            )
            return self._with_report(picture, report, engine) if report else picture

    def _with_report(self, picture: Picture, report: str, engine: Engine) -> Picture:
        from fsrun.tui.reports import Reports

        reports = self._reports = self._reports or Reports(engine)
        match report:
            case "table2":
                return replace(picture, tables=reports.table2(), stories=reports.stories())
            case "classes":
                return replace(picture, classes=reports.classes())
            case _:
                return replace(picture, theory=reports.theory(picture.snapshot))

    def _log_of(self, taken: Snapshot) -> LogTail | None:
        if taken.selected is None:
            return None
        run_id = taken.selected.row.id
        return self._log.read(run_id, self.home.log(run_id))

    def carry_out(self, order: Order) -> str:
        """Carry out what the user ordered; return what has happened, in one line."""
        engine = self._current_engine()
        return order(engine, Clock(engine, self._clock)())

    @property
    def home(self) -> Home:
        """Where logs and data sets of this machine are."""
        return self._home or find_home()

    def close(self) -> None:
        """Let go of the database."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _current_engine(self) -> Engine:
        """Return the engine, a new one if the file is not the one that was opened.

        SQLite goes on reading a file that was deleted or replaced, and would never notice.
        """
        with self._opening:
            if self._engine is not None and self._file() != self._opened_file:
                self.close()
            if self._engine is None:
                self._engine = open_store(self.place, create=self._is_first, read_only=self._read_only)
                self._opened_file = self._file()
                self._is_first = False
            return self._engine

    def _file(self) -> tuple[int, int] | None:
        """Return what tells the file from any other, None if there is none or it is not a file."""
        if "://" in self.place:
            return None
        try:
            found = Path(self.place).expanduser().stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


@contextmanager
def _schema_named(engine: Engine) -> Iterator[None]:
    """Where reading fails because another version has changed the tables meanwhile, say that."""
    try:
        yield
    except DatabaseUnavailable:
        check_schema(engine)
        raise
