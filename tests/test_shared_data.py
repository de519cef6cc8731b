"""Data sets at a URL: published by one machine, fetched and checked by the others."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.data.storage import read_summary, verify_dataset, write_dataset
from experiments.datasets import folders_needed
from experiments.errors import DataError
from experiments.sweeps import Sweep, plan
from fsrun.paths import Home
from fsrun.shared_data import fetch, publish
from tests.cli.cli_cases import Case, assert_refused, in_its_own_process

pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'fsrun[cloud]'")


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FSRUN_STORAGE", f"file://{tmp_path}/storage")
    return tmp_path / "storage"


@pytest.fixture
def here(tmp_path: Path) -> Home:
    return Home(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Home:
    return Home(tmp_path / "there")


def imported(home: Home, ink: int) -> None:
    """Import a tiny data set, all of one grey."""
    write_dataset(home.data / "omniglot", np.full((3, 2, 4, 4), ink, np.uint8), ["a", "b", "c"])


def test_a_data_set_is_fetched_once_and_again_when_it_was_imported_anew(
    storage: Path, here: Home, there: Home
) -> None:
    imported(here, 7)
    assert publish(here, "omniglot") == f"file://{storage}/data/omniglot"
    fetch(there, ["omniglot", "miniimagenet"])
    assert verify_dataset(there.data / "omniglot").sha256 == read_summary(here.data / "omniglot").sha256
    assert not (there.data / "miniimagenet").exists()

    (there.data / "omniglot" / "kept").touch()
    fetch(there, ["omniglot"])
    assert (there.data / "omniglot" / "kept").exists(), "it was fetched a second time"

    imported(here, 8)
    publish(here, "omniglot")
    fetch(there, ["omniglot"])
    assert verify_dataset(there.data / "omniglot").sha256 == read_summary(here.data / "omniglot").sha256


def test_a_damaged_or_missing_object_is_refused_and_what_was_here_stays(
    storage: Path, here: Home, there: Home
) -> None:
    imported(there, 7)
    imported(here, 8)
    publish(here, "omniglot")
    (images,) = storage.rglob("*-images.npy")
    images.write_bytes(images.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match=r"-images.npy is damaged or gone .*: import the data set again"):
        fetch(there, ["omniglot"])
    images.unlink()
    with pytest.raises(DataError, match="is damaged or gone"):
        fetch(there, ["omniglot"])
    assert verify_dataset(there.data / "omniglot").images == 6
    publish(here, "omniglot")  # what is missing is written again
    fetch(there, ["omniglot"])


@pytest.mark.parametrize("listed", ["{", "[]", "{}", '{"index.json": "ab", "../../x": "cd"}'])
def test_a_list_of_files_that_is_none_is_refused(storage: Path, there: Home, listed: str) -> None:
    place = storage / "data" / "omniglot"
    place.mkdir(parents=True)
    (place / "files.json").write_text(listed)
    with pytest.raises(DataError, match=r"files.json is damaged: import the data set again"):
        fetch(there, ["omniglot"])


def test_runs_say_which_data_sets_they_and_what_they_start_from_need() -> None:
    def of(experiment: str, method: str, **settings: list[str]) -> set[str]:
        return set(
            folders_needed(each.config for each in plan(Sweep(experiment, (method,), settings=settings)))
        )

    assert of("omniglot", "fastslow") == {"omniglot"}
    assert of("miniimagenet", "protonet") == {"miniimagenet"}
    assert of("imagenet", "protonet", features=["mine"]) == {"features/mine"}
    assert of("glyphs", "protonet") == of("synthetic", "linear") == set()


def test_what_one_home_imports_another_queues_without_an_import(
    storage: Path, tmp_path: Path, omniglot_source: Path
) -> None:
    here, there = Case(tmp_path / "here"), Case(tmp_path / "there")
    answer = in_its_own_process(here, "data", "import", "omniglot", str(omniglot_source), seconds=280)
    assert answer.code == 0, answer.err
    assert f"Kept at file://{storage}/data/omniglot: other machines fetch it" in answer.out
    assert in_its_own_process(there, "queue", "omniglot", "--method", "pixel-knn").code == 0
    assert in_its_own_process(there, "data", "verify", "omniglot").code == 0
    assert set(json.loads((storage / "data" / "omniglot" / "files.json").read_text())) == {
        "images.npy",
        "index.json",
    }


def test_a_storage_out_of_reach_is_said_when_a_run_is_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FSRUN_STORAGE", f"file://{tmp_path}/file/lab")
    answer = in_its_own_process(Case(tmp_path / "home"), "queue", "omniglot", "--method", "pixel-knn")
    assert_refused(answer, "data/omniglot/files.json cannot be read", "see that this machine reaches it")


def test_features_travel_with_all_their_shards_and_without_the_locks_of_their_making(
    storage: Path, here: Home, there: Home
) -> None:
    folder = here.data / "features" / "mine"
    folder.mkdir(parents=True)
    files = {"index.json": "{}", "plan.json": "{}", "shard-0.npy": "0", "shard-1.npy": "1"}
    for name, text in (files | {"shard-2.lock": "", "shard-2.partial": ""}).items():
        (folder / name).write_text(text)
    publish(here, "features/mine")
    fetch(there, ["features/mine"])
    assert {path.name: path.read_text() for path in (there.data / "features" / "mine").iterdir()} == files
