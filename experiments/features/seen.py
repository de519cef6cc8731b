"""Which classes a backbone was trained on, as far as that can be known: these are never called novel.

Not here: the splits that follow from it (splits/folders.py).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from experiments.errors import DataError
from experiments.splits.folders import class_list, tidied

LISTS = ("imagenet-1k", "imagenet-12k", "imagenet-22k")
NOTHING = "nothing"
_WNID = re.compile(r"(n\d{8})(?:[\s_.,-].*)?", re.DOTALL)
_SEPARATORS = re.compile(r"[\s_.,'’()/-]+")
_PLURALS = {"ies": ("y",), "ves": ("f", "fe"), "es": ("",)}  # of a last word, and its singulars
_IRREGULAR = {
    "mice": "mouse",
    "geese": "goose",
    "feet": "foot",
    "teeth": "tooth",
    "children": "child",
    "men": "man",
    "women": "woman",
    "people": "person",
    "oxen": "ox",
}
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
    """What a backbone was trained on: class names or WordNet numbers, the same in words.

    certain: it was trained on nothing else. given: a user lists the seen classes, so every other class is
    unseen; the lists of ImageNet say so of WordNet numbers alone.
    """

    names: frozenset[str]
    words: str
    certain: bool = True
    given: bool = False

    def among(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the names that were seen: by WordNet number, else by any synonym or spelling.

        Two WordNet numbers are compared as they are: different synsets may share a synonym.
        """
        numbers = {number for each in self.names if (number := wordnet_number(each))}
        own = {form for each in self.names if not wordnet_number(each) for form in _forms(each)}
        said = own | (_synonyms(numbers) if any(not wordnet_number(name) for name in names) else set())
        return frozenset(name for name in names if self._holds(name, numbers, own, said))

    def unmatched(self, names: Collection[str]) -> list[str]:
        """Return what is listed and is neither a WordNet number nor one of the names."""
        here = {form for name in names for form in _forms_of_class(name)}
        return sorted(each for each in self.names if not wordnet_number(each) and not here & _forms(each))

    @staticmethod
    def _holds(name: str, numbers: set[str], own: set[str], said: set[str]) -> bool:
        number = wordnet_number(name)
        if number is None:
            return not said.isdisjoint(_forms(name))
        return number in numbers or (bool(own) and not own.isdisjoint(_forms_of_class(name)))


def seen_from(word: str) -> Seen:
    """Return what a word means: a list of timm's, "nothing", or a file with a class on each line.

    Raises DataError where it is none of them, or the file has a class twice.
    """
    if word == NOTHING:
        return Seen(frozenset(), "nothing, as was said", given=True)
    if word in LISTS:
        return Seen(listed(word), word)
    try:
        lines = [tidied(line) for line in class_list(Path(word))]
    except OSError as error:
        choices = ", ".join((*LISTS, NOTHING))
        raise DataError(
            f"{word!r} is not a list of classes: use {choices}, or a file, a class on each line"
        ) from error
    names = Counter(filter(None, lines))
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise DataError(f"{word} lists {twice[0]!r} twice: list each class once")
    return Seen(frozenset(names), f"{len(names):,} class{'es' * (len(names) != 1)} of {word}", given=True)


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
    names: list[str] = _imagenet_info(name).label_names()
    return frozenset(names)


def _imagenet_info(name: str) -> Any:
    try:
        from timm.data.imagenet_info import ImageNetInfo
    except ImportError as error:
        raise DataError("the lists of ImageNet's classes need timm: pip install 'fsrun[imagenet]'") from error
    return ImageNetInfo(name)


def wordnet_numbers(names: Iterable[str]) -> bool:
    """Say whether all names are WordNet numbers and nothing else."""
    return all(wordnet_number(name) == name for name in names)


def wordnet_number(name: str) -> str | None:
    """Return the WordNet number that a class is named by: n02085620, or n02085620-Chihuahua."""
    match = _WNID.fullmatch(name)
    return match[1] if match else None


def _synonyms(numbers: Iterable[str]) -> set[str]:
    """Return the forms of all synonyms of WordNet numbers."""
    lemmas = _lemmas()
    return {form for number in numbers for lemma in lemmas.get(number, ()) for form in _forms(lemma)}


def _forms_of_class(name: str) -> set[str]:
    """Return the forms of a class's name, of a WordNet number those of its synonyms."""
    number = wordnet_number(name)
    return _forms(name) if number is None else _forms(name) | _synonyms([number])


@cache
def _lemmas() -> dict[str, list[str]]:
    """Return the synonyms of each WordNet number of ImageNet."""
    descriptions: dict[str, str] = {}
    for name in LISTS:
        descriptions |= _imagenet_info(name).label_descriptions(as_dict=True)
    return {number: text.split(", ") for number, text in descriptions.items()}


def _forms(name: str) -> set[str]:
    """Return how a name may be spelled: in lower case, one blank between words, the last in the singular."""
    words = _SEPARATORS.sub(" ", tidied(name).casefold()).split()
    return {" ".join((*words[:-1], last)) for last in _singulars(words[-1])} if words else set()


def _singulars(word: str) -> set[str]:
    """Return a word and what it may be the plural of."""
    found = {word, _IRREGULAR.get(word, word)}
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        found.add(word[:-1])
        for plural, singulars in _PLURALS.items():
            if word.endswith(plural):
                found |= {word.removesuffix(plural) + singular for singular in singulars}
    return found
