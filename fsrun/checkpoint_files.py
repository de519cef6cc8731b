"""Where checkpoints are kept: files of the home, or objects below FSRUN_STORAGE with copies in the home.

The database notes paths relative to the home's folder of checkpoints, and only this file makes them absolute.
Not here: writing and reading states (experiments.checkpoint), and which checkpoints a run has (the store).
"""

import hashlib
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from experiments.errors import CheckpointError, StorageUnavailable, unwritable
from fsrun import object_store
from fsrun.paths import Home
from store.checkpoints import CheckpointRow
from store.upkeep import ASIDE, Lineage, identity, lineage

OWNER = "owner"
"""The file in a database's folder that names the database, and the number of this file within its disk."""


def sha256_of(path: Path) -> str:
    """Return the digest of a file, by which damage is noticed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class CheckpointFiles:
    """The checkpoints below a folder; with a URL they are kept there, and the folder holds copies.

    Every database has a sub-folder of its own. It reads from all of them, since the database it is a copy of
    may have written there, and removes nothing outside those in `own` and, at the URL, in `own_objects`.
    No two writers share a name: it says which attempt wrote it. What an attempt that lost its lease still
    writes is therefore never in the place of another's, and the store takes no note of it.
    """

    folder: Path
    url: str | None
    own: frozenset[str] = frozenset()
    own_objects: frozenset[str] = frozenset()

    def keep(self, path: Path) -> str:
        """Keep a file that was just written below the folder; return its place as the store notes it.

        Raises StorageUnavailable, and leaves nothing behind then.
        """
        below = path.relative_to(self.folder).as_posix()
        if self.url is None:
            return below
        place = f"{self.url}/{below}"
        try:
            object_store.put(path, place)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return place

    def require(self) -> None:
        """Raise StorageUnavailable where the folder or the storage is gone that `prepare` has found."""
        object_store.require_mark(self.folder)
        if self.url is not None:
            object_store.require(self.url.removesuffix("/checkpoints"))

    def local(self, row: CheckpointRow) -> Path:
        """Return where the file, or the copy of it, lies on this machine, if it does."""
        return self.folder / row.path

    def fetched(self, row: CheckpointRow) -> Path:
        """Return a checkpoint as a file whose checksum is right.

        Raises CheckpointError where it is gone or damaged, StorageUnavailable where it cannot be fetched now.
        """
        path = self.local(row)
        if path.is_file() and sha256_of(path) == row.sha256:
            return path
        if not row.url:
            what = "is damaged (its sha256 differs)" if path.is_file() else "is gone"
            raise CheckpointError(f"checkpoint {path} {what}")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{secrets.token_hex(4)}.partial")
        try:
            if not object_store.get(row.url, fresh):
                _refuse_an_empty_storage(row)
                raise CheckpointError(f"checkpoint {row.url} is gone")
            if sha256_of(fresh) != row.sha256:
                raise CheckpointError(f"checkpoint {row.url} is damaged (its sha256 differs)")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        return path

    def size(self, row: CheckpointRow) -> int | None:
        """Return how many bytes a checkpoint has where it is kept, None where it is gone.

        Raises StorageUnavailable.
        """
        if row.url:
            return object_store.size(row.url)
        path = self.local(row)
        return path.stat().st_size if path.is_file() else None

    def owns(self, row: CheckpointRow) -> bool:
        """Say whether a checkpoint is this database's to remove."""
        return row.path.parts[0] in (self.own_objects if row.url else self.own)

    def remove(self, row: CheckpointRow) -> None:
        """Remove a checkpoint that is this database's, and the copy here. Raises StorageUnavailable."""
        if self.owns(row):
            discard(self.local(row), row.url)


def discard(path: Path, place: str) -> None:
    """Remove a file, and what it was kept as. Raises StorageUnavailable."""
    with suppress(FileNotFoundError):
        path.unlink()
    if "://" in place:
        object_store.remove(place)


def _refuse_an_empty_storage(row: CheckpointRow) -> None:
    """Raise StorageUnavailable where no checkpoint at all is: a disk not mounted must not cost a training."""
    root = row.url.removesuffix(f"/{row.path.as_posix()}")
    if not object_store.listed(root):
        raise StorageUnavailable(f"no checkpoint is at {root}, {row.path.name} neither: mount or restore it")


def remove_unfinished(folder: Path) -> None:
    """Remove what attempts of a run have left that were killed while they wrote a checkpoint."""
    for path in folder.glob("*.partial"):
        with suppress(OSError):
            path.unlink()


def checkpoint_files(home: Home) -> CheckpointFiles:
    """Return where the checkpoints of a home are kept, to read them."""
    return CheckpointFiles(home.checkpoints, home.kept_checkpoints)


def prepare(engine: Engine, home: Home, now: float) -> CheckpointFiles:
    """Make and mark the folder of checkpoints and the storage, so that a worker notices when they go.

    Raises StorageUnavailable, and UsageError for a storage that cannot be used.
    """
    object_store.check(home.storage)
    own = home.checkpoints / identity(engine, now)
    try:
        for folder in (home.checkpoints, own):
            folder.mkdir(exist_ok=True)
        (home.checkpoints / object_store.MARK).touch()
    except OSError as error:
        raise unwritable(str(home.checkpoints), error) from error
    return own_checkpoint_files(engine, home, now)


def own_checkpoint_files(engine: Engine, home: Home, now: float) -> CheckpointFiles:
    """Return where the checkpoints of a home are kept, and which folders there belong to the database."""
    line = lineage(engine, now)
    # As long as the database lies aside that was there before, the checkpoints stay its own.
    replaced = () if any(home.root.glob(f"*{ASIDE}*[0-9]")) else line.replaced
    own = _folders(home.checkpoints, line, replaced)
    return CheckpointFiles(home.checkpoints, home.kept_checkpoints, own, frozenset({line.own, *replaced}))


def _folders(root: Path, line: Lineage, replaced: Collection[str]) -> frozenset[str]:
    """Return the sub-folders that belong to a database, and write into each that it does.

    A folder that was copied with its database, as `cp -r` of a home does, belongs to the copy from then on.
    """
    own = set()
    for folder in root.glob("[0-9a-f]*/"):
        owner, copied = _owner(folder)
        if owner in (line.own, *replaced) or (copied and owner == line.original):
            own.add(folder.name)
            if copied or owner != line.own or not (folder / OWNER).exists():
                _write_owner(folder, line.own)
    return frozenset(own)


def _owner(folder: Path) -> tuple[str, bool]:
    """Return the database a folder belongs to, and whether the folder is a copy of that database's.

    Without the file, as before there was one, it is the database the folder is called after.
    """
    with suppress(OSError, ValueError), (folder / OWNER).open(encoding="ascii") as file:
        owner, number = file.read().split()
        return owner, int(number) != os.fstat(file.fileno()).st_ino
    return folder.name, False


def _write_owner(folder: Path, owner: str) -> None:
    unfinished = folder / f".{OWNER}"
    with suppress(OSError):
        with unfinished.open("w", encoding="ascii") as file:
            file.write(f"{owner} {os.fstat(file.fileno()).st_ino}\n")
        unfinished.replace(folder / OWNER)
