"""`fsrun screenshot`: files of the dashboard's screens, and what it refuses."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.cli_cases import Typed, assert_refused

WRONG = {
    "no such screen": ("screenshot overwiev", "overview"),
    "no size": ("screenshot --size big", "--size 120x36"),
    "too small": ("screenshot --size 10x10", "60x20"),
    "no such theme": ("screenshot --theme drak", "fsrun-dark"),
    "no folder": ("screenshot --out /no/such/folder", "/no/such/folder"),
    "no database": ("screenshot overview", "no database", "queue a run first"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_drawn_is_refused_in_one_line(typed: Typed, name: str) -> None:
    command, *expected = WRONG[name]
    assert_refused(typed(*command.split()), *expected)


def test_screens_are_drawn_from_the_runs_there_are(looking: Typed, tmp_path: Path) -> None:
    answer = looking("screenshot", "overview", "theory", "--size", "90x30", "--out", str(tmp_path))
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"Drawn into {tmp_path / name}.svg." for name in ("overview", "theory")
    ]
    for name, words in (("overview", "Linear"), ("theory", "floor")):
        drawn = "".join(ElementTree.parse(tmp_path / f"{name}.svg").getroot().itertext())
        assert words in drawn
