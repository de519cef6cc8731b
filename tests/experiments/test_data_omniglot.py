import shutil
import signal
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from experiments.data.omniglot import (
    fetch_omniglot,
    import_omniglot,
    is_imported,
    open_omniglot,
    verify_omniglot,
)
from experiments.errors import ConfigError, DataError

IMPORT_AND_STOP_IN_THE_MIDDLE = """
import os, signal, sys
from pathlib import Path
from experiments.data.omniglot import import_omniglot

def progress(done, total):
    if done >= 1000:
        os.kill(os.getpid(), signal.SIGKILL)

import_omniglot(Path(sys.argv[1]), Path(sys.argv[2]), progress=progress)
"""


def test_the_real_omniglot_becomes_1623_characters_of_20_drawings(omniglot_data_dir: Path) -> None:
    summary = verify_omniglot(omniglot_data_dir)
    assert (summary.dataset, summary.classes, summary.images) == ("omniglot", 1623, 32460)
    images = open_omniglot(omniglot_data_dir, "P-V").images
    assert images.shape == (1623, 20, 28, 28)
    assert images.dtype == torch.uint8


def test_ink_is_bright_on_dark_paper_and_antialiased(omniglot_data_dir: Path) -> None:
    images = open_omniglot(omniglot_data_dir, "P-V").images
    assert float((images == 0).float().mean()) > 0.8
    assert int(images.max()) == 255
    assert int((torch.bincount(images.flatten()) > 0).sum()) > 100  # shades of grey


def test_images_are_stored_in_the_order_of_the_protocols(
    omniglot_source: Path, omniglot_data_dir: Path
) -> None:
    table = open_omniglot(omniglot_data_dir, "P-B", rotations=False)
    name = "images_evaluation/Angelic/character02/0966_07.png"  # the second evaluation character, drawer 7
    with zipfile.ZipFile(omniglot_source / "images_evaluation.zip") as archive:
        picture = (
            Image.open(BytesIO(archive.read(name))).convert("L").resize((28, 28), Image.Resampling.BILINEAR)
        )
    expected = 255 - torch.tensor(list(picture.tobytes()), dtype=torch.uint8).view(28, 28)
    assert torch.equal(table.images[964 + 1, 6], expected)
    assert torch.equal(table.pixels("test", torch.tensor([1 * 20 + 6]))[0, 0], expected / 255)


def test_a_protocol_is_opened_with_quarter_turns_as_classes(omniglot_data_dir: Path) -> None:
    table = open_omniglot(omniglot_data_dir, "R1", holdout=False, rotations=True)
    counts = {name: table.class_count(name) for name in table.splits}
    assert counts == {"train": 4800, "base": 3856, "meta": 944, "test": 1692}
    assert table.drawers == 20


def test_opening_names_the_commands_when_omniglot_is_not_there(tmp_path: Path) -> None:
    assert not is_imported(tmp_path)
    expected = (
        r"^Omniglot is not imported: run `fsrun data import omniglot PATH` or `fsrun data fetch omniglot`$"
    )
    with pytest.raises(DataError, match=expected):
        open_omniglot(tmp_path, "P-V")
    with pytest.raises(DataError, match=expected):
        verify_omniglot(tmp_path)


def test_an_unknown_protocol_is_answered_with_the_nearest_name(omniglot_data_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'R1'\?|did you mean 'R2'\?"):
        open_omniglot(omniglot_data_dir, "R3")


def test_importing_again_does_nothing_over_a_good_import(
    omniglot_source: Path, omniglot_data_dir: Path
) -> None:
    stamp = (omniglot_data_dir / "omniglot" / "images.npy").stat().st_mtime_ns
    summary = import_omniglot(omniglot_source, omniglot_data_dir)
    assert not summary.written
    assert not fetch_omniglot(omniglot_data_dir).written
    assert (omniglot_data_dir / "omniglot" / "images.npy").stat().st_mtime_ns == stamp


def test_a_damaged_import_is_found_and_mended_from_the_folder_layout(
    omniglot_source: Path, omniglot_data_dir: Path, tmp_path: Path
) -> None:
    data_dir, source = tmp_path / "data", tmp_path / "source"
    shutil.copytree(omniglot_data_dir, data_dir)
    with (data_dir / "omniglot" / "images.npy").open("r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(DataError, match="damaged"):
        verify_omniglot(data_dir)
    source.mkdir()
    (source / "images_background.zip").symlink_to(omniglot_source / "images_background.zip")
    with zipfile.ZipFile(omniglot_source / "images_evaluation.zip") as archive:
        archive.extractall(source)
    (source / "images_evaluation" / "Angelic" / "character01" / ".DS_Store").write_bytes(b"litter")
    seen: list[tuple[int, int]] = []
    summary = import_omniglot(source, data_dir, progress=lambda done, total: seen.append((done, total)))
    assert summary.written
    assert summary.sha256 == verify_omniglot(omniglot_data_dir).sha256
    assert seen[-1] == (32460, 32460)
    assert [path.name for path in data_dir.iterdir()] == ["omniglot"]


def test_an_import_killed_in_the_middle_leaves_nothing(omniglot_source: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        IMPORT_AND_STOP_IN_THE_MIDDLE,
        str(omniglot_source),
        str(tmp_path / "data"),
    ]
    child = subprocess.run(command, check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert not is_imported(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_data_is_looked_at_and_protocols_are_listed_without_loading_torch_or_numpy() -> None:
    code = (
        "import sys; from pathlib import Path; from experiments.data.omniglot import is_imported;"
        "from experiments.splits.omniglot import class_count;"
        "is_imported(Path('.')); class_count('P-V', 'test');"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_network_is_one_clear_line_that_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody answers
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        DataError, match=r"cannot be downloaded .*`fsrun data import omniglot PATH`$"
    ) as raised:
        fetch_omniglot(tmp_path / "data")
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "data").iterdir()) == []
