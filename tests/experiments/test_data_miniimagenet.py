import signal
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.data.episodes import EpisodeSampler
from experiments.data.images import ImageTable
from experiments.data.miniimagenet import (
    counts,
    duplicates,
    images_of_each_class,
    import_miniimagenet,
    miniimagenet_folder,
    open_miniimagenet,
    read_stored,
    verify_miniimagenet,
)
from experiments.errors import DataError
from experiments.splits.miniimagenet import all_classes, listed
from tests.experiments.imagenet_cases import leave_litter
from tests.experiments.miniimagenet_cases import (
    PAIR,
    SOME,
    Pixels,
    file_name,
    pixels,
    write_folders,
    write_list,
    write_published,
    write_zip,
)

IMPORT_AND_STOP_IN_THE_MIDDLE = """
import os, signal, sys
from pathlib import Path
from experiments.data.miniimagenet import import_miniimagenet

def progress(done, total):
    if done >= 4:
        os.kill(os.getpid(), signal.SIGKILL)

import_miniimagenet(Path(sys.argv[1]), Path(sys.argv[2]), progress=progress)
"""


EACH = 16  # images a class of the session's stand-in


def here(data_dir: Path) -> dict[str, int]:
    """Return how many images of each list are here."""
    return {each.part: each.images for each in counts(data_dir)}


def stored_image(data_dir: Path, name: str, number: int) -> torch.Tensor:
    """Return the stored image of a file name, as uint8 (84, 84, 3)."""
    stored = read_stored(data_dir)
    place = stored.names[name].index(file_name(name, number))
    assert place in stored.places[name]
    images = torch.from_numpy(_mapped(data_dir))
    return images[all_classes().index(name), place].permute(1, 2, 0)


def _mapped(data_dir: Path) -> Pixels:
    mapped: Pixels = np.load(miniimagenet_folder(data_dir) / "images.npy", mmap_mode="c")
    return mapped


# ---------------------------------------------------------------- what comes in


