"""The dashboard's side of the database: one picture at a time, and the user's orders.

Not here: threads and widgets. Everything here may take long and belongs on a thread of its own.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from sqlalchemy import Engine, make_url

from fsrun.report.paper import K_SHOT, N_WAY
from fsrun.report.render import Table
from fsrun.report.table2 import table2
from fsrun.tui.messages import Picture
from store.engine import open_store
from store.errors import RunNotFound
from store.jobs import JobStatus
from store.pictures import Pictures
from store.postgres import shown
from store.queue import request_cancel, retry
from store.snapshot import Snapshot


class Database:
    """The database behind a path or URL, opened when first needed and again after it was gone.

    Every method may raise a StoreError, and may be called from any thread, `picture` from one at a time.
    """

    def __init__(self, place: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.place = str(place)
        self._clock = clock
        self._engine: Engine | None = None
        self._pictures: Pictures | None = None  # of that engine
        self._opened_file: tuple[int, int] | None = None
        self._is_first = True
        self._opening = Lock()

    @property
    def shown(self) -> str:
        """The place as a screen may show it: a URL without its password."""
        return shown(make_url(self.place)) if "://" in self.place else self.place

    def picture(self, selected: int | None, *, max_points: int, with_table2: bool = False) -> Picture:
        """Read what the screen shows; a selected run that is not there any more counts as none."""
        engine = self._current_engine()
        if self._pictures is None or self._pictures.engine is not engine:
            self._pictures = Pictures(engine)
        now = self._clock()
        try:
            taken = self._pictures.take(now=now, selected=selected, max_points=max_points)
        except RunNotFound:
            taken = self._pictures.take(now=now)
        return Picture(taken, _tables(engine, taken) if with_table2 else ())

    def cancel(self, run_id: int) -> str:
        """Cancel the run or ask its worker to; return what has happened."""
        if request_cancel(self._current_engine(), run_id, self._clock()) is JobStatus.RUNNING:
            return f"run {run_id} will stop at its next checkpoint"
        return f"run {run_id} is cancelled"

    def retry(self, run_id: int) -> str:
        """Queue the run again; return what has happened."""
        again = retry(self._current_engine(), run_id, self._clock())
        also = [str(each) for each in again if each != run_id]
        needs = f", with {', '.join(also)} which it starts from" if also else ""
        return f"run {run_id} is queued again{needs}"

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
                self._engine = open_store(self.place, create=self._is_first)
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


def _tables(engine: Engine, taken: Snapshot) -> tuple[Table, ...]:
    """Return the paper's table, then one for every other way and shot that was measured."""
    done = [run for run in taken.runs if run.experiment == "omniglot" and run.status is JobStatus.DONE]
    pairs = {(run.n_way, run.k_shot) for run in done if "test/accuracy" in run.results} - {(N_WAY, K_SHOT)}
    others = sorted((n_way, k_shot) for n_way, k_shot in pairs if n_way is not None and k_shot is not None)
    return tuple(table2(engine, n_way=n_way, k_shot=k_shot) for n_way, k_shot in [(N_WAY, K_SHOT), *others])
