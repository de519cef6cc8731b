"""Data sets that tests of every package share, read or drawn once per session."""

import os
import signal
from pathlib import Path

import pytest

# Torch's threads wait for each other on a busy machine; set before torch is loaded, here or in a child.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# One for all homes of the tests, each of which would compile by itself.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "numba"))

# What a shell's & and nohup have set to be ignored, every child would ignore too; with a handler it does not.
for each in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(each) is signal.SIG_IGN:
        signal.signal(each, lambda *_: None)

GLYPH_ALPHABETS = 10
GLYPH_CHARACTERS = 12


@pytest.fixture(scope="session")
def omniglot_source() -> Path:
    """The folder with the two official zips; FSRUN_OMNIGLOT names another one."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "omniglot"
    source = Path(os.environ.get("FSRUN_OMNIGLOT") or beside)
    if not (source / "images_background.zip").is_file():
        pytest.skip(f"no Omniglot in {source}: set FSRUN_OMNIGLOT to the folder with its zips")
    return source


@pytest.fixture(scope="session")
def omniglot_data_dir(omniglot_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the real Omniglot imported; tests must not change it."""
    from experiments.data.omniglot import import_omniglot  # the store's tests need no data

    data_dir = tmp_path_factory.mktemp("data")
    import_omniglot(omniglot_source, data_dir)
    return data_dir


@pytest.fixture(scope="session")
def glyphs_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with glyphs of 10 alphabets of 12 characters, seed 0; others are drawn when opened."""
    from experiments.data.glyphs import open_glyphs  # torch takes seconds to load

    data_dir = tmp_path_factory.mktemp("glyphs")
    open_glyphs(data_dir, GLYPH_ALPHABETS, GLYPH_CHARACTERS, seed=0)
    return data_dir


@pytest.fixture(scope="session")
def miniimagenet_source() -> Path:
    """The folder with the lists and zips of mini-ImageNet; FSRUN_MINIIMAGENET names another one."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "miniimagenet"
    source = Path(os.environ.get("FSRUN_MINIIMAGENET") or beside)
    if not (source / "val.zip").is_file():
        pytest.skip(f"no mini-ImageNet in {source}: set FSRUN_MINIIMAGENET to the folder with its zips")
    return source


@pytest.fixture(scope="session")
def miniimagenet_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with all classes of mini-ImageNet, 16 images of each, drawn here and then imported."""
    from experiments.data.miniimagenet import import_miniimagenet
    from experiments.splits.miniimagenet import all_classes
    from tests.experiments.miniimagenet_cases import write_folders

    data_dir = tmp_path_factory.mktemp("miniimagenet")
    source = write_folders(tmp_path_factory.mktemp("miniimagenet-source"), all_classes(), 16)
    import_miniimagenet(source, data_dir)
    return data_dir
