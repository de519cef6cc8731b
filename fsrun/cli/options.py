"""Words several commands share: lists, answers, and where the database is.

Not here: any command.
"""

from typing import TYPE_CHECKING

from fsrun.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine


def words(text: str | None) -> list[str]:
    """Return the parts of a comma-separated list, empty for nothing."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def numbers(text: str | None, what: str, example: str) -> list[int]:
    """Return the whole numbers of a comma-separated list; UsageError names the part that is none."""
    parts = words(text)
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            raise UsageError(f"{what} {part!r} is not a whole number above 0: write for example {example}")
    return [int(part) for part in parts]


def sentence(line: str) -> str:
    """Return an answer as a sentence of its own."""
    return f"{line[0].upper()}{line[1:]}."


def open_database(*, create: bool = True) -> "Engine":
    """Open the database of FSRUN_HOME, made and brought up to date where needed."""
    from fsrun.paths import find_home  # help must not load the store
    from store.engine import open_store

    return open_store(find_home().database, create=create)
