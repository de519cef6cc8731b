"""Omniglot on the disk: import from the official files, fetch, verify, open.

Which characters a protocol trains and tests on is in splits/omniglot.py. Importing this needs no torch.
"""

import struct
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace as replaced
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.data.archives import PARTS, Drawing, open_drawings
from experiments.data.decoding import decoded
from experiments.data.storage import (
    IMAGES,
    DataSummary,
    is_stored,
    read_summary,
    verify_dataset,
    write_dataset,
    writing_to,
)
from experiments.errors import DataError
from experiments.splits.omniglot import DRAWERS, all_characters, alphabet_numbers, protocol_splits

if TYPE_CHECKING:
    import numpy as np

    from experiments.data.images import ImageTable

Progress = Callable[[int, int], None]  # (drawings done, drawings in all)

SIZE = 28
_ORIGINAL_SIZE = 105
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_REPORT_EVERY = 500  # drawings
_MISSING = "Omniglot is not imported: run `fsrun data import omniglot PATH` or `fsrun data fetch omniglot`"


def omniglot_folder(data_dir: Path) -> Path:
    """Return where an imported Omniglot lies."""
    return data_dir / "omniglot"


def is_imported(data_dir: Path) -> bool:
    """Say whether Omniglot is there, without reading an image."""
    return is_stored(omniglot_folder(data_dir))


def require_imported(data_dir: Path) -> None:
    """Raise DataError saying what to type where Omniglot is not there."""
    if not is_imported(data_dir):
        raise DataError(_MISSING)


def import_omniglot(
    source: Path, data_dir: Path, *, progress: Progress = lambda done, total: None, replace: bool = False
) -> DataSummary:
    """Turn the official drawings into one file of 28x28 images, ink = 255: uint8 (1623, 20, 28, 28).

    source holds images_background and images_evaluation, as zips or as folders. A good earlier import is
    kept (summary.written is false) unless replace. Nothing is written before every drawing has been read.

    Raises DataError when the source is missing, damaged or hostile, or the disk refuses.
    """
    if not replace and (kept := _good_import(data_dir)):
        return kept
    images, litter = _read_images(source, progress)
    names = [f"{character.alphabet}/{character.number}" for character in all_characters()]
    return replaced(write_dataset(omniglot_folder(data_dir), images, names), litter=litter)


def fetch_omniglot(
    data_dir: Path, *, progress: Progress = lambda done, total: None, replace: bool = False
) -> DataSummary:
    """Download the official zips, check their MD5 and import them; the zips are not kept.

    Raises DataError when the network or the server fails, and as import_omniglot does.
    """
    if not replace and (kept := _good_import(data_dir)):
        return kept
    with writing_to(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        downloads = tempfile.TemporaryDirectory(prefix=".omniglot-fetch-", dir=data_dir)
    with downloads as folder:
        _download(Path(folder))
        return import_omniglot(Path(folder), data_dir, progress=progress, replace=True)


def verify_omniglot(data_dir: Path) -> DataSummary:
    """Check the imported images against their checksum and Omniglot's counts; DataError if they differ."""
    require_imported(data_dir)
    summary = verify_dataset(omniglot_folder(data_dir))
    expected = len(all_characters())
    if (summary.classes, summary.images) != (expected, expected * DRAWERS):
        raise DataError(f"{summary.path} has {summary.classes} characters, not {expected}: import it again")
    return summary


def open_omniglot(
    data_dir: Path, protocol: str, *, holdout: bool = True, rotations: bool = True
) -> "ImageTable":
    """Open the memory-mapped images with the splits of a protocol.

    Raises ConfigError for an unknown protocol, DataError when Omniglot is not imported or unreadable.
    """
    import torch  # what only imports or checks data need not wait for it

    from experiments.data.images import ImageTable, open_images, split_classes

    splits = protocol_splits(protocol, holdout=holdout)
    require_imported(data_dir)
    read_summary(omniglot_folder(data_dir))  # refuses another format
    images = open_images(omniglot_folder(data_dir) / IMAGES)
    if images.shape != (len(all_characters()), DRAWERS, SIZE, SIZE):
        raise DataError(
            f"{omniglot_folder(data_dir)} has images of shape {tuple(images.shape)}: import it again"
        )
    place = {character: position for position, character in enumerate(all_characters())}
    numbers = {name: [place[character] for character in members] for name, members in splits.items()}
    return ImageTable(
        images,
        {name: split_classes(rows, rotations=rotations) for name, rows in numbers.items()},
        alphabet_of=torch.tensor(alphabet_numbers()),
    )


def _good_import(data_dir: Path) -> DataSummary | None:
    """Return the summary of an import that passes its check, None if there is none or it is damaged."""
    try:
        return verify_omniglot(data_dir)
    except DataError:
        return None


def _read_images(source: Path, progress: Progress) -> "tuple[np.ndarray[Any, Any], int]":
    """Return all drawings (1623, 20, 28, 28), and how many files beside them are litter."""
    import numpy as np  # listing and checking data must not load numpy

    total = len(all_characters()) * DRAWERS
    images = np.empty((total, SIZE, SIZE), dtype=np.uint8)
    with ExitStack() as stack:
        # Every part is opened before the first drawing is decoded: what is missing is said at once.
        parts = [stack.enter_context(open_drawings(source, part)) for part in PARTS]
        for done, drawing in enumerate(chain.from_iterable(part for part, _ in parts), start=1):
            images[done - 1] = _ink(drawing, source)
            if done % _REPORT_EVERY == 0 or done == total:
                progress(done, total)
    return images.reshape(-1, DRAWERS, SIZE, SIZE), sum(litter for _, litter in parts)


def _ink(drawing: Drawing, source: Path) -> "np.ndarray[Any, Any]":
    """Decode a drawing (black on white, 105x105) to uint8 (28, 28) with ink = 255, antialiased."""
    import numpy as np
    from PIL import Image

    png = drawing.read()
    problem = f"{source}: {drawing.name} is not a PNG of {_ORIGINAL_SIZE}x{_ORIGINAL_SIZE}: download it again"
    # The header is looked at before the decoder is let near it: a few bytes can claim a huge picture.
    if png[:8] != _PNG_SIGNATURE or struct.unpack_from(">II", png.ljust(24), 16) != (_ORIGINAL_SIZE,) * 2:
        raise DataError(problem)
    try:
        grey = decoded(png, drawing.name, "L", formats=("PNG",)).image
    except DataError as error:
        raise DataError(problem) from error
    return 255 - np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _download(folder: Path) -> None:
    from torchvision.datasets import Omniglot  # takes seconds to import
    from torchvision.datasets.utils import download_url

    for part in PARTS:
        name = f"images_{part}"
        url = f"{Omniglot.download_url_prefix}/{name}.zip"
        try:
            download_url(url, str(folder), f"{name}.zip", Omniglot.zips_md5[name])
        except (OSError, HTTPException, RuntimeError) as error:
            raise DataError(
                f"{url} cannot be downloaded ({error}): download both zips elsewhere and run "
                "`fsrun data import omniglot PATH`"
            ) from error
