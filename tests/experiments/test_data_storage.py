import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.data.storage import is_stored, read_summary, verify_dataset, write_dataset
from experiments.errors import DataError

IMAGES = np.arange(3 * 20 * 28 * 28, dtype=np.int64).astype(np.uint8).reshape(3, 20, 28, 28)

WRITE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from experiments.data.storage import write_dataset
from experiments.errors import DataError

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # a file can grow no further, as on a full disk
try:
    write_dataset(Path(sys.argv[1]), np.zeros((10, 20, 28, 28), dtype=np.uint8), ["x"] * 10)
except DataError as error:
    print(error)
"""


def test_what_was_written_is_summarised_and_verified(tmp_path: Path) -> None:
    written = write_dataset(tmp_path / "set", IMAGES, ["a", "b", "c"])
    assert written.written
    assert (written.dataset, written.classes, written.images) == ("set", 3, 60)
    assert written.bytes == (tmp_path / "set" / "images.npy").stat().st_size
    assert verify_dataset(tmp_path / "set").sha256 == read_summary(tmp_path / "set").sha256 == written.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_writing_again_replaces_the_data_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", IMAGES, ["a", "b", "c"])
    write_dataset(tmp_path / "set", IMAGES[:2], ["a", "b"])
    assert verify_dataset(tmp_path / "set").classes == 2
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_full_disk_is_one_clear_line_and_keeps_the_data_that_was_there(tmp_path: Path) -> None:
    before = write_dataset(tmp_path / "set", IMAGES, ["a", "b", "c"])
    command = [sys.executable, "-c", WRITE_ON_A_FULL_DISK, str(tmp_path / "set")]
    child = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert child.stdout.startswith(f"{tmp_path / 'set'} cannot be written (")
    assert len(child.stdout.splitlines()) == 1
    assert verify_dataset(tmp_path / "set").sha256 == before.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_one_changed_byte_is_found(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", IMAGES, ["a", "b", "c"])
    with (tmp_path / "set" / "images.npy").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff\xfe")
    with pytest.raises(DataError, match=r"is damaged .*: import the data set again"):
        verify_dataset(tmp_path / "set")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1}', '{"classes": 3}'])
def test_a_damaged_index_is_one_clear_line(tmp_path: Path, text: str) -> None:
    write_dataset(tmp_path / "set", IMAGES, ["a", "b", "c"])
    (tmp_path / "set" / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"index.json is damaged or missing: import"):
        read_summary(tmp_path / "set")


def test_data_of_another_format_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", IMAGES, ["a", "b", "c"])
    index = tmp_path / "set" / "index.json"
    index.write_text(index.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(DataError, match="has format 2, not 1"):
        verify_dataset(tmp_path / "set")


def test_a_folder_without_images_is_not_a_data_set(tmp_path: Path) -> None:
    assert not is_stored(tmp_path / "set")
    write_dataset(tmp_path / "set", IMAGES, ["a", "b", "c"])
    assert is_stored(tmp_path / "set")
    (tmp_path / "set" / "images.npy").unlink()
    assert not is_stored(tmp_path / "set")
    with pytest.raises(DataError, match="damaged"):
        verify_dataset(tmp_path / "set")
