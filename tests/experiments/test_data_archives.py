import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from experiments.data.archives import open_drawings
from experiments.data.omniglot import import_omniglot
from experiments.errors import DataError

FIRST = "images_background/Alphabet_of_the_Magi/character01/0709_01.png"


@pytest.fixture
def source(omniglot_source: Path, tmp_path: Path) -> Path:
    """A folder with Omniglot's zips of which images_background.zip may be spoilt."""
    folder = tmp_path / "source"
    folder.mkdir()
    shutil.copy(omniglot_source / "images_background.zip", folder)
    (folder / "images_evaluation.zip").symlink_to(omniglot_source / "images_evaluation.zip")
    return folder


def refusal(source: Path, tmp_path: Path) -> str:
    """Import, which must be refused in one line and leave nothing; return the line."""
    with pytest.raises(DataError) as raised:
        import_omniglot(source, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"source"}
    message = str(raised.value)
    assert "\n" not in message
    return message


def remove(archive: zipfile.ZipFile, name: str) -> None:
    """Forget a member: a zip opened for appending writes a new table of contents when it is closed."""
    archive.filelist.remove(archive.NameToInfo.pop(name))


def put(
    source: Path, name: str, data: bytes, attributes: int = 0, compression: int = zipfile.ZIP_DEFLATED
) -> None:
    with zipfile.ZipFile(source / "images_background.zip", "a") as archive:
        if name in archive.NameToInfo:
            remove(archive, name)
        member = zipfile.ZipInfo(name)
        member.external_attr = attributes
        member.compress_type = compression
        archive.writestr(member, data)


def test_what_desktops_leave_in_a_zip_is_no_drawing_and_is_counted(source: Path) -> None:
    put(source, "__MACOSX/images_background/._0709_01.png", b"")
    put(source, "images_background/Alphabet_of_the_Magi/Thumbs.db", b"")
    with open_drawings(source, "background") as (drawings, litter):
        assert (len(drawings), litter) == (964 * 20, 2)


def png(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("1", (width, height), 1).save(buffer, "PNG")
    return buffer.getvalue()


def huge_claim() -> bytes:
    """Return a small PNG whose header claims 100,000 x 100,000 pixels, with the right checksum."""
    data = bytearray(png(105, 105))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.png",
        "images_background/../../outside.png",
        "/etc/outside.png",
        "images_background\\..\\..\\outside.png",
        "C:/outside.png",
    ],
)
def test_a_member_that_leaves_the_folder_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    put(source, name, png(105, 105))
    assert "leaves the folder: it is not the official Omniglot archive" in refusal(source, tmp_path)


def test_a_symbolic_link_is_refused(source: Path, tmp_path: Path) -> None:
    put(source, FIRST, b"/etc/passwd", attributes=(stat.S_IFLNK | 0o777) << 16)
    assert "has the symbolic link" in refusal(source, tmp_path)


def test_one_huge_member_is_refused_without_unpacking_it(source: Path, tmp_path: Path) -> None:
    put(source, FIRST, bytes(10_000_000))
    assert "more than Omniglot can have" in refusal(source, tmp_path)


def test_too_many_members_are_refused(source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(source / "images_background.zip", "w") as archive:
        for number in range(40_001):
            archive.writestr(f"images_background/{number}/", b"")
    assert "has 40001 members, more than Omniglot can have" in refusal(source, tmp_path)


def test_a_member_that_unpacks_to_more_than_it_says_is_refused(source: Path, tmp_path: Path) -> None:
    put(source, FIRST, bytes(10_000_000))
    with zipfile.ZipFile(source / "images_background.zip", "a") as archive:
        archive.getinfo(FIRST).file_size = 300
        archive.writestr("images_background/.litter", b"")  # makes the changed table of contents be written
    assert "is damaged" in refusal(source, tmp_path)


def test_an_unusual_compression_is_refused(source: Path, tmp_path: Path) -> None:
    put(source, FIRST, png(105, 105), compression=zipfile.ZIP_LZMA)
    assert "in a compression Omniglot does not use" in refusal(source, tmp_path)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda: b"not a picture",
        lambda: b"",
        lambda: png(28, 28),
        huge_claim,
        lambda: png(105, 105)[:60],
    ],
    ids=["text", "empty", "other size", "claims to be huge", "cut short"],
)
def test_a_member_that_is_no_drawing_is_refused(
    source: Path, tmp_path: Path, spoilt: Callable[[], bytes]
) -> None:
    put(source, FIRST, spoilt())
    assert f"{FIRST} is not a PNG of 105x105: download it again" in refusal(source, tmp_path)


def test_a_missing_drawing_is_named(source: Path, tmp_path: Path) -> None:
    put(source, "images_background/.litter", b"")
    with zipfile.ZipFile(source / "images_background.zip", "a") as archive:
        remove(archive, FIRST)
        archive.writestr("images_background/.more", b"")
    line = refusal(source, tmp_path)
    assert (
        "has 19279 of 19280 drawings, the first missing is Alphabet_of_the_Magi/character01 drawing 1" in line
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (FIRST.replace("0709_01", "0710_01"), "Alphabet_of_the_Magi/character01 drawing 1 more than once"),
        (FIRST.replace("_01.png", "_21.png"), "drawing 21 which Omniglot does not have"),
        (FIRST.replace("character01", "character99"), "character99 drawing 1 which Omniglot does not have"),
        ("images_background/README.txt", "which is not an Omniglot drawing"),
    ],
)
def test_what_does_not_belong_to_omniglot_is_named(
    source: Path, tmp_path: Path, name: str, expected: str
) -> None:
    put(source, name, png(105, 105))
    assert expected in refusal(source, tmp_path)


def test_an_archive_cut_short_is_refused(source: Path, tmp_path: Path) -> None:
    with (source / "images_background.zip").open("r+b") as file:
        file.truncate(1_000_000)
    assert "images_background.zip is damaged" in refusal(source, tmp_path)


def test_an_archive_with_a_flipped_byte_is_refused(source: Path, tmp_path: Path) -> None:
    with (source / "images_background.zip").open("r+b") as file:
        file.seek(30 + len(FIRST) + 100)  # inside the first drawing's bytes
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0xFF]))
    assert "images_background.zip is damaged" in refusal(source, tmp_path)


def test_a_missing_archive_is_named_before_anything_is_decoded(source: Path, tmp_path: Path) -> None:
    (source / "images_evaluation.zip").unlink()
    line = refusal(source, tmp_path)
    assert "holds neither images_evaluation.zip nor the folder images_evaluation" in line


def test_a_folder_with_a_file_that_is_no_drawing_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "images_background.zip").unlink()
    folder = source / "images_background" / "Alphabet_of_the_Magi" / "character01"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("")
    assert "notes.txt', which is not an Omniglot drawing" in refusal(source, tmp_path)
