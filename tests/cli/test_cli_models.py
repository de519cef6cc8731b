"""A trained model leaves as a folder, and labels images of classes it has never seen."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from experiments.data.glyphs import open_glyphs
from fsrun.provenance import SECONDS_PER_EPISODE
from fsrun.worker.runner import execute
from store.jobs import JobStatus
from tests.cli.cli_cases import Case, Typed, assert_refused, in_its_own_process
from tests.worker.worker_cases import ask, never, take

SMALL: dict[str, list[Any]] = {"alphabets": [10], "characters": [12], "episodes": [20]}
TRAINED: dict[str, list[Any]] = {
    "filters": [16],
    "pretrain.steps": [40],
    "fastslow.steps": [3],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, glyphs_data_dir: Path) -> Case:
    """A home with a pre-training (run 1), a small Fast/Slow model (2) and a run that waits (3)."""
    case = Case(tmp_path_factory.mktemp("trained"))
    case.data.symlink_to(glyphs_data_dir)
    ask(case, "glyphs", "fastslow", SMALL | TRAINED)
    for _ in range(2):
        taken = take(case)
        execute(case.engine(), case, taken.run_id, taken.attempt, "cpu", never)
    ask(case, "glyphs", "pixel-knn", SMALL)
    assert case.statuses() == [JobStatus.DONE, JobStatus.DONE, JobStatus.QUEUED]
    return case


@pytest.fixture
def using(trained: Case, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Type a command into this process that uses the trained model."""
    monkeypatch.setenv("FSRUN_HOME", str(trained.root))
    return typed


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, glyphs_data_dir: Path) -> Path:
    """Four test characters as images: support/CLASS/N.png, and the first of each again as new/CLASS.png."""
    folder = tmp_path_factory.mktemp("pictures")
    table = open_glyphs(glyphs_data_dir, 10, 12, rotations=False)
    for place, name in enumerate(("alpha", "beta", "gamma", "delta")):
        for drawing in range(4):
            path = folder / (f"support/{name}/{drawing}.png" if drawing < 3 else f"new/{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            ink = table.pixels("test", torch.tensor(5 * place * table.drawers + drawing % 3))[0].numpy()
            Image.fromarray((255 - 255 * ink).astype(np.uint8)).resize((80, 80)).save(path)
    return folder


def words(pictures: Path, *model: str) -> tuple[str, ...]:
    return ("classify", *model, "--support", str(pictures / "support"), "--images", str(pictures / "new"))


def test_an_exported_model_is_plain_files_that_say_what_it_is(using: Typed, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    answer = using("export", "2", "--out", str(folder))
    assert (answer.code, answer.err) == (0, "")
    assert f"fsrun classify --model {folder}" in answer.words
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors", "config.json", "splits.json", "provenance.json", "runs.json"
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        names = set(weights.keys())
    assert {"backbone.blocks.0.0.weight", "learner.output.weight"} <= names
    config, splits, provenance = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("config", "splits", "provenance")
    )
    assert config["method"]["name"] == "fastslow"
    assert len(splits["test"]) == 2 * 12 * 4
    assert set(splits["test"]).isdisjoint(splits["base"] + splits["meta"] + splits["val"])
    assert provenance["results"][0]["name"] == "test/accuracy"
    assert provenance["starts_from"] == [1]
    assert SECONDS_PER_EPISODE in provenance["made_with"]


def test_a_model_labels_new_images_the_same_from_its_run_and_from_its_export(
    using: Typed, trained: Case, pictures: Path, tmp_path: Path
) -> None:
    by_run = using(*words(pictures, "--run", "2"), "--format", "json")
    assert (by_run.code, by_run.err) == (0, "")
    using("export", "2", "--out", str(tmp_path / "model"))
    elsewhere = Case(tmp_path / "elsewhere")  # no database and no data
    exported = words(pictures, "--model", str(tmp_path / "model"))
    by_folder = in_its_own_process(elsewhere, *exported, "--format", "json")
    assert (by_folder.code, by_folder.err) == (0, "")
    rows, same = (json.loads(answer.out)["rows"] for answer in (by_run, by_folder))
    assert rows == same
    assert not (elsewhere.root / "fsrun.db").exists()
    assert [Path(row["image"]).stem for row in rows] == ["alpha", "beta", "delta", "gamma"]
    for row in rows:
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probability"] == max(row["probabilities"].values()) == row["probabilities"][row["class"]]
    right = [Path(row["image"]).stem == row["class"] for row in rows]
    assert sum(right) >= 3  # of four drawings that were among the examples


def test_text_and_csv_say_how_the_images_were_read(using: Typed, pictures: Path) -> None:
    text = using(*words(pictures, "--run", "2")).words
    assert "Examples: 12 images; 12 dark on a bright border, inverted; 12 scaled to 28 x 28" in text
    assert "Labelled: 4 images" in text
    assert "%" in text
    table = list(csv.DictReader(StringIO(using(*words(pictures, "--run", "2"), "--format", "csv").out)))
    assert {row["class"] for row in table} <= {"alpha", "beta", "gamma", "delta"}
    assert all(0.25 <= float(row["probability"]) <= 1 for row in table)
    assert {row["converted"] for row in table} == {"dark on a bright border, inverted; scaled to 28 x 28"}


def test_one_image_may_be_named_instead_of_a_folder(using: Typed, pictures: Path) -> None:
    one = ("--support", str(pictures / "support"), "--images", str(pictures / "new" / "beta.png"))
    answer = using("classify", "--run", "2", *one, "--format", "csv")
    assert (answer.code, len(answer.out.splitlines())) == (0, 2)


def test_images_that_cannot_be_read_are_named_and_the_others_labelled(
    using: Typed, pictures: Path, tmp_path: Path
) -> None:
    for path in (pictures / "new").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"no image")
    named = ("--support", str(pictures / "support"), "--images", str(tmp_path), "--format", "csv")
    answer = using("classify", "--run", "2", *named)
    assert len(answer.out.splitlines()) == 5
    assert_refused(answer, "1 of 5 images were left out", "broken.png cannot be read as an image")


