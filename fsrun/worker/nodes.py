"""Whether a machine can carry out jobs for this one: same versions, same home, and a database it reaches.

Not here: who asks which machine (fsrun.worker.fleet), and the files that prove a home shared (probes.py).
"""

import errno
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fsrun.errors import FsrunError
from fsrun.paths import Home
from fsrun.provenance import PACKAGES, provenance
from fsrun.worker.devices import check_device
from fsrun.worker.probes import left, unshared
from store.engine import open_store
from store.errors import StoreError

SHARED = (
    *("FSRUN_HOME", "FSRUN_STORAGE", "FSRUN_DB_URL", "FSRUN_LEASE_SECONDS", "FSRUN_GRACE_SECONDS"),
    "OMP_NUM_THREADS",
)
"""What every node takes over from the environment of the command."""

_ERRNOS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE),
    *(errno.ENODEV, errno.ENXIO, errno.EMFILE, errno.ENFILE),
)
_DEVICE_SIGNS = ("cuda error", "cudnn error", "no cuda gpus", "nvidia driver", "cuda driver", "hip error")
_OWN_FAULT = "device-side assert"  # an index of the job's own that is out of bounds

NETWORK_SECONDS = 10.0  # until a new file is seen on every machine of a network file system


@dataclass(frozen=True)
class Order:
    """What each slot of a fleet is told: plain values, which every engine can carry to a node.

    `left_in` names the places of the home in which the command has left a file.
    """

    fleet: str
    device: str
    environment: Mapping[str, str]
    machine: str
    facts: Mapping[str, str]
    left_in: tuple[str, ...]


class Fault(NamedTuple):
    """One thing that hinders a node: what it is about (versions, home, database or device), and the line."""

    about: str
    line: str


@contextmanager
def ordered(home: Home, fleet: str, device: str, settings: Mapping[str, str]) -> Iterator[Order]:
    """Give the order of a fleet of this home, with files in the home by which a node knows it again.

    Raises FsrunError where the home cannot be written, StorageUnavailable where the storage cannot be used.
    """
    known = {name: os.environ[name] for name in SHARED if os.environ.get(name)}
    environment = {**settings, **known, "FSRUN_HOME": str(home.root)}
    with left(home, fleet) as left_in:
        yield Order(fleet, device, environment, machine(), provenance(), left_in)


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


def machine_fault(error: BaseException) -> str | None:
    """Return in one line why a job failed where this machine is to blame, None where the job itself is.

    To blame are a permission, a disk, a module that cannot be imported, and a device that cannot be used.
    """
    each: BaseException | None = error
    while each is not None:
        said = str(each).strip().partition("\n")[0]
        if (
            isinstance(each, ImportError)
            or (isinstance(each, OSError) and each.errno in _ERRNOS)
            or (isinstance(each, RuntimeError) and is_of_the_device(each))
        ):
            return f"{type(each).__name__}: {said}"
        each = each.__cause__
    return None


def is_of_the_device(error: BaseException) -> bool:
    """Say whether a GPU or its driver cannot be used; no further job can then be run by the same process."""
    said = str(error).lower()
    return any(sign in said for sign in _DEVICE_SIGNS) and _OWN_FAULT not in said


def is_file(database: str | Path) -> bool:
    """Say whether the database is a SQLite file, which only processes of one machine can share."""
    return not (isinstance(database, str) and "://" in database) or database.startswith("sqlite")


def fault(order: Order, home: Home) -> str | None:
    """Return in one line what hinders this machine from working for the order, None where nothing does."""
    return next((each.line for each in faults(order, home, socket.gethostname())), None)


def faults(order: Order, home: Home, node: str, patience: float = NETWORK_SECONDS) -> Iterator[Fault]:
    """Yield everything that hinders this machine, called `node`, from working for the order."""
    yield from (Fault("versions", line) for line in differing(order.facts, provenance()))
    apart = list(unshared(home, order.fleet, order.left_in, node, patience))
    yield from (Fault("home", line) for line in apart)
    yield from (Fault("database", line) for line in _database_out_of_reach(order, home, apart))
    yield from (Fault("device", line) for line in _no_device(order.device))


def differing(wanted: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each version, and for the commit, in which a node is other than the command."""
    for name in ("python", *PACKAGES):
        if name in here and here[name] != wanted[name]:
            yield (
                f"it has {name} {here[name]}, the command runs with {wanted[name]}: "
                "install the same versions on every node"
            )
    commits = [facts.get("commit", "not a checkout") for facts in (here, wanted)]
    if commits[0] != commits[1] and not any(each.startswith("not ") for each in commits):
        yield (
            f"its fsrun is of commit {commits[0]}, the command's of {commits[1]}: update them to the same one"
        )


def _database_out_of_reach(order: Order, home: Home, apart: Sequence[str]) -> Iterator[str]:
    if is_file(home.database) and machine() != order.machine:
        yield (
            "it is another machine, and the database is a SQLite file, which only processes of one machine "
            "can share: set FSRUN_DB_URL to a PostgreSQL database"
        )
    elif not (is_file(home.database) and apart):  # a file of a home that is not the same would be another
        try:
            open_store(home.database, create=False).dispose()
        except StoreError as error:
            yield str(error)


def _no_device(name: str) -> Iterator[str]:
    try:
        check_device(name)
    except FsrunError as error:
        yield str(error)
