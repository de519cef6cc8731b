import shutil
import stat
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.data.miniimagenet import import_miniimagenet
from experiments.datasets import require_data
from experiments.errors import DataError
from experiments.splits.miniimagenet import IMAGES_PER_CLASS, listed
from experiments.sweeps import Sweep, plan
from tests.experiments.miniimagenet_cases import (
    PAIR,
    SOME,
    file_name,
    png,
    write_folders,
    write_list,
    write_published,
    write_zip,
)

FIRST = PAIR["train"][0]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The data set as it is published, two images of two classes a list, to be spoilt."""
    return write_published(tmp_path / "source", 2)


def refusal(source: Path) -> str:
    """Import, which must be refused in one line and leave nothing; return the line."""
    data_dir = source.parent / "data"
    with pytest.raises(DataError) as raised:
        import_miniimagenet(source, data_dir)
    assert {path.name for path in data_dir.glob("*")} <= {".import.lock"}
    message = str(raised.value)
    assert "\n" not in message
    return message


def put(source: Path, name: str, data: bytes, attributes: int = 0) -> None:
    with zipfile.ZipFile(source / "train.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = attributes
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, data)


# --------------------------------------------------------------- nothing of it there


def test_a_folder_with_one_class_is_refused(tmp_path: Path) -> None:
    line = refusal(write_folders(tmp_path / "source", [FIRST], 3))
    assert "holds images of one class only, n01532829: name a folder with train.csv, val.csv" in line


def test_a_folder_with_no_class_of_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "source" / "holiday"
    folder.mkdir(parents=True)
    (folder / "beach.png").write_bytes(png(FIRST, 0))
    assert "holds no images of mini-ImageNet: name a folder" in refusal(tmp_path / "source")


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "nowhere is not there: name a folder" in refusal(tmp_path / "nowhere")


def test_a_class_in_the_folder_of_another_split_is_refused(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", SOME, 1, split_folders=True)
    (source / "train" / PAIR["test"][0]).mkdir()
    (source / "train" / PAIR["test"][0] / "moved.png").write_bytes(png(PAIR["test"][0], 5))
    assert "lies in train and Ravi & Larochelle's lists have n01930112 in test: move the folder" in refusal(
        source
    )


def test_more_images_than_there_can_be_are_refused(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", SOME, 1)
    for number in range(IMAGES_PER_CLASS + 1):
        (source / FIRST / f"{number}.png").write_bytes(b"")
    assert "would have 602 images, and mini-ImageNet has 600 of each: take the others away" in refusal(source)


# -------------------------------------------------------------------- lists


def test_a_list_of_which_no_image_is_there_is_refused(tmp_path: Path, source: Path) -> None:
    (source / "val.zip").unlink()
    line = refusal(source)
    assert "val.csv names 4 images, for example n0185567200000000.png, and none of them is in" in line
    assert line.endswith("put them or their zips there, or take the list away")


def test_a_list_may_name_some_images_that_are_missing(source: Path) -> None:
    write_list(source, "val", 9)
    assert import_miniimagenet(source, source.parent / "data").images == 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "does not begin with filename,label"),
        ("filename,label\n", "does not begin with filename,label"),
        ("a,b\nx,y\n", "does not begin with filename,label"),
        (
            "filename,label\nx.jpg,n99999999\n",
            "line 2: 'x.jpg,n99999999' is not an image and one of the val classes",
        ),
        (f"filename,label\nx.jpg,{FIRST}\n", "is not an image and one of the val classes"),
        ("filename,label\nx.jpg\n", "line 2: 'x.jpg' is not an image"),
        ("filename,label\n\udcff", "is not a list of images"),
    ],
)
def test_a_damaged_list_is_refused(source: Path, text: str, expected: str) -> None:
    (source / "val.csv").write_text(text, errors="surrogateescape")
    assert expected in refusal(source)


def test_a_list_cannot_lead_out_of_the_folder(tmp_path: Path, source: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(FIRST, 0))
    (source / "val.csv").write_text(f"filename,label\n../secret.png,{PAIR['val'][0]}\n")
    assert "and none of them is in" in refusal(source)


# ------------------------------------------------------------------- images


def huge_claim() -> bytes:
    """Return a small PNG whose header claims 100,000 x 100,000 pixels, with the right checksum."""
    data = bytearray(png(FIRST, 0))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [b"not a picture", b"", png(FIRST, 0)[:200], huge_claim(), b"GIF89a" + bytes(40)],
    ids=["text", "empty", "cut short", "claims to be huge", "another format"],
)
def test_a_file_that_is_no_image_is_named(tmp_path: Path, data: bytes) -> None:
    source = write_folders(tmp_path / "source", SOME, 2)
    (source / FIRST / file_name(FIRST, 1)).write_bytes(data)
    line = refusal(source)
    assert f"{FIRST}/{file_name(FIRST, 1)} cannot be read as a JPEG or PNG: remove it" in line


# ----------------------------------------------------------------- archives


@pytest.mark.parametrize("name", ["../outside.png", "/etc/outside.png", "a\\..\\..\\b.png", "C:/outside.png"])
def test_a_member_that_leaves_the_folder_is_refused(source: Path, name: str) -> None:
    put(source, name, b"")
    assert "which leaves the folder: make the archive again from the images alone" in refusal(source)


def test_a_symbolic_link_in_an_archive_is_refused(source: Path) -> None:
    put(source, "link.png", b"/etc/passwd", attributes=(stat.S_IFLNK | 0o777) << 16)
    assert "has the symbolic link 'link.png'" in refusal(source)


def test_a_member_that_would_fill_the_memory_is_refused_without_unpacking_it(source: Path) -> None:
    put(source, "zeros.png", bytes(70_000_000))
    assert "more than mini-ImageNet can have" in refusal(source)


def test_an_archive_cut_short_is_refused(source: Path) -> None:
    with (source / "test.zip").open("r+b") as file:
        file.truncate(2000)
    assert "test.zip is damaged" in refusal(source)


# --------------------------------------------------------------------- room


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_with_too_little_room_is_refused_before_anything_is_written(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(10**9, 10**9 - 1000, 1000))
    line = refusal(source)
    assert "has 0.0 GB free and mini-ImageNet needs 0.0 GB: free some, or set FSRUN_HOME to a folder" in line


# ------------------------------------------------------------ too few images


def test_too_few_images_for_an_episode_are_refused_when_a_run_is_queued(tmp_path: Path) -> None:
    source = write_folders(tmp_path / "source", listed("test"), 9)
    write_folders(source, listed("train") + listed("val"), 3)
    import_miniimagenet(source, tmp_path / "data")

    def asking(method: str, **settings: int) -> None:
        chosen = {name: [value] for name, value in settings.items()}
        planned = plan(Sweep("miniimagenet", (method,), "quick", settings=chosen))
        require_data([each.config for each in planned], tmp_path / "data")

    with pytest.raises(
        DataError, match=r"^k_shot \+ n_query is 16 images a class, and .* only 9 of some test class"
    ):
        asking("pixel-knn")
    asking("pixel-knn", n_query=8)
    with pytest.raises(DataError, match="only 3 of some train class here: lower one of them, or import more"):
        asking("protonet", n_query=8, train_n_query=4)
    asking("protonet", n_query=8, train_n_query=2)


def test_nothing_imported_is_one_line_that_says_what_to_type(tmp_path: Path) -> None:
    planned = plan(Sweep("miniimagenet", ("pixel-knn",), "quick"))
    with pytest.raises(
        DataError, match=r"^mini-ImageNet is not imported: run `fsrun data import miniimagenet PATH`$"
    ):
        require_data([each.config for each in planned], tmp_path)


def test_a_zip_alone_is_a_source_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in SOME:
            archive.writestr(f"images/{name}/{file_name(name, 0)}", png(name, 0))
    assert import_miniimagenet(tmp_path / "all.zip", tmp_path / "data").images == 6
    write_zip(tmp_path / "empty.zip", [], [])
    with pytest.raises(DataError, match="holds no images of mini-ImageNet"):
        import_miniimagenet(tmp_path / "empty.zip", tmp_path / "data")
