"""One decoder for every reader: odd images come out as a viewer shows them, and what was done is counted."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.data.class_folders import ImageFile
from experiments.data.decoding import colour_pixels, decoded
from experiments.data.folder import read_picture
from experiments.errors import DataError
from experiments.features.decoding_ahead import decode
from experiments.features.preprocessing import Preprocessing

SIZE = 16
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
CORNERS = (RED, GREEN, BLUE, WHITE)  # top left, top right, bottom left, bottom right
Pixels = np.ndarray[Any, Any]
Reader = Callable[[bytes, Path], tuple[Pixels, tuple[str, ...]]]
Colours = tuple[tuple[int, int, int], ...]


def quarters(colours: Colours = CORNERS) -> Image.Image:
    """A square of four colours."""
    image = Image.new("RGB", (SIZE, SIZE))
    for place, colour in enumerate(colours):
        image.paste(colour, (place % 2 * SIZE // 2, place // 2 * SIZE // 2, SIZE, SIZE))
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def by_import(data: bytes, path: Path) -> tuple[Pixels, tuple[str, ...]]:
    pixels, how = colour_pixels(data, path.name, SIZE)
    return pixels / 255, how


def by_embedding(data: bytes, path: Path) -> tuple[Pixels, tuple[str, ...]]:
    path.write_bytes(data)
    pixels, outcome = decode(ImageFile(path.name, path), Preprocessing(SIZE, SIZE))
    assert pixels is not None, outcome.reason
    return pixels.transpose(2, 0, 1) / 255, outcome.how


def by_classify(data: bytes, path: Path) -> tuple[Pixels, tuple[str, ...]]:
    path.write_bytes(data)
    picture = read_picture(path, (3, SIZE, SIZE))
    return picture.pixels.double().numpy(), picture.how


READERS = [by_import, by_embedding, by_classify]


def corners(pixels: Pixels) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters."""
    near, far = SIZE // 4, 3 * SIZE // 4
    places = ((near, near), (near, far), (far, near), (far, far))
    return [tuple(round(255 * value) for value in pixels[:, row, column]) for row, column in places]


