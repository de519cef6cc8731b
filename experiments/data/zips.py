"""Zip archives that nobody has to trust: checked before anything is read, never unpacked onto the disk.

Not here: what is expected in an archive (archives.py, miniimagenet_sources.py).
"""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zlib import error as ZlibError  # noqa: N812  # zlib names it in lower case

from experiments.errors import DataError

_LITTER = {
    "__macosx",
    "@eadir",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
}
"""What desktops and file servers leave in folders and archives, beside hidden files."""


@dataclass(frozen=True)
class Limits:
    """What an archive of a data set can hold at most; `crafted` ends every refusal with what to do."""

    dataset: str
    members: int
    total_bytes: int
    member_bytes: int
    crafted: str


@contextmanager
def damage_reported(archive: Path) -> Iterator[None]:
    """Turn all that a damaged archive can raise into one DataError."""
    try:
        yield
    except (zipfile.BadZipFile, ZlibError, EOFError, ValueError, RuntimeError, OSError) as error:
        # ValueError is a name that is not text, RuntimeError an encrypted member.
        raise DataError(f"{archive} is damaged ({error}): download it again") from error


def open_zip(archive: Path) -> zipfile.ZipFile:
    """Open an archive; DataError where it is none."""
    with damage_reported(archive):
        return zipfile.ZipFile(archive)


def checked_members(
    opened: zipfile.ZipFile, archive: Path, limits: Limits
) -> tuple[list[zipfile.ZipInfo], int]:
    """Return the files of an archive, and how many more are litter.

    Raises DataError for bombs, links and paths that would leave a folder.
    """
    members = opened.infolist()
    _refuse_bomb(members, archive, limits)
    for member in members:
        _refuse_hostile(member, archive, limits)
    files = [member for member in members if not member.is_dir()]
    wanted = [member for member in files if not is_litter(member.filename)]
    return wanted, len(files) - len(wanted)


def read_member(opened: zipfile.ZipFile, member: zipfile.ZipInfo, archive: Path) -> bytes:
    """Return a member's bytes, never more than the size that checked_members has seen."""
    with damage_reported(archive):
        return opened.read(member)


def is_litter(name: str) -> bool:
    """Say whether a path is hidden, or left by a desktop or a file server: ._x.jpg, Thumbs.db, @eaDir."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in PurePosixPath(name).parts)


def litter_text(litter: int) -> str:
    """Say in one line that litter was left alone."""
    what = "file or folder that is" if litter == 1 else "files or folders that are"
    return f"{litter:,} {what} hidden or left by a desktop (.DS_Store, Thumbs.db, @eaDir) not looked at"


def _refuse_bomb(members: list[zipfile.ZipInfo], archive: Path, limits: Limits) -> None:
    more = f"more than {limits.dataset} can have: {limits.crafted}"
    if len(members) > limits.members:
        raise DataError(f"{archive} has {len(members)} members, {more}")
    total = sum(member.file_size for member in members)
    largest = max((member.file_size for member in members), default=0)
    if total > limits.total_bytes or largest > limits.member_bytes:
        raise DataError(f"{archive} unpacks to {total} bytes, {more}")


def _refuse_hostile(member: zipfile.ZipInfo, archive: Path, limits: Limits) -> None:
    """Refuse paths and links that would reach outside a folder, though nothing here unpacks into one."""
    name = member.orig_filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise DataError(f"{archive} has the member {name!r}, which leaves the folder: {limits.crafted}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{archive} has {name!r} in a compression {limits.dataset} does not use: {limits.crafted}"
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{archive} has the symbolic link {name!r}: {limits.crafted}")