def test_published_lists_and_zips_are_decoded_to_one_file_with_their_pixels(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", 5)
    seen: list[tuple[int, int]] = []
    summary = import_miniimagenet(
        source, tmp_path / "data", progress=lambda done, total: seen.append((done, total))
    )
    assert (summary.dataset, summary.images, summary.written) == ("miniimagenet", 30, True)
    assert seen[-1] == (30, 30)
    assert here(tmp_path / "data") == {"train": 10, "val": 10, "test": 10}
    for name in SOME:
        assert torch.equal(stored_image(tmp_path / "data", name, 3), torch.from_numpy(pixels(name, 3)))
    assert [path.name for path in (tmp_path / "data").glob("[!.]*")] == ["miniimagenet"]
    assert verify_miniimagenet(tmp_path / "data").sha256 == summary.sha256


@pytest.mark.parametrize("split_folders", [True, False], ids=["in train, val, test", "side by side"])
def test_folders_of_classes_need_no_lists(tmp_path: Path, split_folders: bool) -> None:
    source = write_folders(tmp_path / "source", SOME, 4, split_folders=split_folders)
    (source / "notes.txt").write_text("not an image")
    (source / ".DS_Store").write_bytes(b"litter")
    import_miniimagenet(source, tmp_path / "data")
    assert here(tmp_path / "data") == {"train": 8, "val": 8, "test": 8}
    assert torch.equal(stored_image(tmp_path / "data", SOME[3], 2), torch.from_numpy(pixels(SOME[3], 2)))


def test_lists_may_name_images_in_folders_of_classes_and_decide_their_order(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", PAIR["val"], 4)
    backwards = [f"{file_name(name, number)},{name}" for name in PAIR["val"] for number in (2, 1, 0)]
    (source / "val.csv").write_text("\n".join(["filename,label", *backwards]))
    import_miniimagenet(source, tmp_path / "data")
    name = PAIR["val"][0]
    assert read_stored(tmp_path / "data").names[name] == tuple(file_name(name, n) for n in (2, 1, 0))
    assert here(tmp_path / "data")["val"] == 6  # the fourth is in no list


def test_images_of_other_sizes_and_kinds_become_84x84_in_colour(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", PAIR["test"], 1)
    name = PAIR["test"][0]
    Image.new("L", (200, 100), 128).save(source / name / "grey.png")
    Image.new("CMYK", (84, 84), (0, 255, 255, 0)).save(source / name / "ink.jpg", quality=100)
    import_miniimagenet(source, tmp_path / "data")
    stored = read_stored(tmp_path / "data")
    images = torch.from_numpy(_mapped(tmp_path / "data"))[all_classes().index(name)]
    grey, ink = (images[stored.names[name].index(each)] for each in ("grey.png", "ink.jpg"))
    assert bool((grey == 128).all())
    assert ink.float().mean((1, 2)).tolist() == pytest.approx([255, 0, 0], abs=3)


# ---------------------------------------------------- some now, the rest later


def test_what_desktops_leave_is_no_image_and_is_counted(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", 2)
    plain = import_miniimagenet(source, tmp_path / "plain")
    leave_litter(source / "extra")
    with zipfile.ZipFile(source / "val.zip", "a") as archive:
        for name in (f"__MACOSX/._{file_name(PAIR['val'][0], 0)}", "@eaDir/val.csv", "Thumbs.db"):
            archive.writestr(name, b"no image")
    found = import_miniimagenet(source, tmp_path / "data")
    assert (found.images, found.sha256) == (plain.images, plain.sha256)
    assert (plain.litter, found.litter) == (0, 6 + 3)


def test_what_was_done_to_images_is_counted_over_all_imports(tmp_path: Path) -> None:
    first, second = (write_folders(tmp_path / name, PAIR["val"], 2) for name in ("first", "second"))
    (first / PAIR["val"][0] / "grey.png").write_bytes(saved(Image.new("L", (84, 84), 7)))
    summary = import_miniimagenet(first, tmp_path / "data")
    assert summary.converted == {"grey, shown as colour": 1}
    (second / PAIR["val"][1] / "hole.png").write_bytes(saved(Image.new("LA", (42, 84), (7, 0))))
    later = import_miniimagenet(second, tmp_path / "data")
    assert later.converted == {
        "grey, shown as colour": 2,
        "transparent, laid on white": 1,
        "scaled to 84 x 84": 1,
    }
    assert verify_miniimagenet(tmp_path / "data").converted == later.converted


def saved(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_what_comes_later_is_added_and_what_was_there_keeps_its_place(tmp_path: Path) -> None:
    source, data_dir = write_published(tmp_path / "source", 6), tmp_path / "data"
    write_zip(source / "train.zip", PAIR["train"], range(4))
    import_miniimagenet(source, data_dir)
    assert here(data_dir) == {"train": 8, "val": 12, "test": 12}
    assert images_of_each_class(data_dir, "R-L", holdout=True)["train"] == 0  # of the other 62 classes
    before = {name: read_stored(data_dir).places[name] for name in SOME}
    assert before[PAIR["train"][0]] == (0, 1, 2, 3)

    later = tmp_path / "later"
    later.mkdir()
    write_list(later, "train", 6)
    write_zip(later / "part-3.zip", PAIR["train"], (4, 5))
    summary = import_miniimagenet(later, data_dir)
    assert summary.written
    assert here(data_dir) == {"train": 12, "val": 12, "test": 12}
    for name in SOME:
        assert read_stored(data_dir).places[name][: len(before[name])] == before[name]
        for number in (0, 5):
            assert torch.equal(stored_image(data_dir, name, number), torch.from_numpy(pixels(name, number)))


def test_importing_again_what_is_there_does_nothing(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", 3)
    import_miniimagenet(source, tmp_path / "data")
    stamp = (miniimagenet_folder(tmp_path / "data") / "images.npy").stat().st_mtime_ns
    assert not import_miniimagenet(source, tmp_path / "data").written
    assert (miniimagenet_folder(tmp_path / "data") / "images.npy").stat().st_mtime_ns == stamp
    assert import_miniimagenet(source, tmp_path / "data", replace=True).written


def test_a_damaged_import_is_found_and_replaced_by_the_next(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", 3)
    good = import_miniimagenet(source, tmp_path / "data")
    with (good.path / "images.npy").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff\xfe\xfd")
    with pytest.raises(DataError, match=r"is damaged .*: import the data set again"):
        verify_miniimagenet(tmp_path / "data")
    assert import_miniimagenet(source, tmp_path / "data").sha256 == good.sha256


def test_an_import_killed_in_the_middle_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    source, data_dir = write_published(tmp_path / "source", 3), tmp_path / "data"
    command = [sys.executable, "-c", IMPORT_AND_STOP_IN_THE_MIDDLE, str(source), str(data_dir)]
    child = subprocess.run(command, check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert len(list(data_dir.glob(".miniimagenet-*"))) == 1
    with pytest.raises(DataError, match="is not imported"):
        verify_miniimagenet(data_dir)
    import_miniimagenet(source, data_dir)
    assert not list(data_dir.glob(".miniimagenet-*"))


def test_two_imports_at_once_do_not_meet(tmp_path: Path) -> None:
    source, data_dir = write_published(tmp_path / "source", 3), tmp_path / "data"
    refused: list[str] = []

    def import_too(done: int, total: int) -> None:
        with pytest.raises(DataError) as raised:
            import_miniimagenet(source, data_dir)
        refused.append(str(raised.value))

    import_miniimagenet(source, data_dir, progress=import_too)
    assert set(refused) == {f"another import into {data_dir} is under way: wait until it is done"}
    assert here(data_dir) == {"train": 6, "val": 6, "test": 6}


# ------------------------------------------------------------------- what is found


def test_equal_images_are_named_and_not_refused(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", SOME, 2)
    one, other = PAIR["train"][0], PAIR["test"][1]
    (source / other / "again.png").write_bytes((source / one / file_name(one, 1)).read_bytes())
    import_miniimagenet(source, tmp_path / "data")
    (pair,) = duplicates(tmp_path / "data")
    assert (pair.one, pair.other) == (f"train/{one}/{file_name(one, 1)}", f"test/{other}/again.png")
    assert pair.across_parts


def test_images_are_opened_by_split_and_stay_on_the_disk(miniimagenet_data_dir: Path) -> None:
    table = open_miniimagenet(miniimagenet_data_dir, "R1")
    assert {name: table.class_count(name) for name in table.splits} == {
        "base": 52,
        "meta": 16,
        "train": 68,
        "val": 12,
        "test": 20,
    }
    assert table.image_shape == (3, 84, 84)
    assert table.per_class("test") == EACH
    index = torch.tensor([[3 * EACH + 2], [19 * EACH]])
    shown = table.pixels("test", index)
    assert shown.shape == (2, 1, 3, 84, 84)
    name = listed("test")[3]
    expected = torch.from_numpy(pixels(name, 2)).permute(2, 0, 1) / 255
    assert torch.equal(shown[0, 0], expected)


def test_only_as_many_images_are_used_as_every_class_of_a_split_has(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", all_classes(), 2)
    name = listed("test")[7]
    (source / name / file_name(name, 0)).unlink()
    import_miniimagenet(source, tmp_path / "data")
    table = open_miniimagenet(tmp_path / "data", "R-L")
    assert {split: table.per_class(split) for split in table.splits} == {"train": 2, "val": 2, "test": 1}
    shown = table.pixels("test", torch.tensor([7, 8]))
    assert torch.equal(shown[0].permute(1, 2, 0) * 255, torch.from_numpy(pixels(name, 1)).float())


def test_a_class_without_images_is_named_when_a_run_would_need_it(tmp_path: Path) -> None:
    import_miniimagenet(write_published(tmp_path / "source", 2), tmp_path / "data")
    expected = (
        r"^mini-ImageNet has no images yet of 62 of the 64 train classes, n01704323 the first: run `fsrun"
    )
    with pytest.raises(DataError, match=expected):
        open_miniimagenet(tmp_path / "data", "R-L")


def test_an_episode_is_the_same_whatever_else_was_imported(tmp_path: Path) -> None:
    def episode(table: ImageTable) -> torch.Tensor:
        drawn = EpisodeSampler(table, n_way=5, k_shot=1, n_query=1, key=("evaluation", 0)).sample(
            "test", range(3)
        )
        return table.pixels("test", drawn.query)

    source = write_folders(tmp_path / "source", listed("test"), 3)
    write_folders(source, listed("train") + listed("val"), 1)
    import_miniimagenet(source, tmp_path / "data")
    before = episode(open_miniimagenet(tmp_path / "data", "R-L"))
    write_folders(source, listed("train"), 1, first=1)
    assert import_miniimagenet(source, tmp_path / "data").written
    assert torch.equal(episode(open_miniimagenet(tmp_path / "data", "R-L")), before)


def test_real_images_keep_the_pixels_a_plain_decoder_gives(miniimagenet_source: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    classes = listed("val")[:2]
    header, *lines = (miniimagenet_source / "val.csv").read_text().splitlines()
    chosen = [line for name in classes for line in [each for each in lines if each.endswith(name)][:20]]
    (source / "val.csv").write_text("\n".join([header, *chosen]))
    (source / "val.zip").symlink_to(miniimagenet_source / "val.zip")
    import_miniimagenet(source, tmp_path / "data")
    assert here(tmp_path / "data") == {"train": 0, "val": 40, "test": 0}
    name = read_stored(tmp_path / "data").names[classes[1]][7]
    with zipfile.ZipFile(source / "val.zip") as archive:
        picture = Image.open(BytesIO(archive.read(name))).convert("RGB")
    expected = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(84, 84, 3)
    images = torch.from_numpy(_mapped(tmp_path / "data"))[all_classes().index(classes[1])]
    assert torch.equal(images[7].permute(1, 2, 0), expected)
