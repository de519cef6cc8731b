"""How classes that are known by name alone become base, meta, val and test: by halves, in a seeded order.

Not here: which classes a backbone has seen (features/seen.py), and images. Needs neither torch nor numpy.
"""

import csv
import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from experiments.errors import DataError, unknown_name

SPLIT_NAMES = ("base", "meta", "val", "test")
BLIND = ("val", "test")  # what a backbone must never have seen
_HELD_OUT = 10  # one in so many classes of the meta half is kept for choices
_DRAWN_BASE = 20  # of drawn classes, at most one in so many is a base class
_MOST_BASE = 1000


def halved(
    names: Collection[str], seen: Collection[str], *, seed: int = 0, universe: Iterable[str] = ()
) -> dict[str, str]:
    """Return the split of each class: base where the backbone has seen it, else meta or test.

    One in ten of the meta half is val. The halves are of all of the universe, such as ImageNet's 21,841
    classes, so that a class falls into the same half whichever others are there.
    """
    known = set(seen)
    novel = sorted({*names, *universe} - known)
    order = sorted(novel, key=lambda name: hashlib.sha256(os.fsencode(f"{seed}/{name}")).digest())
    half = len(order) // 2
    place = {name: number for number, name in enumerate(order)}
    held_out = half // _HELD_OUT
    return {name: "base" if name in known else _part(place[name], held_out, half) for name in names}


def _part(place: int, held_out: int, half: int) -> str:
    if place >= half:
        return "test"
    return "val" if place < held_out else "meta"


def shares(classes: int) -> dict[str, int]:
    """Return how many of so many classes each split gets where the first are base and the rest is halved."""
    base = min(_MOST_BASE, classes // _DRAWN_BASE)
    half = (classes - base) // 2
    held_out = half // _HELD_OUT
    meta = half - held_out
    return {"base": base, "meta": meta, "train": meta, "val": held_out, "test": classes - base - half}


def class_list(path: Path) -> list[str]:
    """Return the lines of a list of classes, without a byte-order mark.

    A name that is no text keeps its bytes, as file names do. Raises OSError where the file cannot be read.
    """
    return path.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n")


def tidied(name: str) -> str:
    """Return a class's name as lists and folders are compared by: composed, without blanks around it."""
    return unicodedata.normalize("NFC", name).strip()


def listed_splits(
    path: Path, names: Collection[str], seen: Collection[str], parts: Collection[str] = SPLIT_NAMES
) -> dict[str, str]:
    """Return the split of each class that a file lists: a class and its split on each line, a comma between.

    Raises DataError where the file cannot be read, names another split, a class twice or one that is not
    here, or would test on a class that the backbone has seen.
    """
    try:
        rows = [[tidied(cell) for cell in row] for row in csv.reader(class_list(path))]
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as lines of class,split: name a csv file") from error
    here: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        here[tidied(name)].append(name)
    listed: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not any(row):
            continue
        if len(row) != 2:
            raise DataError(f"{path} line {number} is not class,split: write for example n01440764,test")
        name, split = row
        if split not in parts:
            raise DataError(f"{path} line {number}: {unknown_name('split', split, parts)}")
        if name not in here:
            raise DataError(
                f"{path} line {number}: {name!r} is none of the {len(names):,} classes: "
                "list them by their folders' names"
            )
        if name in listed:
            raise DataError(
                f"{path} line {number}: {name!r} is listed twice, in {listed[name]} and in {split}: "
                "list each class once"
            )
        listed[name] = split
    if not listed:
        raise DataError(f"{path} lists no class: write a class and its split on each line")
    chosen = {each: split for name, split in listed.items() for each in here[name]}
    _refuse_seen(path, chosen, seen)
    return chosen


def _refuse_seen(path: Path, splits: Mapping[str, str], seen: Collection[str]) -> None:
    known = set(seen)
    wrong = sorted(name for name, split in splits.items() if split in BLIND and name in known)
    if wrong:
        raise DataError(
            f"{path} lists {len(wrong):,} classes to test on that the backbone was trained on, {wrong[0]} "
            "the first: call them base or meta, or use a backbone that has not seen them"
        )