def test_a_support_that_is_no_task_is_refused(using: Typed, pictures: Path, tmp_path: Path) -> None:
    images = ("--images", str(pictures / "new"))
    assert_refused(using("classify", "--run", "2", "--support", str(tmp_path), *images), "no sub-folders")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert_refused(
        using("classify", "--run", "2", "--support", str(tmp_path), *images), "one holds no images"
    )
    nowhere = str(tmp_path / "nowhere")
    assert_refused(using("classify", "--run", "2", "--support", nowhere, *images), "nowhere is not a folder")
    support = ("--support", str(pictures / "support"))
    assert_refused(using("classify", "--run", "2", *support, "--images", nowhere), "nowhere is not a folder")


def test_what_is_no_trained_model_is_refused(using: Typed, pictures: Path, tmp_path: Path) -> None:
    assert_refused(using(*words(pictures)), "--run RUN", "--model DIR")
    assert_refused(using(*words(pictures, "--run", "2", "--model", "x")), "name one model")
    assert_refused(using(*words(pictures, "--run", "3")), "run 3 is queued", "only a finished run")
    assert_refused(using(*words(pictures, "--run", "99")), "no run 99")
    assert_refused(using(*words(pictures, "--model", str(tmp_path))), "is not an exported model")
    (tmp_path / "config.json").write_text('{"experiment": "glyphs"')
    assert_refused(using(*words(pictures, "--model", str(tmp_path))), "config.json is damaged")
    assert_refused(using(*words(pictures, "--run", "2", "--device", "tpu")), "'tpu'")


def test_weights_that_are_gone_or_damaged_are_refused(using: Typed, pictures: Path, tmp_path: Path) -> None:
    using("export", "2", "--out", str(tmp_path / "model"))
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:300])
    assert_refused(
        using(*words(pictures, "--model", str(tmp_path / "model"))), "model.safetensors", "cannot be read"
    )
    weights.unlink()
    assert_refused(using(*words(pictures, "--model", str(tmp_path / "model"))), "model.safetensors")


def test_an_export_never_replaces_anything(using: Typed, tmp_path: Path) -> None:
    assert_refused(using("export", "2", "--out", str(tmp_path)), "is there already")
    assert_refused(using("export", "3", "--out", str(tmp_path / "new")), "run 3 is queued")
    assert_refused(using("export", "2", "--out", "/proc/model"), "cannot be written")
    assert list(tmp_path.iterdir()) == []