def deep(values: tuple[int, int, int, int]) -> Image.Image:
    grey = np.zeros((SIZE, SIZE), np.uint16)
    half = SIZE // 2
    for place, value in enumerate(values):
        grey[place // 2 * half :, place % 2 * half :] = value
    return Image.fromarray(grey)


def with_hole(mode: str) -> Image.Image:
    """Four quarters of which the first is a hole over black."""
    image = quarters((BLACK, GREEN, BLUE, RED)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, SIZE // 2, SIZE // 2))
    return image.convert(mode) if mode != "RGBA" else image


def palette() -> Image.Image:
    """The same by a palette, whose first colour is clear."""
    image = Image.new("P", (SIZE, SIZE))
    image.putpalette([*BLACK, *GREEN, *BLUE, *RED])
    half = SIZE // 2
    for place in range(4):
        image.paste(
            place, (place % 2 * half, place // 2 * half, place % 2 * half + half, place // 2 * half + half)
        )
    return image


GREYS = [(0, 0, 0), (128, 128, 128), (64, 64, 64), (255, 255, 255)]
HOLE = [WHITE, GREEN, BLUE, RED]
ODD: dict[str, tuple[bytes, list[tuple[int, int, int]], tuple[str, ...]]] = {
    "16 bits": (
        saved(deep((0, 128 * 257, 64 * 257, 65535)), "PNG"),
        GREYS,
        ("16 bits or more, brought to 8", "grey, shown as colour"),
    ),
    "16 bits, dark": (
        saved(deep((0, 257, 514, 771)), "PNG"),  # stays dark
        [(level,) * 3 for level in range(4)],
        ("16 bits or more, brought to 8", "grey, shown as colour"),
    ),
    "alpha": (saved(with_hole("RGBA"), "PNG"), HOLE, ("transparent, laid on white",)),
    "opaque alpha": (saved(quarters().convert("RGBA"), "PNG"), list(CORNERS), ()),
    "grey with alpha": (
        saved(with_hole("LA"), "PNG"),
        [WHITE, (150,) * 3, (29,) * 3, (76,) * 3],
        ("transparent, laid on white", "grey, shown as colour"),
    ),
    "palette": (saved(palette(), "PNG", transparency=0), HOLE, ("transparent, laid on white",)),
    "palette of holes": (
        saved(palette(), "PNG", transparency=b"\x00\xff\xff\xff"),
        HOLE,
        ("transparent, laid on white",),
    ),
    "a clear colour": (
        saved(quarters((BLACK, GREEN, BLUE, RED)), "PNG", transparency=BLACK),
        HOLE,
        ("transparent, laid on white",),
    ),
    "a clear grey of 16 bits": (
        saved(deep((7, 128 * 257, 64 * 257, 0)), "PNG", transparency=7),
        [WHITE, (128,) * 3, (64,) * 3, BLACK],
        ("16 bits or more, brought to 8", "grey, shown as colour"),
    ),
    "a turned PNG with a hole": (
        saved(with_hole("RGBA"), "PNG", exif=turned(3)),
        HOLE[::-1],
        ("transparent, laid on white", "turned upright"),
    ),
    "a turned PNG of 16 bits": (
        saved(deep((0, 128 * 257, 64 * 257, 65535)), "PNG", exif=turned(3)),
        GREYS[::-1],
        ("16 bits or more, brought to 8", "turned upright", "grey, shown as colour"),
    ),
}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ODD)
def test_every_reader_sees_an_odd_image_as_a_viewer_shows_it(tmp_path: Path, name: str, read: Reader) -> None:
    data, colours, how = ODD[name]
    pixels, said = read(data, tmp_path / "odd.png")
    assert corners(pixels) == colours
    assert said == how


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_lies_upright_however_the_camera_was_held(
    tmp_path: Path, orientation: int, read: Reader
) -> None:
    upright = {1: "RGBW", 2: "GRWB", 3: "WBGR", 4: "BWRG", 5: "RBGW", 6: "BRWG", 7: "WGBR", 8: "GWRB"}
    letters = dict(zip("RGBW", CORNERS, strict=True))
    data = saved(quarters(), "JPEG", quality=100, subsampling=0, exif=turned(orientation))
    pixels, how = read(data, tmp_path / "photograph.jpg")
    expected = [letters[letter] for letter in upright[orientation]]
    assert np.abs(np.subtract(corners(pixels), expected)).max() <= 3
    assert how == (("turned upright",) if orientation > 1 else ())


@pytest.mark.parametrize("read", READERS)
def test_inks_of_print_become_the_colours_they_are_of(tmp_path: Path, read: Reader) -> None:
    data = saved(quarters().convert("CMYK"), "JPEG", quality=100, subsampling=0)
    pixels, how = read(data, tmp_path / "print.jpg")
    assert np.abs(np.subtract(corners(pixels), CORNERS)).max() <= 3
    assert how == ("CMYK, made red, green and blue",)


@pytest.mark.parametrize("read", READERS)
def test_of_a_phones_several_pictures_the_first_is_read(tmp_path: Path, read: Reader) -> None:
    second = quarters((WHITE, WHITE, WHITE, WHITE))
    options = {"quality": 100, "subsampling": 0, "save_all": True, "append_images": [second]}
    pixels, how = read(saved(quarters(), "MPO", **options), tmp_path / "phone.jpg")
    assert np.abs(np.subtract(corners(pixels), CORNERS)).max() <= 3
    assert how == ("first of several pictures",)


def test_an_image_of_several_frames_is_refused() -> None:
    moving = saved(quarters(), "PNG", save_all=True, append_images=[Image.new("RGB", (SIZE, SIZE))])
    with pytest.raises(DataError, match=r"^moving\.png has several frames: save the one that counts"):
        decoded(moving, "moving.png")


def test_a_damaged_note_on_how_the_camera_was_held_costs_no_image() -> None:
    data = saved(quarters(), "JPEG", exif=turned(6))
    assert b"\x01\x12" in data
    broken = data.replace(b"\x01\x12\x00\x03", b"\x01\x12\x00\xff")
    assert decoded(broken, "x").image.size == (SIZE, SIZE)


def test_a_drawing_of_16_bits_or_turned_is_the_drawing(tmp_path: Path) -> None:
    grey = np.full((28, 28), 255, np.uint8)
    grey[4:20, 6:9] = 0
    path = tmp_path / "plain.png"
    Image.fromarray(grey).save(path)
    plain = read_picture(path).pixels
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    assert read_picture(path).pixels.equal(plain)
    Image.fromarray(np.rot90(grey)).save(path, exif=turned(6))  # a quarter anticlockwise, to be turned back
    assert read_picture(path).pixels.equal(plain)
