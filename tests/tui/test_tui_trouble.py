"""Databases in trouble: the line that says what to do, and getting well by itself."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from fsrun.tui.app import SILENT_SECONDS, Dashboard
from fsrun.tui.database import Database
from fsrun.tui.screens.help import Help
from fsrun.tui.screens.overview import Overview
from store.engine import open_store
from store.migrations import REVISIONS
from tests.tui.tui_cases import Lab, is_open, screen_text, shows, until, use

SCHEMAS = Path(__file__).parents[1] / "store" / "schemas"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the file so that nobody else can even read it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE job SET priority = priority")
        yield
        connection.execute("ROLLBACK")


def without(pilot: Pilot[None], words: str) -> bool:
    return words not in screen_text(pilot)


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def database(lab: Lab) -> Iterator[Database]:
    """A database with one run that nobody but the dashboard has open."""
    lab.ask("synthetic")
    lab.engine.dispose()
    opened = Database(lab.path)
    yield opened
    opened.close()


def test_while_a_database_is_held_by_another_the_screen_says_so_and_answers_keys(
    lab: Lab, database: Database
) -> None:
    with ExitStack() as holding:
        holding.enter_context(held(lab.path))

        async def steps(pilot: Pilot[None]) -> None:
            waiting = shows(pilot, "! the database has not answered for", "waiting")
            await until(pilot, waiting, SILENT_SECONDS + 10)
            began = time.monotonic()
            await pilot.press("question_mark")
            await until(pilot, is_open(pilot, Help))
            await pilot.press("escape")
            await until(pilot, is_open(pilot, Overview))
            assert time.monotonic() - began < 5
            holding.close()
            await until(pilot, shows(pilot, "#1 Linear"))
            await until(pilot, lambda: without(pilot, "has not answered"))

        use(Dashboard(database), steps)


def test_one_can_quit_at_once_while_a_database_is_held(lab: Lab, database: Database) -> None:
    ended = 0.0
    with held(lab.path):

        async def steps(pilot: Pilot[None]) -> None:
            nonlocal ended
            await until(pilot, shows(pilot, "has not answered"), SILENT_SECONDS + 10)
            ended = time.monotonic()
            await pilot.press("q")

        use(Dashboard(database), steps)
        assert time.monotonic() - ended < 10  # far below the patience of the store


def test_a_database_held_for_too_long_is_named_with_what_to_do(
    lab: Lab, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.engine.BUSY_SECONDS", 0.2)
    with ExitStack() as holding:
        holding.enter_context(held(lab.path))

        async def steps(pilot: Pilot[None]) -> None:
            await until(pilot, shows(pilot, "! database", "locked", "another process has held it"))
            holding.close()
            await until(pilot, shows(pilot, "#1 Linear"))
            await until(pilot, lambda: without(pilot, "locked"))

        use(Dashboard(database), steps, (100, 30))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 50)])
def test_a_file_damaged_under_the_dashboard_is_named_with_what_to_do_and_its_repair_is_noticed(
    lab: Lab, database: Database, tmp_path: Path, size: tuple[int, int]
) -> None:
    whole = tmp_path / "whole.db"

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        with closing(sqlite3.connect(lab.path)) as source, closing(sqlite3.connect(whole)) as copy:
            source.backup(copy)
        broken = tmp_path / "broken.db"
        broken.write_bytes(b"no database at all" * 1000)
        broken.replace(lab.path)
        await until(pilot, shows(pilot, "! database", "not a", "restore a backup", "#1 Linear"))
        whole.replace(lab.path)
        await until(pilot, lambda: without(pilot, "restore a backup"))

    use(Dashboard(database), steps, size)


def test_a_database_of_a_newer_version_is_named_with_what_to_do(lab: Lab, database: Database) -> None:
    execute(lab.path, "UPDATE alembic_version SET version_num = '9999'")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "! database", "'9999'", "upgrade this program"))
        execute(lab.path, f"UPDATE alembic_version SET version_num = '{REVISIONS[-1]}'")
        await until(pilot, shows(pilot, "#1 Linear"))
        await until(pilot, lambda: without(pilot, "upgrade this program"))

    use(Dashboard(database), steps, (120, 40))


def test_a_newer_version_that_changes_the_tables_under_the_dashboard_is_named(
    lab: Lab, database: Database
) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        execute(lab.path, "ALTER TABLE job RENAME COLUMN priority TO urgency")
        execute(lab.path, "UPDATE alembic_version SET version_num = '9999'")
        await until(pilot, shows(pilot, "'9999'", "upgrade this program", "#1 Linear"))

    use(Dashboard(database), steps, (120, 40))


def test_an_older_database_is_brought_up_to_date_when_opened(tmp_path: Path) -> None:
    path = Path(shutil.copy(SCHEMAS / "0002.db", tmp_path / "fsrun.db"))
    opened = Database(path)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#2 Linear", "1 done"))

    use(Dashboard(opened), steps)
    opened.close()


def test_an_older_database_that_one_only_looks_at_is_left_as_it_is_until_it_is_up_to_date(
    tmp_path: Path,
) -> None:
    path = Path(shutil.copy(SCHEMAS / "0002.db", tmp_path / "fsrun.db"))
    before = path.read_bytes()
    opened = Database(path, read_only=True)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "! database fsrun.db has an older schema: open it once for writing"))
        assert path.read_bytes() == before
        open_store(path).dispose()
        await until(pilot, lambda: without(pilot, "older schema") and "#2 Linear" in screen_text(pilot))

    use(Dashboard(opened, read_only=True), steps, (120, 40))
    opened.close()
