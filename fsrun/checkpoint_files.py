"""Where checkpoints are kept: files of the home, or objects below FSRUN_STORAGE with copies in the home.

Not here: writing and reading states (experiments.checkpoint), and which checkpoints a run has (the store).
"""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import CheckpointError, StorageUnavailable
from fsrun import object_store
from fsrun.paths import Home
from store.checkpoints import CheckpointRow


def sha256_of(path: Path) -> str:
    """Return the digest of a file, by which damage is noticed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class CheckpointFiles:
    """The checkpoints below a folder; with a URL they are kept there, and the folder holds copies.

    No two writers share a name: it says which attempt wrote it. What an attempt that lost its lease still
    writes is therefore never in the place of another's, and the store takes no note of it.
    """

    folder: Path = Path("/")
    url: str | None = None

    def keep(self, path: Path) -> str:
        """Keep a file that was just written below the folder; return its place as the store notes it.

        Raises StorageUnavailable, and leaves nothing behind then.
        """
        if self.url is None:
            return str(path)
        place = f"{self.url}/{path.relative_to(self.folder).as_posix()}"
        try:
            object_store.put(path, place)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return place

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

    def remove(self, row: CheckpointRow) -> None:
        """Remove a checkpoint, and the copy of it here. Raises StorageUnavailable."""
        self.discard(self.local(row), row.url)

    def discard(self, path: Path, place: str) -> None:
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


def checkpoint_files(home: Home) -> CheckpointFiles:
    """Return where the checkpoints of a home are kept."""
    return CheckpointFiles(home.checkpoints, home.kept_checkpoints)
