"""Opening the database, bringing its schema up to date, and the kinds of transaction.

Not here: any statement about runs or metrics, and what is particular to PostgreSQL (store.postgres).
"""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from store import migrations, postgres, remedies
from store.errors import DatabaseAway, DatabaseTooNew, DatabaseUnavailable, NumberTooLarge

BUSY_SECONDS = 30.0
"""How long a statement waits for another process's write before it gives up."""


class _Readings(threading.local):
    """The readings under way in each thread, by engine."""

    def __init__(self) -> None:
        self.under_way: dict[Engine, Connection] = {}


_readings = _Readings()
_TOO_LARGE = "a number is too large for the database: use a smaller one"
_WRITE = "store_write"
_ALONE, _BESIDE_OTHERS = "alone", "beside others"


def open_store(
    url_or_path: str | Path, *, create: bool = True, read_only: bool = False, alone: bool = False
) -> Engine:
    """Open the database and bring its schema up to date, after a backup of the file beside it.

    A path is an SQLite file, made with its folder if missing and `create` holds; a URL may name one too, or
    a PostgreSQL database, which must be there. A file on a disk that can only be read is only read. `alone`
    keeps every other process out of a file, which so can be used on a full disk: SQLite then need not write
    what it shares with others.
    Raises DatabaseUnavailable, DatabaseAway or DatabaseTooNew.
    """
    url, path = _locate(url_or_path)
    if path is not None:
        _prepare_file(path, create=create and not read_only)
    engine = _make_engine(url, path, read_only)
    if alone and path is not None:
        event.listen(engine, "connect", _keep_others_out, insert=True)  # before anything reads
    read_only = read_only or (path is not None and _is_on_a_read_only_disk(path))
    try:
        if path is not None and not read_only:
            _use_write_ahead_log(engine)
        _bring_up_to_date(engine, path, read_only)
    except BaseException:
        engine.dispose()
        raise
    return engine


def schema_of(url_or_path: str | Path) -> str | None:
    """Return the revision of a database's schema without changing it, None where there is nothing yet.

    Raises DatabaseUnavailable or DatabaseTooNew.
    """
    url, path = _locate(url_or_path)
    if path is not None and not path.exists():
        return None
    engine = _make_engine(url, path, read_only=False)
    try:
        with reading(engine) as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


@contextmanager
def writing(engine: Engine, *, beside_others: bool = False) -> Iterator[Connection]:
    """Give a connection in a transaction that holds the write lock from its first moment.

    `beside_others` is for one that locks the row of its job before it reads what it relies on: where the
    database can lock single rows, which SQLite cannot, that is the only lock it holds. Commits at the end,
    rolls back on an exception. Raises DatabaseUnavailable.
    """
    kind = _BESIDE_OTHERS if beside_others else _ALONE
    with (
        _explained(engine),
        engine.connect().execution_options(**{_WRITE: kind}) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that sees one state of the database and blocks nobody.

    Inside another reading of the same engine by the same thread it is that one: all read there agrees.
    """
    if (outer := _readings.under_way.get(engine)) is not None:
        with _explained(engine):
            yield outer
        return
    with _explained(engine), engine.connect() as connection, connection.begin():
        _readings.under_way[engine] = connection
        try:
            yield connection
        finally:
            del _readings.under_way[engine]


def storable(text: str) -> str:
    """Return a text as a database keeps it, a question mark for each byte of a name that is no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _locate(url_or_path: str | Path) -> tuple[URL, Path | None]:
    if isinstance(url_or_path, str) and "://" in url_or_path:
        try:
            url = make_url(url_or_path)
        except ArgumentError as error:  # not shown as it is: it may hold a password
            raise DatabaseUnavailable(
                "the database URL cannot be read: write dialect://user@host/name"
            ) from error
        if url.get_backend_name() != "sqlite" or not url.database:
            return url, None
        url_or_path = url.database
    try:
        path = Path(url_or_path).expanduser().absolute()
    except RuntimeError as error:
        raise DatabaseUnavailable(
            f"database {url_or_path}: the home of {Path(url_or_path).parts[0]} is not known; write it out"
        ) from error
    return URL.create("sqlite", database=str(path)), path


def _prepare_file(path: Path, *, create: bool) -> None:
    if path.is_dir():
        raise DatabaseUnavailable(f"database {path} is a folder: name a file in it")
    if path.exists():
        return
    if not create:
        raise DatabaseUnavailable(f"there is no database at {path}: queue a run first, or name another place")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DatabaseAway(
                f"cannot make the database {path} ({error.strerror}): free some space on its disk"
            ) from error
        raise DatabaseUnavailable(
            f"cannot make the database {path} ({error.strerror}): choose a place that can be written"
        ) from error


def _make_engine(url: URL, path: Path | None, read_only: bool) -> Engine:
    if path is None:
        engine = postgres.make_engine(url, read_only=read_only, patience=BUSY_SECONDS)
        event.listen(engine, "begin", _begin_postgres)
        return engine
    # The connection used last is used next, so that its view of the file serves again (store.snapshot).
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_use_lifo=True)
    _Opening(path, read_only).attend(engine)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


