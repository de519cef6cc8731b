"""Writing a file or a folder of files, whole or not at all, and a line at a time into a log.

Not here: what is written.
"""

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from fsrun.errors import FsrunError


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Have something written in the file's place; whoever reads sees the old file or the new one, whole.

    A link stays, and the file it names is replaced. A device, a pipe or a socket is written to. Raises
    FsrunError where the file cannot be written.
    """
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):
                _pass_on(path, write)
                return
        _replace(path.resolve(), write)
    except OSError as error:
        reason = error.strerror or error
        raise FsrunError(f"{path} cannot be written ({reason}): name another file") from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Put a new file in the place of one, or of none; it keeps the old one's permissions."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        write(unfinished)
        with suppress(FileNotFoundError):
            shutil.copymode(path, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _pass_on(path: Path, write: Callable[[Path], object]) -> None:
    """Write to what is no regular file, once all of it is there; its reader may stop before the end."""
    with tempfile.TemporaryDirectory(prefix="fsrun-") as folder:
        whole = Path(folder) / path.name
        write(whole)
        with suppress(BrokenPipeError), whole.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)


def put_text(path: Path, text: str) -> None:
    """Put a text in the file's place, whole or not at all. Raises FsrunError."""
    put(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def append_line(log: Path, line: str) -> None:
    """Add a line with the time to a log; one that cannot be written is no reason to stop."""
    with suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which gets its name when all is in it.

    Raises FsrunError where the name is taken or the folder cannot be written.
    """
    if folder.exists():
        raise FsrunError(f"{folder} is there already: name a folder that is not")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
        try:
            yield fresh
            fresh.chmod(0o755)  # what is exported is to be shared
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise FsrunError(f"{folder} cannot be written ({error.strerror}): name another folder") from error
