"""`--gpus` where it cannot be: one line that says what to do instead, and nothing begun."""

from pathlib import Path

import pytest

from tests.cli.cli_cases import Case, Typed, assert_refused
from tests.experiments.imagenet_cases import write_classes

COMMANDS = ("worker", "run synthetic", "data embed folder:animals --backbone run:1")


@pytest.fixture(autouse=True)
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(tmp_path / "animals", {"cat": 2, "dog": 2})
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("--gpus 0", ("--gpus", "greater than or equal to 1")),
        ("--gpus 65", ("--gpus", "less than or equal to 64")),
        ("--gpus 64", ("--gpus 64: torch", "CUDA GPU", "or --device cpu for 64 processes")),
        ("--gpus 64 --device cuda", ("CUDA GPU", "--device cpu")),
        ("--gpus 2 --device gpu", ("unknown device 'gpu'", "auto, cpu, cuda, cuda:N or mps")),
    ],
)
def test_gpus_that_are_not_there_are_refused(
    typed: Typed, home: Case, command: str, words: str, parts: tuple[str, ...]
) -> None:
    answer = typed(*command.split(), *words.split())
    assert_refused(answer, *parts)
    assert answer.code == 2
    assert not home.root.exists()


@pytest.mark.parametrize("engine", ["ray", "slurm"])
def test_an_engine_has_one_gpu_for_a_job(typed: Typed, home: Case, engine: str) -> None:
    answer = typed("worker", "--gpus", "2", "--engine", engine)
    assert_refused(answer, "--gpus is for --engine local", "start fsrun worker --gpus on the machines")
    assert answer.code == 2
    assert not home.root.exists()
