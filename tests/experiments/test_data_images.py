from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.data.images import ImageTable, open_images, split_classes
from experiments.errors import ConfigError, DataError


@pytest.fixture
def table() -> ImageTable:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 20, 28, 28), dtype=torch.uint8, generator=source)
    splits = {
        "train": split_classes(range(4), rotations=True),
        "test": split_classes((4, 5), rotations=False),
    }
    return ImageTable(images, splits)


def test_pixels_are_the_addressed_drawing_with_ink_one(table: ImageTable) -> None:
    index = torch.tensor([[0 * 20 + 3, 1 * 20 + 19], [1 * 20 + 0, 0]])  # class * drawers + drawer
    pixels = table.pixels("test", index)
    assert pixels.shape == (2, 2, 1, 28, 28)
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels[0, 0, 0], table.images[4, 3] / 255)
    assert torch.equal(pixels[0, 1, 0], table.images[5, 19] / 255)


def test_a_turned_class_is_the_same_character_turned(table: ImageTable) -> None:
    classes = table.splits["train"]
    assert table.class_count("train") == 16
    for number in range(16):
        character, turns = classes[number].tolist()
        pixels = table.pixels("train", torch.tensor([number * 20 + 7]))
        assert torch.equal(pixels[0, 0], torch.rot90(table.images[character, 7], turns) / 255)


def test_all_channels_of_a_turned_photograph_are_turned(table: ImageTable) -> None:
    colour = replace(table, images=table.images.view(2, 3, 20, 28, 28).transpose(1, 2).contiguous())
    colour = replace(colour, splits={"train": split_classes(range(2), rotations=True)})
    for number in range(8):
        character, turns = colour.splits["train"][number].tolist()
        pixels = colour.pixels("train", torch.tensor([number * 20 + 7]))
        assert torch.equal(pixels[0], torch.rot90(colour.images[character, 7], turns, (1, 2)) / 255)


def test_upright_classes_keep_their_number_with_rotations() -> None:
    upright, turned = split_classes((8, 9), rotations=False), split_classes((8, 9), rotations=True)
    assert torch.equal(turned[:2], upright)
    assert turned.tolist() == [[8, 0], [9, 0], [8, 1], [9, 1], [8, 2], [9, 2], [8, 3], [9, 3]]


def test_looking_at_turned_pixels_leaves_the_table_as_it_was(table: ImageTable) -> None:
    before = table.images.clone()
    table.pixels("train", torch.arange(16 * 20)).zero_()
    assert torch.equal(table.images, before)


def test_an_empty_index_gives_no_images(table: ImageTable) -> None:
    assert table.pixels("train", torch.empty(0, dtype=torch.int64)).shape == (0, 1, 28, 28)


def test_an_unknown_split_is_answered_with_the_nearest_name(table: ImageTable) -> None:
    with pytest.raises(ConfigError, match=r"unknown split 'trian': did you mean 'train'\?"):
        table.class_count("trian")


def test_a_memory_mapped_file_is_never_written_through_the_tensor(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.ones((2, 20, 28, 28), dtype=np.uint8))
    open_images(tmp_path / "images.npy").zero_()
    assert int(open_images(tmp_path / "images.npy").sum()) == 2 * 20 * 28 * 28


def test_files_that_hold_no_images_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.ones((2, 3)))
    (tmp_path / "text.npy").write_text("not an array")
    for name in ("floats.npy", "text.npy", "missing.npy"):
        with pytest.raises(DataError, match=f"{name}.*import"):
            open_images(tmp_path / name)


def test_a_table_moved_to_the_device_it_is_on_copies_nothing(table: ImageTable) -> None:
    moved = table.to("cpu")
    assert moved.images.data_ptr() == table.images.data_ptr()
    assert torch.equal(moved.pixels("test", torch.arange(40)), table.pixels("test", torch.arange(40)))
