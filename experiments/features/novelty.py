"""Which classes are learned from and tested on, and whether a backbone is known not to have seen the latter.

Not here: the rules of halving (splits/folders.py), and what each backbone has seen (seen.py).
"""

from collections.abc import Collection
from pathlib import Path

from experiments.errors import DataError
from experiments.features.index import FeatureIndex
from experiments.features.seen import Seen, listed, wordnet_number, wordnet_numbers
from experiments.splits.folders import BLIND, halved, listed_splits


def novel_splits(
    names: Collection[str], seen: Seen, *, splits: Path | None = None, seed: int = 0
) -> dict[str, str]:
    """Return the split of each class: from a file, or base where it was seen and the rest in halves.

    Classes named by WordNet numbers fall into the same half whichever others are there. Raises DataError
    where no two classes are left to test on, a list names a class that is not here, or a file would test on
    classes that were seen.
    """
    unmatched = seen.unmatched(names) if seen.given else []
    if unmatched:
        raise DataError(
            f"{seen.words}: {unmatched[0]!r} is none of the {len(names):,} classes here: "
            "write it as its folder is named, or take it away"
        )
    known = seen.among(names)
    if splits is not None:
        chosen = listed_splits(splits, names, known)
    else:
        universe = listed("imagenet-22k") if wordnet_numbers(names) else ()
        chosen = halved(names, seen.names | known, seed=seed, universe=universe)
    tested = sum(split == "test" for split in chosen.values())
    if tested < 2:
        raise DataError(
            f"{tested} of {len(names):,} classes are left to test on, {len(known):,} were seen by the "
            f"backbone ({seen.words}): use other classes, or a backbone that has not seen these"
        )
    return chosen


def novelty(index: FeatureIndex) -> str:
    """Say whether the backbone was trained on a class of val or test: none, or why that is not known."""
    if not index.seen_certain:
        return "not known: the backbone was trained on more than can be listed"
    if index.seen_given:
        return f"none, by the list that was given ({index.seen})"
    if all(wordnet_number(each.name) for each in index.classes if each.split in BLIND):
        return f"none, by WordNet numbers ({index.seen})"
    named = f"{index.seen_here:,} of your names are" if index.seen_here else "no name of yours is"
    rest = ", the others are not" if index.seen_here else ""
    return f"not known: {named} among the backbone's classes{rest}; give --seen FILE"
