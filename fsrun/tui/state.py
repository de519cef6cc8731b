"""What the dashboard keeps from one start to the next: screen, filter, sort, theme, marks.

Not here: what the values mean; whoever keeps one gives its key and what holds without it.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from threading import Lock
from typing import Any, TypeVar

from fsrun.paths import Home

Value = TypeVar("Value", bool, int, float, str, list[Any], dict[str, Any])
"""What a file can hold; never None, which stands for nothing kept."""


class State:
    """Values by key, read once and written when they change; without a path nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = Lock()
        self._changed = False
        self._values, self.trouble = _read(path)
        """`trouble` says in one line why what was kept is not used, nothing if it is."""

    def get(self, key: str, default: Value) -> Value:
        """Return what was kept; the default where it is nothing of the default's kind."""
        kept = self._values.get(key)
        return kept if type(kept) is type(default) else default

    def set(self, key: str, value: Value) -> None:
        """Keep a value; it reaches the disk with the next save."""
        with self._lock:
            if self._values.get(key) != value:
                self._values[key] = value
                self._changed = True

    def save(self) -> None:
        """Write what changed since the last time, all of it or nothing; raises OSError where it cannot be."""
        with self._lock:
            if self._path is None or not self._changed:
                return
            self._changed = False  # also where writing fails: one complaint is enough
            written = json.dumps(self._values, indent=1, sort_keys=True)
        _replace(self._path, written + "\n")


def state_file(home: Home, database: str) -> Path:
    """Return where the state of a database is kept: each but the home's own has a file by itself."""
    if database == str(home.root / "fsrun.db"):
        return home.root / "tui.json"
    return home.root / f"tui-{sha256(database.encode()).hexdigest()[:12]}.json"


def _read(path: Path | None) -> tuple[dict[str, Any], str]:
    """Return the values and what was wrong with the file."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        return {}, f"{path} is not used, {reason}: it will be written anew"
    if not isinstance(kept, Mapping):
        return {}, f"{path} is not used, it is damaged: it will be written anew"
    return dict(kept), ""


def _replace(path: Path, text: str) -> None:
    """Put a private file in the place of another; whoever reads sees the old or the new one, whole."""
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made private
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
