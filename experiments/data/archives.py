"""Reads Omniglot's drawings out of a zip or a folder that nobody has to trust; writes nothing anywhere.

Not here: decoding the drawings (omniglot.py), and what makes any zip safe to read (zips.py).
"""

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from experiments.data.zips import Limits, checked_members, is_litter, open_zip, read_member
from experiments.errors import DataError
from experiments.splits.omniglot import DRAWERS, Character, characters

PARTS = ("background", "evaluation")

_CRAFTED = "it is not the official Omniglot archive: download it again"
# A drawing of 105x105 pixels in one bit is some 300 bytes; the whole of Omniglot is 8 MB of 32,460 files
# and about 1,700 folders.
_LIMITS = Limits(
    dataset="Omniglot",
    members=40_000,
    total_bytes=64 * 1024 * 1024,
    member_bytes=64 * 1024,
    crafted=_CRAFTED,
)

_NAME = re.compile(r"images_(?:background|evaluation)/([^/]+)/character(\d{2})/\d{4}_(\d{2})\.png")


@dataclass(frozen=True)
class Drawing:
    """One drawing as its file: the character, the drawer from 1 to 20, and how to read the PNG's bytes."""

    character: Character
    drawer: int
    name: str
    read: Callable[[], bytes]


@contextmanager
def open_drawings(source: Path, part: str) -> Iterator[tuple[list[Drawing], int]]:
    """Give the drawings of "background" or "evaluation", complete and sorted, and how many files are litter.

    source holds images_<part>.zip or the folder images_<part>. Raises DataError when neither is there, when
    the archive is damaged or crafted, and when a drawing is missing or too many.
    """
    archive, folder = source / f"images_{part}.zip", source / f"images_{part}"
    if archive.is_file():
        with open_zip(archive) as opened:
            drawings, litter = _from_zip(opened, archive)
            yield _complete(drawings, part, archive), litter
    elif folder.is_dir():
        drawings, litter = _from_folder(folder)
        yield _complete(drawings, part, folder), litter
    else:
        raise DataError(
            f"{source} holds neither {archive.name} nor the folder {folder.name}: name their folder"
        )


def _from_zip(opened: zipfile.ZipFile, archive: Path) -> tuple[list[Drawing], int]:
    members, litter = checked_members(opened, archive, _LIMITS)
    return [
        _drawing(member.filename, archive, partial(read_member, opened, member, archive))
        for member in members
    ], litter


def _from_folder(folder: Path) -> tuple[list[Drawing], int]:
    drawings, litter = [], 0
    for path in folder.glob("*/*/*"):
        name = path.relative_to(folder.parent).as_posix()
        if is_litter(name):
            litter += 1
        else:
            drawings.append(_drawing(name, folder, partial(_read_file, path)))
    return drawings, litter


def _read_file(path: Path) -> bytes:
    # is_file keeps a pipe or a device from being opened, the limit keeps a huge file out of memory.
    if not path.is_file() or path.stat().st_size > _LIMITS.member_bytes:
        raise DataError(f"{path} is not one of Omniglot's drawings: remove it or download Omniglot again")
    return path.read_bytes()


def _drawing(name: str, container: Path, read: Callable[[], bytes]) -> Drawing:
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(f"{container} has {name!r}, which is not an Omniglot drawing: {_CRAFTED}")
    return Drawing(Character(match[1], int(match[2])), int(match[3]), name, read)


def _complete(drawings: list[Drawing], part: str, container: Path) -> list[Drawing]:
    """Return the drawings in stored order, or refuse if one is missing, unknown or there twice."""
    wanted = [(character, drawer) for character in characters(part) for drawer in range(1, DRAWERS + 1)]
    place = {key: position for position, key in enumerate(wanted)}
    found = Counter((drawing.character, drawing.drawer) for drawing in drawings)
    for key in found - Counter(wanted):
        problem = "more than once" if key in place else "which Omniglot does not have"
        raise DataError(f"{container} has {_named(*key)} {problem}: download it again")
    missing = [key for key in wanted if key not in found]
    if missing:
        raise DataError(
            f"{container} has {len(wanted) - len(missing)} of {len(wanted)} drawings, the first missing is "
            f"{_named(*missing[0])}: download it again"
        )
    return sorted(drawings, key=lambda drawing: place[drawing.character, drawing.drawer])


def _named(character: Character, drawer: int) -> str:
    return f"{character.alphabet}/character{character.number:02d} drawing {drawer}"
