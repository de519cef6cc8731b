"""Whether a machine can carry out jobs for this one: same versions, same home, and a database it reaches.

Not here: who asks which machine (fsrun.worker.fleet).
"""

import os
import platform
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsrun.errors import FsrunError
from fsrun.paths import Home
from fsrun.provenance import PACKAGES, provenance
from fsrun.worker.devices import check_device
from store.engine import open_store
from store.errors import StoreError

SHARED = ("FSRUN_HOME", "FSRUN_DB_URL", "FSRUN_LEASE_SECONDS", "FSRUN_GRACE_SECONDS", "OMP_NUM_THREADS")
"""What every node takes over from the environment of the command."""

NETWORK_SECONDS = 10.0  # until a new file is seen on every machine of a network file system


@dataclass(frozen=True)
class Order:
    """What each slot of a fleet is told: plain values, which every engine can carry to a node."""

    fleet: str
    device: str
    environment: Mapping[str, str]
    machine: str
    facts: Mapping[str, str]


@contextmanager
def ordered(home: Home, fleet: str, device: str, settings: Mapping[str, str]) -> Iterator[Order]:
    """Give the order of a fleet of this home, with a file in the home by which a node knows it again."""
    probe = _probe(home, fleet)
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text(fleet)
    except OSError as error:
        raise FsrunError(
            f"{probe} cannot be written ({error.strerror}): set FSRUN_HOME to a folder you may write"
        ) from error
    known = {name: os.environ[name] for name in SHARED if os.environ.get(name)}
    environment = {**settings, **known, "FSRUN_HOME": str(home.root)}
    try:
        yield Order(fleet, device, environment, machine(), provenance())
    finally:
        probe.unlink(missing_ok=True)


def take_over(environment: Mapping[str, str]) -> None:
    """Let this process know the home and the database of the command, and none of its own."""
    for name in SHARED:
        os.environ.pop(name, None)
    os.environ.update(environment)


def new_fleet(engine: str) -> str:
    """Return a name that no other fleet has."""
    return f"{engine}-{secrets.token_hex(3)}"


def machine() -> str:
    """Return what tells one running machine from another, whatever it or a container on it is called."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def is_file(database: str | Path) -> bool:
    """Say whether the database is a SQLite file, which only processes of one machine can share."""
    return not (isinstance(database, str) and "://" in database) or database.startswith("sqlite")


def fault(order: Order, home: Home, patience: float = NETWORK_SECONDS) -> str | None:
    """Return in one line what hinders this machine from working for the order, None where nothing does."""
    found = _other_version(order.facts, provenance()) or _other_home(order, home, patience)
    return found or _database_out_of_reach(order, home) or _no_device(order.device)


def _other_version(wanted: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    for name in ("python", *PACKAGES):
        if here[name] != wanted[name]:
            return (
                f"it has {name} {here[name]}, the command runs with {wanted[name]}: "
                "install the same versions on every node"
            )
    commits = [facts["commit"] for facts in (here, wanted)]
    if commits[0] != commits[1] and "not a checkout" not in commits:
        return (
            f"its fsrun is of commit {commits[0]}, the command's of {commits[1]}: update them to the same one"
        )
    return None


def _other_home(order: Order, home: Home, patience: float) -> str | None:
    deadline = time.monotonic() + patience
    while not _knows(home, order.fleet):
        if time.monotonic() > deadline:
            return (
                f"its {home.root} is not the folder of the command (the file {_probe(home, order.fleet)} is "
                "not there): set FSRUN_HOME to a folder that all nodes see under the same path"
            )
        time.sleep(0.2)
    if not os.access(home.root, os.W_OK):
        return f"its {home.root} cannot be written: mount it so that {_user()} may write there"
    return None


def _database_out_of_reach(order: Order, home: Home) -> str | None:
    if is_file(home.database) and machine() != order.machine:
        return (
            "it is another machine, and the database is a SQLite file, which only processes of one machine "
            "can share: set FSRUN_DB_URL to a PostgreSQL database"
        )
    try:
        open_store(home.database, create=False).dispose()
    except StoreError as error:
        return str(error)
    return None


def _no_device(name: str) -> str | None:
    try:
        check_device(name)
    except FsrunError as error:
        return str(error)
    return None


def _knows(home: Home, fleet: str) -> bool:
    try:
        return _probe(home, fleet).read_text() == fleet
    except OSError:
        return False


def _probe(home: Home, fleet: str) -> Path:
    return home.root / "fleets" / f"{fleet}.here"


def _user() -> str:
    return f"user {os.getuid()}" if hasattr(os, "getuid") else platform.node()
