"""Which database is which."""

import shutil
from pathlib import Path

from sqlalchemy import Engine

from store.engine import open_store
from store.upkeep import back_up, identity
from tests.store.postgres_server import Server


def test_a_database_keeps_its_identity(engine: Engine) -> None:
    first = identity(engine, 1.0)
    assert len(bytes.fromhex(first)) == 6
    assert identity(engine, 2.0) == first


def test_a_copy_is_another_database_and_the_original_moved_beside_it_is_not(tmp_path: Path) -> None:
    engine = open_store(tmp_path / "fsrun.db")
    original = identity(engine, 1.0)
    back_up(engine, tmp_path / "copy.db")
    engine.dispose()
    shutil.move(tmp_path / "fsrun.db", tmp_path / "moved.db")
    copy, moved = open_store(tmp_path / "copy.db"), open_store(tmp_path / "moved.db")
    assert identity(moved, 2.0) == original
    given = identity(copy, 2.0)
    assert given != original
    assert identity(copy, 3.0) == given


def test_a_copy_within_the_server_is_another_database(server: Server, pattern: str) -> None:
    with server.database(pattern) as name:
        engine = open_store(server.url(name))
        original = identity(engine, 1.0)
        engine.dispose()
        with server.database(name) as copy:
            engine = open_store(server.url(copy))
            assert identity(engine, 2.0) != original
            engine.dispose()
