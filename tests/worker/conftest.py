"""What every test of the worker is given: a home, and the numbers of a run that nothing disturbed."""

from pathlib import Path

import pytest

from store.results import ResultRow
from tests.cli.cli_cases import Case, Points, in_its_own_process
from tests.worker.worker_cases import LONG


@pytest.fixture
def home(tmp_path: Path) -> Case:
    """An empty home."""
    root = tmp_path / "home"
    root.mkdir()
    return Case(root)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[ResultRow, ...], Points]:
    """All numbers of the long run, carried out by one worker without a break."""
    case = Case(tmp_path_factory.mktemp("undisturbed"))
    answer = in_its_own_process(case, "run", "synthetic", *LONG)
    assert answer.code == 0, answer.err
    return case.numbers(1)
