"""Decodes images in threads while a network is busy with those before: in order, by batches.

Not here: what is done with the batches (embedding.py), and how one image is decoded (decoding.py).
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from PIL import UnidentifiedImageError

from experiments.data.class_folders import ImageFile
from experiments.data.decoding import decoded
from experiments.errors import DataError
from experiments.features.preprocessing import Preprocessing

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
_AHEAD = 3  # batches decoded or being decoded before they are asked for


@dataclass(frozen=True)
class Outcome:
    """What became of an image: the reason why it cannot be read, or what was done to it when it was."""

    reason: str = ""
    how: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether there are pixels of it."""
        return not self.reason


@dataclass(frozen=True)
class Batch:
    """Images that follow each other: pixels (readable, size, size, 3), and what became of each."""

    pixels: Pixels
    outcomes: Sequence[Outcome]


@dataclass
class Waiting:
    """How long whoever uses the batches has waited for them."""

    seconds: float = field(default=0.0)


def decode(image: ImageFile, preprocessing: Preprocessing) -> tuple[Pixels | None, Outcome]:
    """Return an image as a backbone wants to see it, or why that cannot be."""
    try:
        found = decoded(image.read(), image.name)
        return preprocessing.pixels(found.image), Outcome(how=found.how)
    except DataError as error:
        return None, Outcome(_reason(error, image.name))


def _reason(error: DataError, name: str) -> str:
    """Return why an image was skipped, in the same words for all that have the same fault."""
    if isinstance(error.__cause__, UnidentifiedImageError):
        return "no JPEG or PNG"
    if error.__cause__ is not None:
        return "damaged"
    return str(error).removeprefix(f"{name} ").partition(":")[0]


def batches(
    images: Iterable[ImageFile],
    preprocessing: Preprocessing,
    size: int,
    pool: ThreadPoolExecutor,
    waiting: Waiting,
) -> Iterator[Batch]:
    """Yield all images in order, `size` at a time; the next are decoded by the pool meanwhile."""
    source = iter(images)
    ahead: deque[list[Future[tuple[Pixels | None, Outcome]]]] = deque()
    while True:
        while len(ahead) <= _AHEAD and (part := list(islice(source, size))):
            ahead.append([pool.submit(decode, image, preprocessing) for image in part])
        if not ahead:
            return
        began = time.perf_counter()
        done = [future.result() for future in ahead.popleft()]
        waiting.seconds += time.perf_counter() - began
        readable = [pixels for pixels, _ in done if pixels is not None]
        shape = (0, preprocessing.size, preprocessing.size, 3)
        yield Batch(np.stack(readable) if readable else np.empty(shape, np.uint8), [each for _, each in done])
