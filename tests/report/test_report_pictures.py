"""Figures as picture files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fsrun.errors import FsrunError, UsageError
from fsrun.report.canvas import save
from fsrun.report.figure4 import Figure4, figure4
from fsrun.report.pictures import draw_figure4
from tests.report.linear_cases import start
from tests.report.report_cases import fill


@pytest.fixture
def figure(tmp_path: Path, request: pytest.FixtureRequest) -> Figure4:
    filled = fill(tmp_path, request)
    start(filled)
    return figure4(filled.engine)


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_figure_4_becomes_the_kind_of_file_its_ending_says(
    figure: Figure4, tmp_path: Path, ending: str, start: bytes
) -> None:
    path = tmp_path / f"figure4.{ending}"
    save(draw_figure4(figure), path)
    assert path.read_bytes().startswith(start)
    assert [each.name for each in tmp_path.glob("*figure4*")] == [path.name]


def test_the_picture_shows_two_panels_with_ink_in_both(figure: Figure4, tmp_path: Path) -> None:
    save(draw_figure4(figure), tmp_path / "figure4.png")
    with Image.open(tmp_path / "figure4.png") as picture:
        grey = np.asarray(picture.convert("L"))
    left, right = np.array_split(grey, 2, axis=1)
    assert left.min() < 100
    assert right.min() < 100


def test_a_file_that_is_no_picture_is_refused(figure: Figure4, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf"):
        save(draw_figure4(figure), tmp_path / "figure4.txt")


def test_a_folder_that_is_not_there_is_refused(figure: Figure4, tmp_path: Path) -> None:
    with pytest.raises(FsrunError, match="does not exist"):
        save(draw_figure4(figure), tmp_path / "none" / "figure4.png")
