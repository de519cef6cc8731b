"""Which classes of mini-ImageNet belong to which split of which protocol, as plain data.

Not here: images. This file needs neither torch nor numpy, because a run is checked when it is queued.
"""

import hashlib
import json
from functools import cache
from importlib.resources import files

from experiments.errors import unknown_name

PARTS = ("train", "val", "test")  # the lists of Ravi & Larochelle 2017: 64, 16 and 20 classes
MINIIMAGENET_PROTOCOLS = ("R-L", "R1")
IMAGES_PER_CLASS = 600
CHANNELS, SIZE = 3, 84
_HELD_OUT = 12  # of the 64 base classes


@cache
def listed(part: str) -> tuple[str, ...]:
    """Return the classes of Ravi & Larochelle's "train", "val" or "test" list, by name."""
    text = files("experiments.splits").joinpath("miniimagenet.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)[part])


@cache
def all_classes() -> tuple[str, ...]:
    """Return the 100 classes in the order in which the imported images are stored."""
    return tuple(name for part in PARTS for name in listed(part))


@cache
def part_of(name: str) -> str | None:
    """Return the list a class is in, None for a class that mini-ImageNet does not have."""
    return next((part for part in PARTS if name in listed(part)), None)


@cache
def held_out() -> tuple[str, ...]:
    """Return the 12 base classes that R1 keeps for choices, drawn once and for all."""
    order = sorted(listed("train"), key=lambda name: hashlib.sha256(f"R1/{name}".encode()).digest())
    return tuple(sorted(order[:_HELD_OUT]))


def miniimagenet_splits(protocol: str, *, holdout: bool = True) -> dict[str, tuple[str, ...]]:
    """Return the classes of each split of a protocol; no class is in two, but that R1's train is base + meta.

    R-L is the published one: train 64, val 16, test 20; without holdout train is all 80 and there is no val.
    R1 is the paper's: base 52, meta 16, val 12, test 20; without holdout base is all 64 and there is no val.

    Raises ConfigError for an unknown protocol.
    """
    if protocol not in MINIIMAGENET_PROTOCOLS:
        raise unknown_name("mini-ImageNet protocol", protocol, MINIIMAGENET_PROTOCOLS)
    train, val, test = (listed(part) for part in PARTS)
    if protocol == "R1":
        base = tuple(name for name in train if not (holdout and name in held_out()))
        learned = {"train": base + val, "base": base, "meta": val}
        return learned | ({"val": held_out()} if holdout else {}) | {"test": test}
    return ({"train": train, "val": val} if holdout else {"train": train + val}) | {"test": test}
