"""Writing a file, or a folder of files, whole or not at all.

Not here: what is written.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsrun.errors import FsrunError


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Have something written in the file's place; whoever reads sees the old file or the new one, whole.

    Raises FsrunError where it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        write(unfinished)
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise FsrunError(f"{path} cannot be written ({error.strerror}): name another file") from error


def put_text(path: Path, text: str) -> None:
    """Put a text in the file's place, whole or not at all. Raises FsrunError."""
    put(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


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
