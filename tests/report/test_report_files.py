"""Reports in files: where they may lie, and whole or not at all."""

from pathlib import Path

import pytest

from fsrun.errors import FsrunError, UsageError
from fsrun.report.files import check_place
from fsrun.writing import put, put_text


def test_a_file_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    put_text(path, "one\n")
    put_text(path, "two\n")
    assert path.read_text() == "two\n"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    put_text(path, "kept\n")

    def full(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(FsrunError, match="No space left on device"):
        put(path, full)
    assert path.read_text() == "kept\n"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_other_endings_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a folder: name a file in it, for example .*report\.md"):
        check_place(tmp_path, [".md"])
    with pytest.raises(UsageError, match=r"must be one of \.md, \.csv"):
        check_place(tmp_path / "a.doc", [".md", ".csv"])
    with pytest.raises(FsrunError, match="does not exist"):
        check_place(tmp_path / "none" / "a.md", [".md"])
