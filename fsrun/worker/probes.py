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

from experiments.errors import StorageUnavailable
from fsrun import object_store
from fsrun.errors import FsrunError, UsageError
from fsrun.paths import Home


@dataclass(frozen=True)
class Place:
    """A folder that every node must share; of one that may be mounted read-only no answer is expected."""

    name: str
    folder: Path
    shown: str
    remedy: str
    may_be_read_only: bool = False

    def write(self, file: str, token: str) -> str:
        """Write a file, or return what the system says to that."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_text(token)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def read(self, file: str) -> str | None:
        """Return what is in a file, None where it is not there."""
        with suppress(OSError):
            return (self.folder / file).read_text()
        return None

    def clear(self, token: str) -> None:
        """Remove all files of a token."""
        for path in self.folder.glob(f".{token}.*"):
            with suppress(OSError):
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class StoragePlace(Place):
    """The storage at a URL, in which a node must be able to write and to read."""

    url: str = ""

    def write(self, file: str, token: str) -> str:
        """Write an object, or return what the store says to that."""
        try:
            object_store.put_text(token, f"{self.url}/probes/{file}")
        except (StorageUnavailable, UsageError) as error:
            return str(error)
        return ""

    def read(self, file: str) -> str | None:
        """Return what is in an object, None where it is not there, or not for this machine."""
        with suppress(StorageUnavailable, UsageError):
            return object_store.get_text(f"{self.url}/probes/{file}")
        return None

    def clear(self, token: str) -> None:
        """Remove all objects of a token."""
        with suppress(StorageUnavailable, UsageError):
            for found in object_store.listed(f"{self.url}/probes"):
                if found.url.rpartition("/")[2].startswith(f".{token}."):
                    object_store.remove(found.url)


def places(home: Home) -> tuple[Place, ...]:
    """Return what may lie on file systems of their own: folders of the home, or the storage instead."""
    mount = "mount the same one on all nodes under the same path"
    named = "set FSRUN_HOME to a folder that all nodes see under the same path"
    if home.storage is not None:
        rights = "give all nodes the same FSRUN_STORAGE, and rights there"
        return (StoragePlace("storage", home.root, home.storage, rights, url=home.storage),)
    return (
        Place("home", home.root / "fleets", str(home.root), named),
        Place("data", home.data, str(home.data), mount, may_be_read_only=True),
        Place("checkpoints", home.checkpoints, str(home.checkpoints), mount),
    )


@contextmanager
def left(home: Home, token: str) -> Iterator[tuple[str, ...]]:
    """Leave a file in each place for as long as the block lasts; gives the names of these places.

    Raises FsrunError where one cannot be written, StorageUnavailable where the storage cannot be used.
    """
    object_store.check(home.storage)
    try:
        yield tuple(place.name for place in places(home) if _leave(place, token))
    finally:
        for place in places(home):
            place.clear(token)


def unshared(home: Home, token: str, left_in: Sequence[str], node: str, patience: float) -> Iterator[str]:
    """On a node: answer what the command left in its places, and yield what is wrong with each of them."""
    deadline = time.monotonic() + patience
    for place in places(home):
        if place.name not in left_in:
            continue
        if not _appears(place, _probe(token), token, deadline):
            yield (
                f"its {place.shown} is not the one of the command (the file {_probe(token)} that it has left "
                f"is not there): {place.remedy}"
            )
            if place.name == "home":
                return  # nothing in it can be shared either
        else:
            refused = place.write(_answer(token, node), token)
            if refused and not place.may_be_read_only:
                yield f"its {place.shown} cannot be written ({refused}): let {_user()} write there"


def answered(home: Home, token: str, node: str) -> tuple[str, ...]:
    """On a node: return the places in which it has written an answer."""
    return tuple(place.name for place in places(home) if place.read(_answer(token, node)) == token)


def unseen(home: Home, token: str, node: str, names: Sequence[str], patience: float) -> Iterator[str]:
    """In the command: yield what is wrong with places where a node says that it has answered."""
    deadline = time.monotonic() + patience
    for place in places(home):
        if place.name in names and not _appears(place, _answer(token, node), token, deadline):
            yield f"what it writes to {place.shown} is not seen here: {place.remedy}, with no layer over it"


def _probe(token: str) -> str:
    """Return the name of the file that the command leaves."""
    return f".{token}.here"


def _answer(token: str, node: str) -> str:
    """Return the name of the file that a node writes beside it."""
    return f".{token}.{re.sub(r'[^A-Za-z0-9-]', '-', node)}.there"


def _leave(place: Place, token: str) -> bool:
    refused = place.write(_probe(token), token)
    if refused and not place.may_be_read_only:
        raise FsrunError(
            f"{place.shown} cannot be written ({refused}): set FSRUN_HOME to a folder you may write"
        )
    return not refused


def _appears(place: Place, file: str, token: str, deadline: float) -> bool:
    while place.read(file) != token:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _user() -> str:
    return f"user {os.getuid()}" if hasattr(os, "getuid") else platform.node()
