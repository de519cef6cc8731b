"""Images of any kind become what the networks see; what cannot be used is named in one line."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.data.archives import open_drawings
from experiments.data.folder import conversions, image_paths, read_examples, read_picture, stacked
from experiments.data.omniglot import open_omniglot
from experiments.errors import DataError
from tests.experiments.imagenet_cases import leave_litter

Grey = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


def stroke(size: int = 56) -> Grey:
    """An upright line on paper, paper = 255 and ink = 0."""
    grey = np.full((size, size), 255, dtype=np.uint8)
    grey[size // 4 : -size // 4, size // 2 - size // 14 : size // 2 + size // 14] = 0
    return grey


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_ink_is_one_and_paper_nought_whichever_is_bright(tmp_path: Path) -> None:
    dark = read_picture(saved(tmp_path / "dark.png", Image.fromarray(stroke())))
    bright = read_picture(saved(tmp_path / "bright.png", Image.fromarray(255 - stroke())))
    assert torch.equal(dark.pixels, bright.pixels)
    assert dark.pixels.shape == (1, 28, 28)
    assert dark.pixels.dtype == torch.float32
    assert (float(dark.pixels[0, 0, 0]), float(dark.pixels[0, 14, 14])) == (0, 1)
    assert dark.how[0] == "dark on a bright border, inverted"
    assert bright.how[0] == "bright on a dark border, as it is"


def test_faint_ink_on_grey_paper_is_stretched(tmp_path: Path) -> None:
    faint = (100 + stroke() * (50 / 255)).astype(np.uint8)  # ink 100 on paper 150
    picture = read_picture(saved(tmp_path / "faint.png", Image.fromarray(faint)))
    plain = read_picture(saved(tmp_path / "plain.png", Image.fromarray(stroke())))
    torch.testing.assert_close(picture.pixels, plain.pixels, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("name", "image", "how"),
    [
        ("colour.jpg", Image.fromarray(stroke()).convert("RGB"), "in colour, made grey"),
        ("palette.png", Image.fromarray(stroke()).convert("P"), "in colour, made grey"),
        ("deep.png", Image.fromarray(stroke().astype(np.uint16) * 200), "16 bits or more, brought to 8"),
        ("float.tiff", Image.fromarray(stroke().astype(np.float32) / 7), "16 bits or more, brought to 8"),
    ],
)
def test_colour_and_depth_make_no_difference_but_are_said(
    tmp_path: Path, name: str, image: Image.Image, how: str
) -> None:
    picture = read_picture(saved(tmp_path / name, image))
    plain = read_picture(saved(tmp_path / "plain.png", Image.fromarray(stroke())))
    torch.testing.assert_close(picture.pixels, plain.pixels, atol=0.03, rtol=0)
    assert how in picture.how


def test_what_is_transparent_counts_as_white_paper(tmp_path: Path) -> None:
    black = np.zeros((56, 56, 4), dtype=np.uint8)  # black ink, transparent where there is none
    black[..., 3] = 255 - stroke()
    picture = read_picture(saved(tmp_path / "alpha.png", Image.fromarray(black, "RGBA")))
    plain = read_picture(saved(tmp_path / "plain.png", Image.fromarray(stroke())))
    torch.testing.assert_close(picture.pixels, plain.pixels, atol=0.02, rtol=0)
    assert "transparent, laid on white" in picture.how


def test_a_wide_image_keeps_its_proportions(tmp_path: Path) -> None:
    wide = np.full((40, 80), 255, dtype=np.uint8)
    wide[10:30, 30:50] = 0  # a square of ink
    ink = read_picture(saved(tmp_path / "wide.png", Image.fromarray(wide))).pixels[0]
    assert abs(float(ink.sum(0).max() - ink.sum(1).max())) < 0.5  # still a square
    assert float(ink[:6].max()) == 0  # paper above and below


def test_an_image_without_ink_is_all_paper(tmp_path: Path) -> None:
    blank = read_picture(saved(tmp_path / "blank.png", Image.new("L", (40, 40), 255)))
    assert float(blank.pixels.abs().max()) == 0
    assert blank.how[0] == "blank"


def test_drawings_of_omniglot_come_out_as_its_import_makes_them(
    omniglot_source: Path, omniglot_data_dir: Path, tmp_path: Path
) -> None:
    table = open_omniglot(omniglot_data_dir, "P-B", rotations=False, holdout=False)
    with open_drawings(omniglot_source, "evaluation") as (drawings, _):
        for index in (0, 4321):
            path = tmp_path / f"{index}.png"
            path.write_bytes(drawings[index].read())
            assert torch.equal(read_picture(path).pixels, table.pixels("test", torch.tensor(index)))


def test_classes_are_the_sub_folders_by_name_with_as_many_examples_as_there_are(tmp_path: Path) -> None:
    for place in ("b/1.png", "a/2.png", "a/1.png"):
        saved(tmp_path / place, Image.fromarray(stroke()))
    (tmp_path / "a" / "notes.txt").write_text("drawn on Monday")
    (tmp_path / "a" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / ".hidden").mkdir()
    left = leave_litter(tmp_path) + leave_litter(tmp_path / "b")
    examples = read_examples(tmp_path)
    assert examples.litter == left + 2
    assert examples.classes == ("a", "b")
    assert [picture.path.name for picture in examples.pictures] == ["1.png", "2.png", "1.png"]
    assert examples.labels.tolist() == [0, 0, 1]
    assert stacked(examples.pictures).shape == (3, 1, 28, 28)
    assert conversions(examples.pictures).startswith("3 dark on a bright border, inverted")


def refused(read: object, path: Path) -> str:
    assert callable(read)
    with pytest.raises(DataError) as caught:
        read(path)
    (line,) = str(caught.value).splitlines()
    return line


def test_a_support_of_one_class_or_with_an_empty_class_is_refused(tmp_path: Path) -> None:
    assert "no sub-folders" in refused(read_examples, tmp_path)
    saved(tmp_path / "only" / "1.png", Image.fromarray(stroke()))
    assert "only the class only" in refused(read_examples, tmp_path)
    (tmp_path / "empty").mkdir()
    assert "empty holds no images" in refused(read_examples, tmp_path)
    assert "not a folder" in refused(read_examples, tmp_path / "nowhere")
    assert "holds no images" in refused(image_paths, tmp_path)


def test_an_image_that_is_none_or_several_is_refused_by_its_name(tmp_path: Path) -> None:
    frames = [Image.fromarray(stroke()), Image.fromarray(255 - stroke())]
    animated = tmp_path / "animated.gif"
    frames[0].save(animated, save_all=True, append_images=frames[1:])
    assert "animated.gif has several frames" in refused(read_picture, animated)
    for name, content in (("text.png", b"hello"), ("nothing.png", b""), ("cut.png", _png()[:-40])):
        (tmp_path / name).write_bytes(content)
        assert f"{name} cannot be read as an image" in refused(read_picture, tmp_path / name)


def test_a_picture_larger_than_any_drawing_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    huge = saved(tmp_path / "huge.png", Image.new("1", (9000, 6000)))
    assert "9000 x 6000 pixels" in refused(read_picture, huge)
    bomb = saved(tmp_path / "bomb.png", Image.new("1", (12_000, 10_000)))
    assert "bomb.png" in refused(read_picture, bomb)


def _png() -> bytes:
    memory = BytesIO()
    Image.effect_noise((64, 64), 50).save(memory, "PNG")
    return memory.getvalue()


@pytest.mark.parametrize(
    ("image", "colour", "how"),
    [
        (Image.new("RGB", (168, 84), (255, 0, 51)), (1.0, 0.0, 0.2), ("scaled to 84 x 84",)),
        (Image.new("RGB", (84, 84), (255, 0, 51)), (1.0, 0.0, 0.2), ()),
        (Image.new("L", (84, 84), 51), (0.2, 0.2, 0.2), ("grey, shown as colour",)),
        (Image.new("RGBA", (84, 84), (0, 0, 0, 0)), (1.0, 1.0, 1.0), ("transparent, laid on white",)),
    ],
)
def test_a_photograph_stays_in_colour_and_fills_the_square(
    tmp_path: Path, image: Image.Image, colour: tuple[float, ...], how: tuple[str, ...]
) -> None:
    picture = read_picture(saved(tmp_path / "photograph.png", image), (3, 84, 84))
    expected = torch.tensor(colour)[:, None, None].expand(3, 84, 84)
    torch.testing.assert_close(picture.pixels, expected)
    assert picture.how == how
