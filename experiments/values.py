"""The values of options as a command names them: words, numbers, lists in brackets, and files of numbers.

Not here: which options there are (config/), and what a list of values makes (sweeps.py).
"""

import json
import math
from pathlib import Path
from typing import Any

from experiments.errors import ConfigError
from experiments.machine import expanded

LARGEST_FILE = 512 * 2**20  # bytes


def values_of(text: str) -> list[Any]:
    """Return the values between the commas of a word; commas within brackets belong to the value.

    A value "@path" is the numbers in that file. Raises ConfigError where a file holds none.
    """
    return [_value(part.strip()) for part in _split(text)]


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _value(text: str) -> Any:
    if text.startswith("@"):
        return numbers_in(expanded(text[1:]))
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def numbers_in(path: Path) -> list[Any]:
    """Return the numbers in a file: a flat list where it has one row or one column, else a list of rows.

    Numbers are separated by white space or commas, # begins a comment; a .json file holds the list itself.
    Raises ConfigError where the file is missing, cannot be read, or holds anything but finite numbers.
    """
    try:
        if path.stat().st_size > LARGEST_FILE or not path.is_file():
            raise ConfigError(f"{path} is not a file of numbers: name a text, CSV or JSON file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"cannot read {path} ({reason}): name a file of numbers after the @") from error
    numbers = _from_json(text, path) if path.suffix == ".json" else _from_rows(text, path)
    if not numbers:
        raise ConfigError(f"{path} holds no numbers: write them separated by white space or commas")
    return numbers


def _from_json(text: str, path: Path) -> list[Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON ({error}): write a list of numbers, or of rows") from error
    if not isinstance(found, list):
        raise ConfigError(f"{path} holds no list: write a list of numbers, or of rows")
    for row in found:
        for item in row if isinstance(row, list) else [row]:
            _checked(item, path, "")
    return found


def _from_rows(text: str, path: Path) -> list[Any]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if words:
            rows.append([_checked(word, path, f" in line {number}") for word in words])
    if len(rows) == 1:
        return rows[0]
    return [row[0] for row in rows] if all(len(row) == 1 for row in rows) else rows


def _checked(item: Any, path: Path, place: str) -> float:
    """Return a word or a value of JSON as a finite number."""
    try:
        if isinstance(item, bool):
            raise ValueError
        value = float(item)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{path} has {item!r}{place}: write finite numbers only")
    return value
