"""Data sets at FSRUN_STORAGE: published once, fetched by each machine at the first need.

Not here: what a data set holds (experiments.data). Its files are named by their checksums, and the list of
them is written last, so that whoever reads finds an old data set or a new one, whole.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from experiments.data.storage import INDEX, fresh_folder
from experiments.errors import DataError
from fsrun import object_store
from fsrun.checkpoint_files import sha256_of
from fsrun.paths import Home

LIST = "files.json"


def publish(home: Home, name: str) -> str | None:
    """Keep a data set of this home at the storage for all machines; return where, None without a storage.

    What is there already is not written again. Raises StorageUnavailable.
    """
    if home.storage is None:
        return None
    place, folder = _place(home, name), home.data / name
    digests = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if _belongs(path)}
    for file, digest in digests.items():
        url = f"{place}/{digest}-{file}"
        if object_store.size(url) != (folder / file).stat().st_size:
            object_store.put(folder / file, url)
    object_store.put_text(json.dumps(digests, indent=1), f"{place}/{LIST}")
    return place


def fetch(home: Home, names: Iterable[str]) -> None:
    """Bring the data sets here that the storage has and this home lacks, or has in another version.

    Raises DataError where one is damaged there, and StorageUnavailable where it cannot be fetched now.
    """
    for name in sorted(set(names)) if home.storage else ():
        listed = object_store.get_text(f"{_place(home, name)}/{LIST}")
        digests = _digests(_place(home, name), listed) if listed is not None else {}
        if digests and not _is_here(home.data / name, digests):
            _fetch(home, name, digests)


def _fetch(home: Home, name: str, digests: dict[str, str]) -> None:
    place = _place(home, name)
    with fresh_folder(home.data / name) as fresh:
        for file, digest in digests.items():
            url = f"{place}/{digest}-{file}"
            if not object_store.get(url, fresh / file) or sha256_of(fresh / file) != digest:
                raise DataError(
                    f"{url} is damaged or gone (its sha256 is not {digest[:12]}): import the data set again "
                    "with FSRUN_STORAGE set, after removing this object"
                )


def _is_here(folder: Path, digests: dict[str, str]) -> bool:
    """Say whether this version of a data set is here, by the index, which holds the checksums of the rest."""
    index = folder / INDEX
    return all((folder / file).is_file() for file in digests) and sha256_of(index) == digests[INDEX]


def _digests(place: str, listed: str) -> dict[str, str]:
    try:
        digests = {str(file): str(digest) for file, digest in json.loads(listed).items()}
        if INDEX not in digests or any(Path(file).name != file for file in digests):
            raise ValueError("it is no list of files")
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"{place}/{LIST} is damaged: import the data set again with FSRUN_STORAGE set"
        ) from error
    return digests


def _place(home: Home, name: str) -> str:
    return f"{home.storage}/data/{name}"


def _belongs(path: Path) -> bool:
    """Say whether a file is of the data set, and not of the making of it."""
    return path.is_file() and not path.name.startswith(".") and path.suffix not in (".partial", ".lock")
