"""A trained model leaves one home as a folder, and in another one runs start from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from fsrun.worker.runner import execute
from store.jobs import JobStatus
from tests.cli.cli_cases import Case, Typed, assert_refused
from tests.worker.worker_cases import ask, never, take

SMALL: dict[str, list[Any]] = {
    "alphabets": [10],
    "characters": [12],
    "episodes": [20],
    "filters": [8],
    "pretrain.steps": [20],
    "fastslow.steps": [3],
}


def carry_out(case: Case) -> None:
    while JobStatus.QUEUED in case.statuses():
        taken = take(case)
        execute(case.engine(), case, taken.run_id, taken.attempt, "cpu", never)
    assert set(case.statuses()) == {JobStatus.DONE}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, glyphs_data_dir: Path) -> Case:
    """A home with a pre-training (run 1) and Fast/Slow that started from it (2)."""
    case = Case(tmp_path_factory.mktemp("theirs"))
    case.data.symlink_to(glyphs_data_dir)
    ask(case, "glyphs", "fastslow", SMALL)
    carry_out(case)
    return case


@pytest.fixture
def model(theirs: Case, home: Case, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The exported pre-training; what is typed from here on is typed in a home that knows nothing of it."""
    folder = tmp_path / "model"
    monkeypatch.setenv("FSRUN_HOME", str(theirs.root))
    said = typed("export", "1", "--out", str(folder))
    assert f"Or: fsrun import {folder}, in another home" in said.words
    monkeypatch.setenv("FSRUN_HOME", str(home.root))
    return folder


def test_runs_start_from_an_imported_model_and_measure_what_they_would_have_there(
    theirs: Case, home: Case, typed: Typed, model: Path, glyphs_data_dir: Path
) -> None:
    answer = typed("import", str(model))
    assert (answer.code, answer.err) == (0, "")
    assert f"Imported run 1 with its weights from {model}" in answer.words
    home.data.symlink_to(glyphs_data_dir)
    ask(home, "glyphs", "fastslow", SMALL)
    assert home.statuses() == [JobStatus.DONE, JobStatus.QUEUED]  # nothing is pre-trained again
    carry_out(home)
    assert home.run(2).parents == (1,)
    assert home.numbers(2) == theirs.numbers(2)
    assert home.run(1).tags == ("imported",)


def test_weights_come_after_the_run_where_that_was_imported_alone(
    theirs: Case, home: Case, typed: Typed, model: Path
) -> None:
    typed("import", str(model / "runs.json"))
    ask(home, "glyphs", "fastslow", SMALL)
    assert home.statuses() == [JobStatus.DONE, JobStatus.QUEUED, JobStatus.QUEUED]  # it left nothing
    assert "Imported run 1 with its weights" in typed("import", str(model)).words
    assert home.run(1).checkpoints[0].sha256 == theirs.run(1).checkpoints[0].sha256
    assert f"Run 1 has the weights of {model} already." in typed("import", str(model)).words


def test_an_imported_model_is_exported_again_as_it_came(
    home: Case, typed: Typed, model: Path, tmp_path: Path
) -> None:
    typed("import", str(model))
    assert typed("export", "1", "--out", str(tmp_path / "again")).code == 0
    for name in ("model.safetensors", "config.json", "splits.json"):
        assert (tmp_path / "again" / name).read_bytes() == (model / name).read_bytes()


def test_damaged_weights_are_refused_and_nothing_is_taken_in(home: Case, typed: Typed, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert_refused(typed("import", str(model)), "model.safetensors is damaged", "export the model again")
    assert home.statuses() == []


@pytest.mark.parametrize("name", ["model.safetensors", "provenance.json", "runs.json"])
def test_a_folder_that_lacks_something_is_refused(home: Case, typed: Typed, model: Path, name: str) -> None:
    (model / name).unlink()
    assert_refused(
        typed("import", str(model)), f"is not a model that can be imported: it lacks {name}: name a"
    )
    assert home.statuses() == []


def test_facts_of_a_model_that_make_no_sense_are_refused(home: Case, typed: Typed, model: Path) -> None:
    path = model / "provenance.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"run": "many"}))
    assert_refused(typed("import", str(model)), "provenance.json is damaged: export the model again")
    path.write_text(json.dumps(facts | {"run": 9}))
    assert_refused(typed("import", str(model)), "runs.json belongs to another model: export the model again")
    path.write_text("[]")
    assert_refused(typed("import", str(model)), "provenance.json is damaged: export the model again")
    assert home.statuses() == []
