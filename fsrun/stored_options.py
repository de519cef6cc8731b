"""The options of a stored config by their dotted names, and in which of them configs differ.

Not here: what an option means (experiments.config), and what is not as in the preset (report.differences).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from fsrun.words import plain

ABSENT = "–"
"""Stands for an option that a config has not."""


@lru_cache(maxsize=256)
def options_of(config: str) -> Mapping[str, str]:
    """Return the options of a config by their dotted names, ready to be shown."""
    try:
        return {plain(name): plain(value) for name, value in _flat(json.loads(config), "")}
    except json.JSONDecodeError:
        return {"config": plain(config)}


def different_options(configs: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return each option that is not the same in all configs with its value in each, ABSENT for none.

    Options that all configs have come first: they say more than those that come with a method.
    """
    flat = [options_of(config) for config in configs]
    names = sorted({name for each in flat for name in each})
    rows = [(name, [each.get(name, ABSENT) for each in flat]) for name in names]
    return sorted((row for row in rows if len(set(row[1])) > 1), key=lambda row: ABSENT in row[1])


def is_seed(name: str) -> bool:
    """Return whether seeds of one config may differ in the option: a seed itself, or who trained."""
    return name in ("seed", "method.seed") or name.partition(".")[0] == "trained_by"


def _flat(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value, ensure_ascii=False)
