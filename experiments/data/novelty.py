"""Which classes of a listing are learned from and tested on, given what a backbone has seen.

Not here: the rules of halving (class_splits.py), and what each backbone has seen (models/seen.py).
"""

from collections.abc import Collection
from pathlib import Path

from experiments.data.class_splits import halved, listed_splits
from experiments.errors import DataError
from experiments.models.seen import Seen, listed, wordnet_numbers


def novel_splits(
    names: Collection[str], seen: Seen, *, splits: Path | None = None, seed: int = 0
) -> dict[str, str]:
    """Return the split of each class: from a file, or base where it was seen and the rest in halves.

    Classes named by WordNet numbers fall into the same half whichever others are there. Raises DataError
    where no two classes are left to test on, or a file would test on classes that were seen.
    """
    if splits is not None:
        chosen = listed_splits(splits, names, seen.names)
    else:
        universe = listed("imagenet-22k") if wordnet_numbers(names) else ()
        chosen = halved(names, seen.names, seed=seed, universe=universe)
    tested = sum(split == "test" for split in chosen.values())
    if tested < 2:
        base = sum(name in seen.names for name in names)
        raise DataError(
            f"{tested} of {len(names):,} classes are left to test on, {base:,} were seen by the backbone "
            f"({seen.words}): use other classes, or a backbone that has not seen these"
        )
    return chosen
