"""Objects at a URL of any kind that fsspec knows: written whole, read back, listed and removed.

Not here: what they hold (checkpoint_files.py, shared_data.py). The only file that knows fsspec.
"""

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.errors import StorageUnavailable
from fsrun.errors import UsageError

MARK = ".fsrun"
"""The file by which a folder is known again: without it the folder beneath a mount point would do as well."""

_LOCAL = ("file", "local")
_INSTALL = "pip install 'fsrun[cloud]'"


@dataclass(frozen=True)
class Found:
    """An object that is there; `modified` in Unix seconds, None where the store does not say."""

    url: str
    bytes: int
    modified: float | None


def put(path: Path, url: str) -> None:
    """Write a file as an object, whole or not at all, in the place of one that is there.

    Raises StorageUnavailable, and UsageError for a URL that cannot be one.
    """
    files, place = _at(url)
    with _explained(url, "written"):
        if _is_local(files):  # a folder: written beside, then renamed, which object stores do by themselves
            unfinished = f"{place}.{secrets.token_hex(4)}.partial"
            files.put_file(str(path), unfinished)
            files.mv(unfinished, place)
        else:
            files.put_file(str(path), place)


def get(url: str, path: Path) -> bool:
    """Read an object into a file; return whether there is one. Raises what put raises."""
    files, place = _at(url)
    with _explained(url, "read"):
        try:
            files.get_file(place, str(path))
        except FileNotFoundError:
            return False
    return True


def put_text(text: str, url: str) -> None:
    """Write a short text as an object. Raises what put raises."""
    files, place = _at(url)
    with _explained(url, "written"):
        files.pipe_file(place, text.encode())


def get_text(url: str) -> str | None:
    """Return a short text, None where there is no such object. Raises what put raises."""
    files, place = _at(url)
    with _explained(url, "read"):
        try:
            return bytes(files.cat_file(place)).decode(errors="replace")
        except FileNotFoundError:
            return None


def remove(url: str) -> None:
    """Remove an object, if it is there. Raises what put raises."""
    files, place = _at(url)
    with _explained(url, "removed"):
        try:
            files.rm_file(place)
        except FileNotFoundError:
            return


def size(url: str) -> int | None:
    """Return how many bytes an object has, None where there is none. Raises what put raises."""
    files, place = _at(url)
    with _explained(url, "read"):
        try:
            facts = files.info(place)
        except FileNotFoundError:
            return None
    return int(facts["size"]) if facts["type"] == "file" else None


def listed(url: str) -> list[Found]:
    """Return all objects below a URL, in the order of their names. Raises what put raises."""
    files, place = _at(url)
    with _explained(url, "listed"):
        known = files.find(place, detail=True)
    root = url.rstrip("/")
    below = str(files._strip_protocol(place)).rstrip("/")
    return [
        Found(f"{root}{name.removeprefix(below)}", int(facts["size"]), _modified(facts))
        for name, facts in sorted(known.items())
    ]


def check(url: str | None, *, make: bool = True) -> None:
    """Write an object below a URL, read it and remove it; nothing without a URL.

    A folder is made where it is missing and gets a mark, which `require` looks for, unless `make` is false.
    Raises StorageUnavailable where one of these is refused, and UsageError for a URL that cannot be used.
    """
    if url is None:
        return
    files, place = _at(url)  # so that what is wrong with the URL is said of it, not of what is written first
    if not make and _is_local(files) and not Path(place).is_dir():
        raise StorageUnavailable(f"{url} does not exist: mount it; the first worker creates a new one")
    probe, text = f"{url}/.probe-{secrets.token_hex(4)}", secrets.token_hex(8)
    put_text(text, probe)
    if get_text(probe) != text:
        raise StorageUnavailable(f"{url} does not give back what was written there: use another store")
    remove(probe)
    if make and _is_local(files):
        put_text("", f"{url}/{MARK}")


def require(url: str) -> None:
    """Raise StorageUnavailable where a folder that `check` has marked is gone, or another one lies there.

    Without this, what is written next would make it anew on the disk beneath. A bucket says so by itself.
    """
    files, place = _at(url)
    if _is_local(files):
        require_mark(Path(place))


def require_mark(folder: Path) -> None:
    """Do what `require` does, of a folder with a mark. Raises StorageUnavailable."""
    if not (folder / MARK).is_file():
        raise StorageUnavailable(
            f"{folder} is not the folder that was there before ({MARK} is not in it): mount or restore it"
        )


def _at(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the place in it."""
    scheme, separator, rest = url.partition("://")
    if not separator or not rest.strip("/"):
        raise UsageError(
            f"FSRUN_STORAGE {url!r} is not the URL of a folder: write for example s3://bucket/fsrun"
        )
    if scheme == "memory":
        raise UsageError(f"FSRUN_STORAGE {url}: memory ends with its process: use file://, s3:// or gs://")
    try:
        import fsspec  # an extra

        settings: dict[str, Any] = {"auto_mkdir": True} if scheme in _LOCAL else {}
        files, place = fsspec.url_to_fs(url, use_listings_cache=False, **settings)
    except ImportError as error:
        raise UsageError(f"FSRUN_STORAGE {url}: {_line(error)}: {_INSTALL}") from error
    except ValueError as error:
        raise UsageError(
            f"FSRUN_STORAGE {url}: {_line(error)}: use file://, s3://, gs:// or another that fsspec knows"
        ) from error
    except Exception as error:  # stores have errors of their own, with no common base
        raise _unavailable(url, "opened", error) from error
    return files, str(place)


def _is_local(files: Any) -> bool:
    names = files.protocol if isinstance(files.protocol, tuple) else (files.protocol,)
    return bool(set(names) & set(_LOCAL))


@contextmanager
def _explained(url: str, what: str) -> Iterator[None]:
    """Turn whatever a store says into one error; that an object is not there is for the caller to catch."""
    try:
        yield
    except Exception as error:  # stores have errors of their own, with no common base
        raise _unavailable(url, what, error) from error


def _unavailable(url: str, what: str, error: Exception) -> StorageUnavailable:
    kind = type(error).__name__
    if isinstance(error, PermissionError):
        remedy = "give this machine's credentials the right to list, read, write and remove there"
    elif "Credential" in kind or "RefreshError" in kind:
        remedy = "give this machine credentials, as other programs of this store use them"
    elif isinstance(error, FileNotFoundError):
        remedy = "make the bucket or folder, or name another"
    elif getattr(error, "errno", None) == errno.EROFS:
        remedy = "mount it so that it can be written"
    else:
        remedy = "see that this machine reaches it and that it has room"
    return StorageUnavailable(f"{url} cannot be {what} ({_line(error)}): {remedy}")


def _line(error: BaseException) -> str:
    """Return what an error says, in one line; of the system's errors the reason."""
    said = getattr(error, "strerror", None) or str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _modified(facts: dict[str, Any]) -> float | None:
    for name in ("LastModified", "mtime", "updated", "last_modified", "created"):
        when = facts.get(name)
        if isinstance(when, datetime):
            return when.timestamp()
        if isinstance(when, int | float):
            return float(when)
        if isinstance(when, str):
            return datetime.fromisoformat(when).timestamp()
    return None
