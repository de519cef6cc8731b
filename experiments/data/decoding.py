"""The one decoder: an image file that nobody has to trust becomes an upright picture in grey or in colour.

Not here: where files come from (miniimagenet_sources.py, class_folders.py), and ink on paper (folder.py).
"""

import struct
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal
from zlib import error as ZlibError  # noqa: N812  # zlib names it in lower case

from experiments.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

DECODER = 2  # goes up when the pixels of any image change
MAX_PIXELS = 50_000_000  # of one image
FORMATS = ("JPEG", "PNG")
_ORIENTATION = 0x0112  # of EXIF
_WHITE_OF_16 = 65535
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    NotImplementedError,
    struct.error,
    ZlibError,
)
"""What Pillow raises on damaged files."""


@dataclass(frozen=True)
class Decoded:
    """A picture of mode RGB or L, and what was done to the file's own pixels to make it."""

    image: "PIL.Image.Image"
    how: tuple[str, ...]


def decoded(
    data: bytes, name: str, mode: Literal["RGB", "L"] = "RGB", formats: tuple[str, ...] | None = FORMATS
) -> Decoded:
    """Return an image upright, on white where it is transparent, with 8 bits a channel.

    A phone's JPEG of several pictures gives its first. formats None are all that Pillow knows. Raises
    DataError where the bytes are no such image, damaged, too large a one, or one of several frames.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # damaged EXIF
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=formats) as picture:  # reads the header alone
                _refuse(picture, name)
                return _plain(picture, mode)
    except (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        kind = "an image" if formats is None else f"a {' or '.join(formats)}"
        raise DataError(f"{name} cannot be read as {kind}: remove it or save it again") from error


def colour_pixels(data: bytes, name: str, size: int) -> "tuple[np.ndarray[Any, Any], tuple[str, ...]]":
    """Return an image as uint8 (3, size, size), and what was done to it; raises what decoded does.

    One of another size is squeezed into the square, antialiased.
    """
    import numpy as np
    from PIL import Image

    found = decoded(data, name)
    colour, how = found.image, found.how
    if colour.size != (size, size):
        colour = colour.resize((size, size), Image.Resampling.LANCZOS)
        how += (f"scaled to {size} x {size}",)
    return np.ascontiguousarray(np.asarray(colour).transpose(2, 0, 1)), how


def conversions_text(converted: Mapping[str, int]) -> str:
    """Return what was done to how many images in one line, the most frequent first."""
    return "; ".join(f"{count:,} {how}" for how, count in Counter(converted).most_common())


def _refuse(picture: "PIL.Image.Image", name: str) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise DataError(f"{name} has {picture.width} x {picture.height} pixels: make it smaller")
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        raise DataError(f"{name} has several frames: save the one that counts as an image")


def _plain(picture: "PIL.Image.Image", mode: Literal["RGB", "L"]) -> Decoded:
    """Return a picture of the mode, and every step on the way there that can move a pixel."""
    image, how = picture, []
    if picture.format == "MPO":
        how.append("first of several pictures")
    turn = _turn(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        image = _in_8_bits(picture)
        how.append("16 bits or more, brought to 8")
    elif (laid := _on_white(picture)) is not None:
        image = laid
        how.append("transparent, laid on white")
    if turn is not None:
        image = image.transpose(turn)
        how.append("turned upright")
    grey = picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I")
    if mode == "RGB" and grey:
        how.append("grey, shown as colour")
    elif mode == "L" and not grey:
        how.append("in colour, made grey")
    elif picture.mode == "CMYK":
        how.append("CMYK, made red, green and blue")
    return Decoded(image.convert(mode), tuple(how))


def _turn(picture: "PIL.Image.Image") -> "PIL.Image.Transpose | None":
    """Return what turns the picture as its EXIF says, None where it lies right or that cannot be read."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        return turns.get(picture.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        return None


def _in_8_bits(picture: "PIL.Image.Image") -> "PIL.Image.Image":
    """Return a deeper picture in 256 levels; white is 16 bits' largest, else the largest value there is."""
    import numpy as np
    from PIL import Image

    values: np.ndarray[Any, Any] = np.asarray(picture, dtype=np.float64)
    of_16 = picture.mode.startswith("I;16") or picture.format in ("PNG", "PPM")
    low, high = (0.0, float(_WHITE_OF_16)) if of_16 else (float(values.min()), float(values.max()))
    levels = (values - low) * (255 / (high - low)) if high > low else np.full_like(values, 255)
    if isinstance(clear := picture.info.get("transparency"), int):
        levels[values == clear] = 255
    return Image.fromarray(levels.round().astype(np.uint8))


def _on_white(picture: "PIL.Image.Image") -> "PIL.Image.Image | None":
    """Return a picture with holes laid on white, None where nothing shows through."""
    from PIL import Image

    if not picture.has_transparency_data:
        return None
    colour = picture.convert("RGBA")
    if colour.getchannel("A").getextrema()[0] == 255:
        return None
    return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
