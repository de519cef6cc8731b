"""What tells a database from every other, its own copies among them.

Not here: what is kept apart by it; the checkpoints are (fsrun.paths).
"""

from pathlib import Path
from secrets import token_hex

from sqlalchemy import Connection, Engine, select
from sqlmodel import col

from store.engine import reading, writing
from store.tables import Setting, table_of
from store.upserts import upsert

IDENTITY = "identity"
"""The setting that holds the identity, and after a blank where the database lay when it was given."""


def identity(engine: Engine, now: float) -> str:
    """Return twelve hexadecimal digits that no other database has, given at the first call.

    A copy still says where its original lay, and is given an identity of its own; so is, without harm, a
    database that was moved to another disk.
    """
    with writing(engine) as connection:
        place = _place(connection)
        query = select(col(Setting.value)).where(col(Setting.name) == IDENTITY)
        given, _, then = (connection.execute(query).scalar_one_or_none() or "").partition(" ")
        if not given or then != place:
            given = token_hex(6)
            row = {"name": IDENTITY, "value": f"{given} {place}", "changed": now}
            upsert(connection, table_of(Setting), [row])
        return given


def given_identity(engine: Engine) -> str:
    """Return the identity as it was given last, nothing before that; changes nothing."""
    with reading(engine) as connection:
        query = select(col(Setting.value)).where(col(Setting.name) == IDENTITY)
        return (connection.execute(query).scalar_one_or_none() or "").partition(" ")[0]


def _place(connection: Connection) -> str:
    """Return what a database does not share with its copies: its number within the disk or the server."""
    if connection.dialect.name == "postgresql":
        number = "SELECT oid FROM pg_database WHERE datname = current_database()"
        return str(connection.exec_driver_sql(number).scalar_one())
    return str(Path(str(connection.engine.url.database)).stat().st_ino)
