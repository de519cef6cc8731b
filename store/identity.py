"""What tells a database from every other, its own copies among them.

Not here: what is kept apart by it; the checkpoints are (fsrun.checkpoint_files).
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from sqlalchemy import Connection, Engine, select
from sqlmodel import col

from store.engine import reading, writing
from store.tables import Setting, table_of
from store.upserts import upsert

IDENTITY = "identity"
"""The setting that holds the identity, and after a blank where the database lay when it was given."""

ORIGINAL, REPLACED = "identity of the original", "identities replaced"


@dataclass(frozen=True)
class Lineage:
    """Identities that a database has to do with.

    `original` is that of the database it is a copy of, or its own before it moved to another disk, empty
    where there is none; `replaced` are those of the databases that lay in its place before it was restored.
    """

    own: str
    original: str
    replaced: tuple[str, ...]


def identity(engine: Engine, now: float) -> str:
    """Return twelve hexadecimal digits that no other database has, given at the first call.

    A copy still says where its original lay, and is given an identity of its own; so is, without harm, a
    database that was moved to another disk.
    """
    return lineage(engine, now).own


def lineage(engine: Engine, now: float) -> Lineage:
    """Return the identity, given at the first call, and those it follows."""
    with writing(engine) as connection:
        place = _place(connection)
        given, _, then = _setting(connection, IDENTITY).partition(" ")
        if given and then == place:
            replaced = tuple(_setting(connection, REPLACED).split())
            return Lineage(given, _setting(connection, ORIGINAL), replaced)
        new = token_hex(6)
        # What the original had replaced is the original's.
        _set(connection, {IDENTITY: f"{new} {place}", ORIGINAL: given, REPLACED: ""}, now)
        return Lineage(new, given, ())


def given_identity(engine: Engine) -> str:
    """Return the identity as it was given last, nothing before that; changes nothing."""
    with reading(engine) as connection:
        return _setting(connection, IDENTITY).partition(" ")[0]


def identities_in(path: Path) -> tuple[str, ...]:
    """Return the identities of a SQLite file and of those it replaced; none where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            settings = dict(database.execute("SELECT name, value FROM setting").fetchall())
    except sqlite3.Error:
        return ()
    return (*settings.get(IDENTITY, "").split()[:1], *settings.get(REPLACED, "").split())


def take_the_place_of(engine: Engine, replaced: tuple[str, ...], now: float) -> None:
    """Note that this database was restored where one of these identities lay."""
    lineage(engine, now)
    with writing(engine) as connection:
        _set(connection, {REPLACED: " ".join(replaced)}, now)


def _setting(connection: Connection, name: str) -> str:
    query = select(col(Setting.value)).where(col(Setting.name) == name)
    return connection.execute(query).scalar_one_or_none() or ""


def _set(connection: Connection, values: dict[str, str], now: float) -> None:
    rows = [{"name": name, "value": value, "changed": now} for name, value in values.items()]
    upsert(connection, table_of(Setting), rows)


def _place(connection: Connection) -> str:
    """Return what a database does not share with its copies: its number within the disk or the server."""
    if connection.dialect.name == "postgresql":
        number = "SELECT oid FROM pg_database WHERE datname = current_database()"
        return str(connection.exec_driver_sql(number).scalar_one())
    return str(Path(str(connection.engine.url.database)).stat().st_ino)
