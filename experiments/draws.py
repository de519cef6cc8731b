"""Ranges of options, and values drawn from them: `--set lr=1e-4..1e-1:log`.

A draw depends on the option's name and the draw's number alone: the same command draws the same configs, and
more draws only add to them.
"""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.errors import ConfigError

_RANGE = re.compile(r"(?P<low>[-+\d.eE]+?)\.\.(?P<high>[-+\d.eE]+)(?P<log>:log)?")


@dataclass(frozen=True)
class Range:
    """The values between two ends, both included; whole numbers where both ends are."""

    low: float
    high: float
    log: bool
    whole: bool

    def at(self, share: float) -> float:
        """Return the value at a share of the range, from 0 to below 1."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high + self.whole)
            value = math.exp(low + share * (high - low))
        else:
            value = self.low + share * (self.high + self.whole - self.low)
        return self.rounded(math.floor(value) if self.whole else value)

    def rounded(self, value: float) -> float:
        """Return a value as a config has it: whole, or of four digits, and within the range."""
        value = min(max(value if self.whole else float(f"{value:.4g}"), self.low), self.high)
        return int(value) if self.whole else value

    def holds(self, value: Any) -> bool:
        """Return whether a value lies in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high


def ranges_in(settings: Mapping[str, Sequence[Any]]) -> dict[str, Range]:
    """Return the settings that are ranges. Raises ConfigError for one that cannot be."""
    found = {name: [_range(name, value) for value in values] for name, values in settings.items()}
    for name, values in found.items():
        if any(values) and len(values) > 1:
            raise ConfigError(f"{name} has a range beside other values: a range stands alone")
    return {name: values[0] for name, values in found.items() if values and values[0] is not None}


def drawn(ranges: Mapping[str, Range], number: int) -> dict[str, list[float]]:
    """Return the settings of one draw, counted from 0."""
    return {name: [each.at(random.Random(f"{name} {number}").random())] for name, each in ranges.items()}


def _range(name: str, value: Any) -> Range | None:
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        low, high = float(match["low"]), float(match["high"])
    except ValueError:
        return None
    log = match["log"] is not None
    if not -math.inf < low < high < math.inf:
        raise ConfigError(f"{name}={value} is not a range: the first number must be below the second")
    if log and low <= 0:
        raise ConfigError(f"{name}={value} is not a range on a log scale: both numbers must be above 0")
    return Range(low, high, log, all(re.fullmatch(r"[-+]?\d+", match[end]) for end in ("low", "high")))
