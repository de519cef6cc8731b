"""Small files by which two machines find out whether they share a folder: each writes, the other reads.

Not here: what else a node must have (nodes.py).
"""

import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fsrun.errors import FsrunError
from fsrun.paths import Home


@dataclass(frozen=True)
class Place:
    """A folder that every node must share; of one that may be mounted read-only no answer is expected."""

    name: str
    folder: Path
    shown: Path
    remedy: str
    may_be_read_only: bool = False

    def probe(self, token: str) -> Path:
        """The file that the command leaves."""
        return self.folder / f".{token}.here"

    def answer(self, token: str, node: str) -> Path:
        """The file that a node writes beside it."""
        return self.folder / f".{token}.{re.sub(r'[^A-Za-z0-9-]', '-', node)}.there"


def places(home: Home) -> tuple[Place, ...]:
    """Return the folders of a home that may lie on file systems of their own, the home itself first."""
    mount = "mount the same one on all nodes under the same path"
    named = "set FSRUN_HOME to a folder that all nodes see under the same path"
    return (
        Place("home", home.root / "fleets", home.root, named),
        Place("data", home.data, home.data, mount, may_be_read_only=True),
        Place("checkpoints", home.checkpoints, home.checkpoints, mount),
    )


@contextmanager
def left(home: Home, token: str) -> Iterator[tuple[str, ...]]:
    """Leave a file in each place for as long as the block lasts; gives the names of these places.

    Raises FsrunError where the home cannot be written.
    """
    try:
        yield tuple(place.name for place in places(home) if _leave(place, token))
    finally:
        for place in places(home):
            for path in place.folder.glob(f".{token}.*"):
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def unshared(home: Home, token: str, left_in: Sequence[str], node: str, patience: float) -> Iterator[str]:
    """On a node: answer what the command left in its places, and yield what is wrong with each of them."""
    deadline = time.monotonic() + patience
    for place in places(home):
        if place.name not in left_in:
            continue
        if not _appears(place.probe(token), token, deadline):
            yield (
                f"its {place.shown} is not the folder of the command (the file {place.probe(token)} is not "
                f"there): {place.remedy}"
            )
            if place.name == "home":
                return  # nothing in it can be shared either
        else:
            refused = _write(place.answer(token, node), token)
            if refused and not place.may_be_read_only:
                yield f"its {place.shown} cannot be written ({refused}): mount it so that {_user()} may"


def answered(home: Home, token: str, node: str) -> tuple[str, ...]:
    """On a node: return the places in which it has written an answer."""
    return tuple(place.name for place in places(home) if place.answer(token, node).exists())


def unseen(home: Home, token: str, node: str, names: Sequence[str], patience: float) -> Iterator[str]:
    """In the command: yield what is wrong with places where a node says that it has answered."""
    deadline = time.monotonic() + patience
    for place in places(home):
        if place.name in names and not _appears(place.answer(token, node), token, deadline):
            yield f"what it writes to {place.shown} is not seen here: {place.remedy}, with no layer over it"


def _leave(place: Place, token: str) -> bool:
    path = place.probe(token)
    refused = _write(path, token)
    if refused and not place.may_be_read_only:
        raise FsrunError(f"{path} cannot be written ({refused}): set FSRUN_HOME to a folder you may write")
    return not refused


def _write(path: Path, token: str) -> str:
    """Write the file, or return what the system says to that."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(token)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _appears(path: Path, token: str, deadline: float) -> bool:
    while True:
        with suppress(OSError):
            if path.read_text() == token:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def _user() -> str:
    return f"user {os.getuid()}" if hasattr(os, "getuid") else platform.node()
