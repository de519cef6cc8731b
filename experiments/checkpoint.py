"""Checkpoints on disk: nested states as safetensors files, written whole or not at all.

Not here: which checkpoints exist and which to resume from (the store knows). No pickle anywhere.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from experiments.errors import CheckpointError, unwritable

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM)
"""What a disk says when nothing is wrong that could not be right again in a while."""


def save_checkpoint(
    path: Path, step: int, state: dict[str, Any], counters: Mapping[str, int] | None = None
) -> None:
    """Write step and state so that the file is complete whenever it exists under this name.

    `counters` is what the training loop itself must remember; it is no part of the method's state.
    Raises StorageUnavailable where the disk is full or cannot be written; nothing is left behind then.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_encode(state, tensors))
    metadata = {"step": str(step), "tree": tree, "counters": json.dumps(dict(counters or {}))}
    temporary = path.with_suffix(".partial")
    with _writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(save(tensors, metadata=metadata))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def _writing(path: Path, temporary: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in PASSING:
            raise
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable(f"checkpoint {path}", error) from error


def load_checkpoint(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the step and state of a checkpoint; raises CheckpointError where it is missing or damaged."""
    with _opened(path) as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        state = _decode(json.loads(metadata["tree"]), tensors)
        return int(metadata["step"]), state


def load_counters(path: Path) -> dict[str, int]:
    """Return the counters of a checkpoint, none of one that was written before there were any.

    Raises CheckpointError where it is missing or damaged.
    """
    with _opened(path) as file:
        saved = json.loads((file.metadata() or {}).get("counters", "{}"))
        return {str(name): int(count) for name, count in saved.items()}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:  # its methods have no types
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({error}): resume from an older one"
        ) from error


def _encode(value: Any, tensors: dict[str, Tensor], place: str = "") -> Any:
    """Return JSON for a nested value and move its tensors to `tensors`, named by their places in it."""
    if isinstance(value, Tensor):
        name = place if place not in tensors else f"{place}#{len(tensors)}"  # "1" and 1 are two keys
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    inner = f"{place}." if place else ""
    if isinstance(value, dict):  # keys may be integers, as in an optimiser's state
        return {"dict": [[key, _encode(item, tensors, f"{inner}{key}")] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_encode(item, tensors, f"{inner}{index}") for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _decode(item, tensors) for key, item in value["dict"]}
    return value
