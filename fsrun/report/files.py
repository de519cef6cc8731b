"""Where the file that a report is written into may lie.

Not here: writing it (fsrun.writing).
"""

from collections.abc import Sequence
from pathlib import Path

from fsrun.errors import FsrunError, UsageError


def check_place(path: Path, endings: Sequence[str]) -> None:
    """Raise UsageError for another ending or a folder, FsrunError where the folder around it is missing."""
    if path.is_dir():
        raise UsageError(
            f"--out {path} is a folder: name a file in it, for example {path / f'report{endings[0]}'}"
        )
    if path.suffix not in endings:
        raise UsageError(f"--out {path}: the ending must be one of {', '.join(endings)}")
    if not path.absolute().parent.is_dir():
        raise FsrunError(f"--out {path}: the folder {path.absolute().parent} does not exist: make it first")
