"""What the tests of the dashboard share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.report_cases import Filled
from tests.tui.tui_cases import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A database with one worker and a clock that stands still."""
    made = Lab(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    """A database for runs with the numbers a test asks for."""
    made = Filled(tmp_path)
    yield made
    made.engine.dispose()
