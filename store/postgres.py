"""What is particular to PostgreSQL: connecting, beginning a transaction, and what its errors ask for.

Not here: which of these a transaction needs (store.engine), and what the statements say.
"""

from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from store.errors import DatabaseUnavailable

DRIVER = "postgresql+psycopg"

_ALONE = 0x6673_7275_6E  # key of the advisory lock; any number will do that all versions agree on
_CONNECTION = {
    "application_name": "fsrun",
    "connect_timeout": "10",  # seconds
    # A server or a network that is gone is noticed within a minute; left alone that takes hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",  # milliseconds
}

# By the first characters of the SQLSTATE, which do not depend on the server's language.
_REMEDIES = {
    "08": "check the network and the server, and try again",
    "25006": "it can only be read: connect to the server, and as the user, that may write",
    "25P03": "this process was suspended in the middle of a change, which was undone: try again",
    "28": "check the user and the password in its URL",
    "3D000": "make it with createdb, or name another one",
    "42501": "grant the user the right to make and to change tables in it",
    "53": "free some space, memory or connections on its server and try again",
    "55P03": "another process has held it for over {patience:.0f} s: end that one or try again",
    "57": "its server stops or restarts: try again when it is up",
    "58": "look into its server's log",
    "XX": "look into its server's log",
}

# A connection that is refused has no SQLSTATE.
_REMEDIES_OF_REFUSALS = {
    "password": "check the user and the password in its URL",
    "does not exist": "make it with createdb and createuser, or name another one",
    "refused": "start its server, or check host and port",
    "timeout": "check host and port, and the network",
    "resolve": "check the name of the host",
    "too many": "end some other connections to its server and try again",
}


def make_engine(url: URL, *, read_only: bool, patience: float) -> Engine:
    """Return an engine whose statements wait for the locks of others for `patience` seconds at most.

    Raises DatabaseUnavailable where the driver is missing or the URL asks for another one.
    """
    if url.drivername not in ("postgresql", "postgres", DRIVER):
        raise DatabaseUnavailable(f"database {shown(url)}: no such kind, use {DRIVER} or a path")
    settings = {
        "lock_timeout": f"{patience * 1000:.0f}",
        # A process that is suspended in the middle of a change must not keep its locks for ever.
        "idle_in_transaction_session_timeout": f"{patience * 2000:.0f}",
        "default_transaction_read_only": "on" if read_only else "off",
        # A plan kept from when the queue was short would sort the whole of a long one at every claim.
        "plan_cache_mode": "force_custom_plan",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    wanted = {**_CONNECTION, "options": options}
    try:
        engine = create_engine(
            url.set(drivername=DRIVER),
            connect_args={name: value for name, value in wanted.items() if name not in url.query},
            isolation_level="READ COMMITTED",  # what rows locked one by one are right under
            pool_pre_ping=True,  # the server may have been restarted since the last use
            pool_use_lifo=True,
        )
    except ImportError as error:
        raise DatabaseUnavailable(
            f"database {shown(url)} needs the package psycopg: pip install 'fsrun[postgres]'"
        ) from error
    return engine


def begin_reading(connection: Connection) -> None:
    """Let all statements of the transaction see the same state."""
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def time_of(connection: Connection) -> float:
    """Return the server's time, in Unix seconds."""
    return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())


def begin_alone(connection: Connection) -> None:
    """Wait until no other transaction that began in this way is under way."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ALONE})")


def insert(table: Table) -> Any:
    """Return an INSERT that may say ON CONFLICT; its module brings all drivers, so it is loaded only here."""
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def shown(url: URL) -> str:
    """Return the URL as it may be shown: without the password, and without options, which may hold one."""
    harmless = {name: value for name, value in url.query.items() if name in ("host", "port", "service")}
    return url.set(query=harmless).render_as_string(hide_password=True)


def passes(error: DBAPIError) -> bool:
    """Say whether the error is over once the server is up and has room again."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(("53", "57"))
    return any(sign in str(error.orig) for sign in ("refused", "too many"))


def is_about_a_number(error: DBAPIError) -> bool:
    """Say whether a number was larger than its column holds."""
    return getattr(error.orig, "sqlstate", None) == "22003"


def remedy(error: DBAPIError, patience: float) -> str | None:
    """Return what to do about an error of the database as a whole, None for one about a statement."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        cure = next((cure for start, cure in _REMEDIES.items() if state.startswith(start)), None)
        return cure and cure.format(patience=patience)
    if not isinstance(error, OperationalError | InterfaceError) and error.statement is not None:
        return None
    reason = str(error.orig)
    cures = (cure for sign, cure in _REMEDIES_OF_REFUSALS.items() if sign in reason)
    return next(cures, "check it and try again")
