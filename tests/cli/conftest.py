"""What every test of the command line is given: a home, and a way to type."""

import sys
from pathlib import Path

import pytest

from fsrun.cli import main
from tests.cli.cli_cases import TINY, Answer, Case, Typed, in_its_own_process


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A home that does not exist yet, and is the one commands use."""
    monkeypatch.delenv("FSRUN_DB_URL", raising=False)
    monkeypatch.setenv("FSRUN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")
    return Case(tmp_path / "home")


@pytest.fixture
def typed(home: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command into this process: the real entry point, without the second a new process takes."""

    def answer(*words: str) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["fsrun", *words])
        with pytest.raises(SystemExit) as done:
            main()
        said = capsys.readouterr()
        return Answer(int(done.value.code or 0), said.out, said.err)

    return answer


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A home in which one small synthetic run was carried out by the real command; not to be changed."""
    case = Case(tmp_path_factory.mktemp("finished"))
    answer = in_its_own_process(case, "run", "synthetic", *TINY)
    assert answer.code == 0, answer.err
    return case


@pytest.fixture
def looking(finished_home: Case, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Type a command into this process that looks at the finished home."""
    monkeypatch.setenv("FSRUN_HOME", str(finished_home.root))
    return typed
