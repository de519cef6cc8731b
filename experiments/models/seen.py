"""Which classes a backbone was trained on, as far as that can be known: these are never called novel.

Not here: the splits that follow from it (data/class_splits.py).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import DataError

LISTS = ("imagenet-1k", "imagenet-12k", "imagenet-22k")
NOTHING = "nothing"
_WNID = re.compile(r"n\d{8}")
_LARGER = {"in22k": "imagenet-22k", "in21k": "imagenet-22k", "in12k": "imagenet-12k"}
# Words in the tags of timm's weights for training on images that no list of classes describes.
_UNLISTED = (
    "laion",
    "openai",
    "clip",
    "jft",
    "ns_jft",
    "lvd",
    "swag",
    "ig",
    "yfcc",
    "webli",
    "merged",
    "dfn",
)


@dataclass(frozen=True)
class Seen:
    """What a backbone was trained on: class names, the same in words, and whether that is all there is."""

    names: frozenset[str]
    words: str
    certain: bool = True


def seen_from(word: str) -> Seen:
    """Return what a word means: a list of timm's, "nothing", or a file with a class on each line."""
    if word == NOTHING:
        return Seen(frozenset(), "nothing, as was said")
    if word in LISTS:
        return Seen(listed(word), word)
    try:
        lines = Path(word).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        choices = ", ".join((*LISTS, NOTHING))
        raise DataError(
            f"{word!r} is no list of classes that were seen: use {choices}, or a file, a class on each line"
        ) from error
    names = frozenset(line.split()[0] for line in lines if line.strip())
    return Seen(names, f"{len(names):,} classes of {word}")


def seen_by_tag(tag: str) -> Seen:
    """Return what weights of timm were trained on by their tag, such as fb_in22k_ft_in1k."""
    words = re.split(r"[._-]", tag)
    larger = next((name for short, name in _LARGER.items() if short in words), None)
    names = listed("imagenet-1k") | (listed(larger) if larger else frozenset())
    said = f"imagenet-1k and {larger}" if larger else "imagenet-1k"
    unlisted = next((word for word in words if word.startswith(_UNLISTED)), None)
    if unlisted:
        return Seen(names, f"{said}, and images of {unlisted} that no list describes", certain=False)
    return Seen(names, said)


def assumed() -> Seen:
    """Return what weights in a file are taken to have seen where nothing else is said."""
    return Seen(listed("imagenet-1k"), "imagenet-1k, as is assumed of a file")


def listed(name: str) -> frozenset[str]:
    """Return the WordNet numbers of a list that timm carries; DataError where timm is not installed."""
    try:
        from timm.data.imagenet_info import ImageNetInfo
    except ImportError as error:
        raise DataError("the lists of ImageNet's classes need timm: pip install 'fsrun[imagenet]'") from error
    names: list[str] = ImageNetInfo(name).label_names()
    return frozenset(names)


def wordnet_numbers(names: Iterable[str]) -> bool:
    """Say whether all names are WordNet numbers, which can be compared with what was seen."""
    return all(_WNID.fullmatch(name) for name in names)
