"""SQLite's errors about a database as a whole, and what a user does about each.

Not here: PostgreSQL's (store.postgres), and raising (store.engine).
"""

import sqlite3

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

_REMEDIES = {
    "unable to open": "check that its folder can be written, or choose another place",
    "not a database": "it is damaged or something else: restore a backup (fsrun db restore), or move it away",
    "malformed": "it is damaged: stop all workers and restore a backup (fsrun db restore), or move it away",
    "locked": "another process has held it for over {patience:.0f} s: end that one or try again",
    "readonly": "make the file and its folder writable, or choose another place",
    "full": "free some space on its disk and try again",
    # What SQLite says as well where it cannot make the index of its log, and where a quota is used up.
    "disk I/O": "most likely its disk or your quota is full: free some space and try again",
}
_PASSING = ("full", "disk I/O")


def reason(error: DBAPIError | sqlite3.DatabaseError) -> str:
    """Return what the driver said."""
    return str(error.orig if isinstance(error, DBAPIError) else error).strip() or type(error).__name__


def passes(error: DBAPIError | sqlite3.DatabaseError) -> bool:
    """Say whether the error is over once there is space on the disk again."""
    return any(sign in reason(error) for sign in _PASSING)


def remedy(error: DBAPIError | sqlite3.DatabaseError, patience: float) -> str | None:
    """Return what to do about the error, None if it is about a statement; `patience` in seconds."""
    about_whole = OperationalError | InterfaceError | sqlite3.DatabaseError
    if type(error) is not DatabaseError and not isinstance(error, about_whole):
        return None
    said = reason(error)
    cure = next((cure for sign, cure in _REMEDIES.items() if sign in said), "check it and try again")
    return cure.format(patience=patience)
