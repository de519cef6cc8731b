"""Which classes belong to which split of which protocol, as plain data.

Not here: images. This file needs neither torch nor numpy, because a run is checked when it is queued.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from experiments.errors import ConfigError, unknown_name

DRAWERS = 20
TURNS = 4
OMNIGLOT_PROTOCOLS = ("P-V", "P-B", "R1", "R2")

# The Omniglot list released with Vinyals' 1200/423 protocol, by what it does with the evaluation alphabets.
_VALIDATION_ALPHABETS = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
_PV_TRAIN_ALPHABETS = (
    "Angelic",
    "Atemayar_Qelisayer",
    "Atlantean",
    "Aurek-Besh",
    "Avesta",
    "Ge_ez",
    "Glagolitic",
)
# P-B has nothing but the background to learn from: these nine of its alphabets (239 characters) meta-train,
# the first in the order of a hash.
_PB_META_ALPHABETS = (
    "Anglo-Saxon_Futhorc",
    "Burmese_(Myanmar)",
    "Futurama",
    "Greek",
    "Inuktitut_(Canadian_Aboriginal_Syllabics)",
    "Malay_(Jawi_-_Arabic)",
    "N_Ko",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)",
    "Syriac_(Estrangelo)",
)
_PV_DIVIDED_ALPHABET = "Gurmukhi"
_PV_FIRST_TEST_NUMBER = 42  # Gurmukhi 1 to 41 train, 42 to 45 test


class Character(NamedTuple):
    """One class of Omniglot: an alphabet's name and the character's number in it, from 1."""

    alphabet: str
    number: int


Splits = Mapping[str, tuple[Character, ...]]


@cache
def alphabets(part: str) -> dict[str, int]:
    """Return the alphabets of "background" or "evaluation" with their sizes, by name."""
    text = files("experiments.splits").joinpath("omniglot.json").read_text(encoding="utf-8")
    counts: dict[str, int] = json.loads(text)[part]
    return dict(sorted(counts.items()))


@cache
def characters(part: str) -> tuple[Character, ...]:
    """Return the characters of "background" (964) or "evaluation" (659), by alphabet, then by number."""
    return tuple(
        Character(alphabet, number)
        for alphabet, count in alphabets(part).items()
        for number in range(1, count + 1)
    )


@cache
def all_characters() -> tuple[Character, ...]:
    """Return the 1623 characters in the order in which the imported images are stored."""
    return characters("background") + characters("evaluation")


@cache
def alphabet_numbers() -> tuple[int, ...]:
    """Return the alphabet's number of each of all characters, from 0, in the order of the characters."""
    order = {
        alphabet: number
        for number, alphabet in enumerate([*alphabets("background"), *alphabets("evaluation")])
    }
    return tuple(order[character.alphabet] for character in all_characters())


@cache  # asked for each run of a sweep, and for each result of a report
def protocol_splits(protocol: str, *, holdout: bool = True) -> Splits:
    """Return the characters of each split of an Omniglot protocol.

    No character is in two splits, but that train, where there are base and meta, is both together. holdout
    takes five background alphabets (172 characters) out of train as "val"; without it there is no "val".
    Sizes with holdout: P-V train 1028, val 172, test 423; P-B train 792 = base 553 + meta 239, val 172, test
    659; R1 base 792, meta 236, val 172, test 423; R2 base 792, meta 330, val 172, test 329.

    Raises ConfigError for an unknown protocol.
    """
    if protocol not in OMNIGLOT_PROTOCOLS:
        raise unknown_name("Omniglot protocol", protocol, OMNIGLOT_PROTOCOLS)
    background = characters("background")
    val = tuple(c for c in background if holdout and c.alphabet in _VALIDATION_ALPHABETS)
    base = tuple(c for c in background if c not in val)
    meta, test = _evaluation_halves(protocol)
    splits = {"train": base + meta} | ({} if protocol.startswith("P-") else {"base": base, "meta": meta})
    if protocol == "P-B":
        splits["base"] = tuple(c for c in base if c.alphabet not in _PB_META_ALPHABETS)
        splits["meta"] = tuple(c for c in base if c.alphabet in _PB_META_ALPHABETS)
    return MappingProxyType(splits | ({"val": val} if holdout else {}) | {"test": test})


def class_count(protocol: str, split: str, *, holdout: bool = True, rotations: bool = False) -> int:
    """Return how many classes a split has; with rotations each quarter turn of a character is a class.

    Raises ConfigError for an unknown protocol or split.
    """
    splits = protocol_splits(protocol, holdout=holdout)
    if split not in splits:
        raise unknown_name(f"split of {protocol}", split, splits)
    return len(splits[split]) * (TURNS if rotations else 1)


def glyph_splits(alphabets: int, characters: int) -> dict[str, range]:
    """Return the classes of each split of the glyphs, which are divided by whole alphabets.

    base 50 %, meta 20 %, val 10 % and test 20 % of the alphabets, at least one each; train = base + meta.
    Class number = alphabet * characters + character.

    Raises ConfigError when there are too few alphabets to divide, or no characters.
    """
    if alphabets < 4 or characters < 1:
        raise ConfigError(
            f"glyphs need at least 4 alphabets of 1 character, not {alphabets} of {characters}: ask for more"
        )
    meta = test = max(1, alphabets // 5)
    val = max(1, alphabets // 10)
    base = alphabets - meta - val - test
    ends = [0, base, base + meta, base + meta + val, alphabets]
    ranges = [range(a * characters, b * characters) for a, b in pairwise(ends)]
    train = range(0, (base + meta) * characters)
    return {"train": train} | dict(zip(("base", "meta", "val", "test"), ranges, strict=True))


def _evaluation_halves(protocol: str) -> tuple[tuple[Character, ...], tuple[Character, ...]]:
    """Divide the evaluation characters into those that may be learned from and those for the test."""
    evaluation = characters("evaluation")
    if protocol == "P-B":
        return (), evaluation
    if protocol == "R2":
        # A hash, not random.shuffle: the order can never change with a release of Python.
        order = sorted(evaluation, key=_shuffle_key)
        middle = (len(order) + 1) // 2
        return tuple(sorted(order[:middle])), tuple(sorted(order[middle:]))
    meta = tuple(c for c in evaluation if _is_pv_train(c))
    return meta, tuple(c for c in evaluation if not _is_pv_train(c))


def _shuffle_key(character: Character) -> bytes:
    return hashlib.sha256(f"R2/{character.alphabet}/{character.number}".encode()).digest()


def _is_pv_train(character: Character) -> bool:
    if character.alphabet == _PV_DIVIDED_ALPHABET:
        return character.number < _PV_FIRST_TEST_NUMBER
    return character.alphabet in _PV_TRAIN_ALPHABETS