class _Opening:
    """How each connection opens a SQLite file: for reading and writing, or as far as its disk allows.

    On a disk that can only be read SQLite cannot make the index of its log. Where there is neither log nor
    index, nobody has the file open for writing, and it is read as a file that never changes. The disk may be
    mounted otherwise elsewhere: once the file has changed, it is opened anew.
    """

    def __init__(self, path: Path, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only

    def attend(self, engine: Engine) -> None:
        """Open the connections of an engine from now on."""
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "checkout", self._check)

    def _connect(self, _: Any, entry: ConnectionPoolEntry, words: list[Any], options: dict[str, Any]) -> None:
        if _is_on_a_read_only_disk(self.path):
            entry.info["file"] = self._file()
        words[:] = [_address(self.path, self.read_only)]
        options["uri"] = True

    def _check(self, _: Any, entry: ConnectionPoolEntry, __: Any) -> None:
        if "file" in entry.info and entry.info["file"] != self._file():
            raise DisconnectionError  # the pool connects again

    def _file(self) -> tuple[int, int, str]:
        """Return what is no longer the same once the file was written to, or can be."""
        facts = self.path.stat()
        return facts.st_mtime_ns, facts.st_size, _address(self.path, self.read_only)


def _address(path: Path, read_only: bool) -> str:
    """Return the URI by which SQLite opens a file as it lies there now; never makes one."""
    if _is_on_a_read_only_disk(path):
        log, index = (path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))
        has_a_log = index.exists() or (log.exists() and log.stat().st_size > 0)
        mode = "ro" if has_a_log else "ro&immutable=1"
    else:
        mode = "ro" if read_only else "rw"
    return f"{path.as_uri()}?mode={mode}"


