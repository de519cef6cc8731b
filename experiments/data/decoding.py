"""An image file that nobody has to trust becomes pixels: colour, of one size.

Not here: where files come from (miniimagenet_sources.py), and drawings on paper (omniglot.py, folder.py).
"""

import struct
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

from experiments.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

MAX_PIXELS = 50_000_000  # of one image
FORMATS = ("JPEG", "PNG")


def colour_pixels(data: bytes, name: str, size: int) -> "np.ndarray[Any, Any]":
    """Return an image as uint8 (3, size, size); one of another size is squeezed into it, antialiased.

    Grey and CMYK images become RGB. Raises DataError where the bytes are no JPEG or PNG, or too large a one.
    """
    import numpy as np
    from PIL import Image

    colour, _ = colour_picture(data, name)
    if colour.size != (size, size):
        colour = colour.resize((size, size), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(colour).transpose(2, 0, 1))


def colour_picture(data: bytes, name: str) -> "tuple[PIL.Image.Image, str]":
    """Return an image in red, green and blue, and the mode it was stored in, such as L or CMYK.

    Raises DataError where the bytes are no JPEG or PNG, damaged, or too large a one.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=FORMATS) as picture:  # reads the header alone
                _refuse_huge(picture.width, picture.height, name)
                return picture.convert("RGB"), picture.mode
    except (
        OSError,
        ValueError,
        SyntaxError,
        struct.error,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise DataError(
            f"{name} is not a JPEG or PNG that can be read: remove it or save it again"
        ) from error


def _refuse_huge(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(f"{name} has {width} x {height} pixels: make it smaller")
