"""What every test of the store is given: a new database, once of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from store.engine import open_store
from tests.store.postgres_server import Server, find_programs, serving

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server; without one installed, its tests are skipped."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'fsrun[postgres]'")
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with serving(programs) as server:
        yield server


@pytest.fixture(scope="session")
def pattern(server: Server) -> Iterator[str]:
    """A PostgreSQL database with the tables and nothing in them, to be copied."""
    with server.database() as name:
        open_store(server.url(name)).dispose()
        yield name


@pytest.fixture(params=KINDS)
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The path or URL of a database without tables."""
    if request.param == "sqlite":
        yield str(tmp_path / "fsrun.db")
        return
    server: Server = request.getfixturevalue("server")
    with server.database() as name:
        yield server.url(name)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The path or URL of a database in which there are no runs."""
    if request.param == "sqlite":
        yield str(tmp_path / "fsrun.db")
        return
    server: Server = request.getfixturevalue("server")
    with server.database(request.getfixturevalue("pattern")) as name:
        yield server.url(name)


@pytest.fixture
def engine(place: str) -> Iterator[Engine]:
    """That database, open."""
    engine = open_store(place)
    yield engine
    engine.dispose()
