"""What the tests of the dashboard share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.tui_cases import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A database with one worker and a clock that stands still."""
    made = Lab(tmp_path)
    yield made
    made.engine.dispose()
