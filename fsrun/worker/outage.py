"""What a worker and its runner do while the database cannot be used: say so once, and try again.

Not here: what is wrong with it (store.errors), and how long a statement waits for another's (store.engine).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine

from store.engine import open_store
from store.errors import DatabaseAway, DatabaseUnavailable

RETRY_SECONDS = 1.0
SETTLED_SECONDS = 10.0
"""How long nothing must have failed until an outage counts as over: on a full disk small writes go on."""

T = TypeVar("T")


def open_patiently(
    database: str | Path, say: Callable[[str], None], gives_up: Callable[[], bool], *, create: bool
) -> Engine:
    """Open the database once its disk has space or its server is up; DatabaseAway once it gives up.

    Raises what else open_store raises.
    """
    began: float | None = None
    while True:
        try:
            engine = open_store(database, create=create)
            if began is not None:
                say(f"The database can be used again, after {time.monotonic() - began:.0f} s.")
            return engine
        except DatabaseAway as error:
            if gives_up():
                raise
            if began is None:
                began = time.monotonic()
                say(f"{error}; going on when it can be used again")
        time.sleep(RETRY_SECONDS)


class Outage:
    """Whether the database of an engine is out of reach; says so once, and once more when it is over."""

    def __init__(self, engine: Engine, say: Callable[[str], None]) -> None:
        self.engine = engine
        self.say = say
        self.began: float | None = None
        self.failed: float = 0.0  # when it was last seen, by the monotonic clock

    @contextmanager
    def borne(self) -> Iterator[None]:
        """Go on after the statements in here, also if the database could not be used."""
        with suppress(DatabaseUnavailable), self.noted():
            yield

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Say it, if the database cannot be used by the statements in here, and let the error pass."""
        try:
            yield
        except DatabaseUnavailable as error:
            self._note(error)
            raise

    def persist(self, action: Callable[[], T], gives_up: Callable[[], bool]) -> T:
        """Repeat an action until the database can be used; raises DatabaseUnavailable once it gives up."""
        while True:
            try:
                with self.noted():
                    done = action()
                self.over()
                return done
            except DatabaseUnavailable:
                if gives_up():
                    raise
            time.sleep(RETRY_SECONDS)

    def _note(self, error: DatabaseUnavailable) -> None:
        self.failed = time.monotonic()
        if self.began is None:
            self.began = self.failed
            self.say(f"{error}; going on when it can be used again")
        self.engine.dispose()  # the file may be replaced by a sound one, the server started anew

    def over(self, *, at_the_end: bool = False) -> None:
        """Say that it is over, if it was on and nothing has failed for a while, or nothing more will follow.

        To be called after a write, since reading may work while writing does not.
        """
        if self.began is None or (time.monotonic() - self.failed < SETTLED_SECONDS and not at_the_end):
            return
        self.say(f"The database can be used again, after {self.failed - self.began:.0f} s.")
        self.began = None
