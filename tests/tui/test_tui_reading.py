"""The thread that reads the database for the screen."""

import time
from collections.abc import Callable

import pytest
from textual.message import Message

from fsrun.tui.database import Database
from fsrun.tui.messages import PictureTaken, ResourcesMeasured
from fsrun.tui.reading import Reader
from fsrun.tui.resources import Resources
from fsrun.tui.state import State
from tests.tui.tui_cases import Lab


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_while_the_screen_is_away_no_pictures_pile_up_and_then_it_gets_a_new_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsrun.tui.reading.REFRESH_SECONDS", 0.01)
    posted: list[Message] = []
    database = Database(lab.path, clock=lambda: lab.now)
    reader = Reader(database, State(), posted.append)
    reader.start()
    wait_for(lambda: len(posted) == 1)
    lab.ask("synthetic")
    time.sleep(0.3)
    assert len(posted) == 1
    assert reader.silent_seconds == 0.0  # it is not the database that keeps one waiting
    reader.taken_up()
    wait_for(lambda: len(posted) == 2)
    newest = posted[-1]
    assert isinstance(newest, PictureTaken)
    assert len(newest.picture.snapshot.runs) == 1
    reader.stop()
    database.close()


def test_of_several_measurements_the_newest_counts() -> None:
    older, newer = (ResourcesMeasured(Resources(busy, 1, 2)) for busy in (0.1, 0.9))
    assert older.can_replace(newer)
