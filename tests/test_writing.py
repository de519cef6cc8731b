"""Files that a user names: replaced whole, through a link, and written to where they are no files."""

import os
import stat
import tty
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fsrun.errors import FsrunError
from fsrun.writing import put, put_text


def test_a_file_is_replaced_whole_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("old")
    path.chmod(0o640)
    put_text(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("there", [True, False], ids=["to-a-file", "to-nothing-yet"])
def test_a_link_stays_and_what_it_names_is_written(tmp_path: Path, there: bool) -> None:
    target, link = tmp_path / "shared" / "table.md", tmp_path / "table.md"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    link.symlink_to(target)
    put_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert not target.is_symlink()


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    path, text = tmp_path / "pipe", "θ" * 100_000  # more than a pipe holds
    os.mkfifo(path)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(path.read_text, encoding="utf-8")
        put_text(path, text)
        assert read.result(timeout=60) == text
    assert path.is_fifo()
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_a_pipe_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def first_bytes() -> bytes:
        with path.open("rb", buffering=0) as pipe:
            return pipe.read(5)

    with ThreadPoolExecutor() as pool:
        read = pool.submit(first_bytes)
        put_text(path, "first" + "-" * 1_000_000)
        assert read.result(timeout=60) == b"first"


def test_a_device_behind_a_link_is_written_to_and_both_stay(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    link = tmp_path / "stdout"
    link.symlink_to(os.ttyname(theirs))
    put_text(link, "said")
    assert os.read(ours, 100) == b"said"
    assert link.is_symlink()
    assert link.is_char_device()
    os.close(ours)
    os.close(theirs)


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("old")

    def breaks_off(unfinished: Path) -> None:
        unfinished.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(FsrunError, match="No space left on device"):
        put(path, breaks_off)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