def _is_on_a_read_only_disk(path: Path) -> bool:
    if not hasattr(os, "statvfs"):  # Windows
        return False
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _configure_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself: _begin_sqlite does
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _keep_others_out(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at once instead of waiting its turn; one
    # that takes the write lock at its beginning waits.
    write = _WRITE in connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _begin_postgres(connection: Connection) -> None:
    kind = connection.get_execution_options().get(_WRITE)
    if kind == _ALONE:
        postgres.begin_alone(connection)
    elif kind is None:
        postgres.begin_reading(connection)


def _use_write_ahead_log(engine: Engine) -> None:
    """Let readers and the writer go on beside each other; stays with the file."""
    with _explained(engine), closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        deadline = time.monotonic() + BUSY_SECONDS
        while cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                # Two processes that open a new file at once: SQLite does not wait by itself here.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _bring_up_to_date(engine: Engine, path: Path | None, read_only: bool) -> None:
    newest = migrations.REVISIONS[-1]
    with reading(engine) as connection:
        if revision_of(connection) == newest:
            return
    if read_only:
        raise DatabaseUnavailable(f"{_place(engine)} has an older schema: open it once for writing first")
    with writing(engine) as connection:
        revision = revision_of(connection)  # another process may have been faster
        if revision == newest:
            return
        if revision is not None and path is not None:
            # Whoever holds the write lock sees the file stand still.
            copy_file(path, path.with_name(f"{path.name}.backup-{revision}"))
        migrations.upgrade(connection)


def server_time(engine: Engine) -> float | None:
    """Return the time by the clock of the database's server, in Unix seconds; None for a file."""
    if engine.dialect.name != "postgresql":
        return None
    with reading(engine) as connection:
        return postgres.time_of(connection)


def check_writable(engine: Engine) -> None:
    """Raise DatabaseUnavailable where nothing could be written; changes nothing."""
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = version_num"))


def check_schema(engine: Engine) -> None:
    """Raise DatabaseTooNew where another version of the program has changed the schema meanwhile."""
    with reading(engine) as connection:
        revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """Return the schema's revision, None for an empty database.

    Raises DatabaseTooNew for one not known here, DatabaseUnavailable for a database of another program.
    """
    names = inspect(connection).get_table_names()
    place = _place(connection.engine)
    if "alembic_version" not in names:
        if names:
            raise DatabaseUnavailable(f"{place} belongs to another program: choose another place")
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    if revision is not None and revision not in migrations.REVISIONS:
        raise DatabaseTooNew(
            f"{place} has schema {revision!r}, newer than the newest known here: upgrade this program"
        )
    return revision


def copy_file(path: Path, target: Path) -> None:
    """Copy the committed state of a SQLite file, whoever writes to it; the copy is whole or absent."""
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with (
        closing(sqlite3.connect(_address(path, False), uri=True)) as source,
        closing(sqlite3.connect(unfinished)) as copy,
    ):
        source.backup(copy)
    unfinished.replace(target)


def _place(engine: Engine) -> str:
    if engine.dialect.name == "sqlite":
        return f"database {engine.url.database}"
    return f"database {postgres.shown(engine.url)}"


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Turn the driver's errors about the database as a whole into DatabaseUnavailable.

    A number that does not fit is NumberTooLarge.
    """
    try:
        yield
    except OverflowError as error:  # what sqlite3 raises, and SQLAlchemy lets pass
        raise NumberTooLarge(_TOO_LARGE) from error
    except (DBAPIError, sqlite3.DatabaseError) as error:
        if engine.dialect.name == "postgresql" and isinstance(error, DBAPIError):
            if postgres.is_about_a_number(error):
                raise NumberTooLarge(_TOO_LARGE) from error
            remedy, passes = postgres.remedy(error, BUSY_SECONDS), postgres.passes(error)
        else:
            remedy, passes = remedies.remedy(error, BUSY_SECONDS), remedies.passes(error)
        if remedy is None:
            raise  # a constraint or a statement: a mistake in this package, not in the user's set-up
        reason = remedies.reason(error).splitlines()[0]
        kind = DatabaseAway if passes else DatabaseUnavailable
        raise kind(f"{_place(engine)}: {reason}; {remedy}") from error


_ARRAYS = {int: "bigint", float: "double precision", str: "text"}  # PostgreSQL's words for Python's types


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows; where the primary key is already there, replace the other columns."""
    if not rows:
        return
    insert = postgres.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(table)
    keys = [column.name for column in table.primary_key]
    values = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)


def upsert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Do what upsert does, in less time, for rows in the order of the table's columns."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        # One statement with an array for each column: the server plans and answers once, not for each row.
        connection.exec_driver_sql(_of_arrays(table), _columns(table, rows))
    else:
        connection.exec_driver_sql(_of_rows(table), list(rows))


def _columns(table: Table, rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    """Return the rows' values by column; of rows with one key the last alone, as one statement wants it."""
    names = table.primary_key.columns.keys()
    places = [place for place, column in enumerate(table.columns) if column.name in names]
    newest = {tuple(row[place] for place in places): row for row in rows}
    return tuple(list(values) for values in zip(*newest.values(), strict=True))


@cache
def _of_rows(table: Table) -> str:
    places = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {_target(table)} VALUES ({places}) {_on_conflict(table)}"


@cache
def _of_arrays(table: Table) -> str:
    arrays = ", ".join(f"%b::{_ARRAYS[column.type.python_type]}[]" for column in table.columns)
    return f"INSERT INTO {_target(table)} SELECT * FROM unnest({arrays}) {_on_conflict(table)}"


def _target(table: Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'"{table.name}" ({names})'


def _on_conflict(table: Table) -> str:
    keys = [f'"{column.name}"' for column in table.primary_key]
    others = [name for column in table.columns if (name := f'"{column.name}"') not in keys]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
