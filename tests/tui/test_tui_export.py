"""Writing what a screen shows into a file: which, where, and never over one without asking."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from fsrun.report.render import Column, Table
from fsrun.report.table import field
from fsrun.tui.exporting import NotWritten, free_name, of_table, of_text, write
from fsrun.tui.screens.export import ExportForm
from fsrun.tui.screens.run import RunScreen
from tests.report.linear_cases import finished
from tests.report.report_cases import Filled
from tests.tui.tui_cases import Lab, dashboard_of, is_open, shows, until, use

TABLE = Table.of("T", [Column("a", field("a")), Column("b", field("b"))], [{"a": "x", "b": 1.5}], dict)


async def choose(pilot: Pilot[None], what: str, path: Path) -> None:
    """Open the form, go to one of its lines and write a name."""
    await pilot.press("x")
    await until(pilot, is_open(pilot, ExportForm))
    options = pilot.app.screen.query_one(OptionList)
    words = [str(option.prompt) for option in options.options]
    options.highlighted = words.index(what)
    await pilot.pause()
    pilot.app.screen.query_one(Input).value = str(path)
    await pilot.press("enter")


def test_the_picture_of_any_screen_is_written_as_svg(lab: Lab, tmp_path: Path) -> None:
    lab.ask("synthetic")
    target = tmp_path / "overview.svg"

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        await choose(pilot, "screen as .svg", target)
        await until(pilot, shows(pilot, "the screen is in"))
        assert "".join(ElementTree.parse(target).getroot().itertext()).count("Linear") >= 1
        assert "enter writes" not in target.read_text()  # the screen, not the question

    use(lab.dashboard(), steps, (120, 40))


def test_the_suggested_name_is_free_and_follows_what_is_chosen(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fsrun-table2.svg").touch()

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, shows(pilot, "Table 2", "Pixel-KNN"))
        await pilot.press("x")
        await until(pilot, is_open(pilot, ExportForm))
        field = pilot.app.screen.query_one(Input)
        await until(pilot, lambda: field.value == str(tmp_path / "fsrun-table2-2.svg"))
        await pilot.press("down")
        await until(pilot, lambda: field.value == str(tmp_path / "fsrun-table2.csv"))
        field.value = str(tmp_path / "mine.csv")
        await pilot.press("down")
        await until(pilot, lambda: field.value == str(tmp_path / "mine.md"))
        await pilot.press("enter")
        await until(pilot, shows(pilot, "the table is in"))
        assert (tmp_path / "mine.md").read_text().startswith("**Table 2")

    use(lab.dashboard(), steps, (120, 40))


def test_a_file_that_exists_is_replaced_only_after_asking(lab: Lab, tmp_path: Path) -> None:
    target = tmp_path / "mine.csv"
    target.write_text("precious")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, shows(pilot, "Pixel-KNN"))
        await choose(pilot, "table as .csv", target)
        await until(pilot, shows(pilot, "mine.csv exists: enter once more replaces it"))
        await pilot.press("escape")
        assert target.read_text() == "precious"
        await choose(pilot, "table as .csv", target)
        await until(pilot, shows(pilot, "exists: enter once more"))
        await pilot.press("enter")
        await until(pilot, shows(pilot, "the table is in"))
        rows = list(csv.DictReader(target.read_text().splitlines()))
        assert "Pixel-KNN" in [row["title"] for row in rows]

    use(lab.dashboard(), steps, (120, 40))


def test_theory_gives_its_chart_its_points_and_all_of_it(filled: Filled, tmp_path: Path) -> None:
    finished(filled)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, shows(pilot, "Lemma 2"))
        for what, ending in (
            ("chart", ".png"),
            ("table of points", ".csv"),
            ("report", ".md"),
            ("report", ".json"),
        ):
            await choose(pilot, f"{what} as {ending}", tmp_path / f"theory{ending}")
            await until(pilot, lambda what=what: f"the {what} is in" in pilot.app.notice)  # type: ignore[misc,attr-defined]

    use(dashboard_of(filled), steps, (120, 60))
    assert (tmp_path / "theory.png").read_bytes().startswith(b"\x89PNG")
    points = list(csv.DictReader((tmp_path / "theory.csv").read_text().splitlines()))
    assert [float(point["loss_ratio"]) for point in points] == [0.8, 0.4, 0.2]
    assert "Lemma 2" in (tmp_path / "theory.md").read_text()
    assert json.loads((tmp_path / "theory.json").read_text())["claims"]


def test_a_name_that_cannot_be_is_refused_in_one_line(lab: Lab, tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await choose(pilot, "screen as .svg", tmp_path / "nowhere" / "a.svg")
        await until(pilot, shows(pilot, "there is no folder"))
        field = pilot.app.screen.query_one(Input)
        field.value = str(tmp_path / "a.docx")
        await pilot.press("enter")
        await until(pilot, shows(pilot, "the name must end in one of .svg"))

    use(lab.dashboard(), steps, (160, 40))


def test_writing_says_where_and_refuses_what_it_may_not_touch(tmp_path: Path) -> None:
    export = of_table(TABLE)[0]
    target = tmp_path / "table.csv"
    assert write(export, target) == f"the table is in {target}"
    assert target.read_text() == "a,b\nx,1.5\n"
    with pytest.raises(NotWritten, match="exists already"):
        write(export, target)
    with pytest.raises(NotWritten, match="no folder"):
        write(export, tmp_path / "no" / "table.csv")
    assert write(of_text("table", ".csv", lambda: "new"), target, replace=True)
    assert target.read_text() == "new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert free_name(tmp_path, "table", ".csv").name == "table-2.csv"


def test_the_list_and_the_curves_of_a_run_are_written_too(lab: Lab, tmp_path: Path) -> None:
    (run_id,) = lab.ask("glyphs", "protonet")
    lab.report(lab.work(run_id), [20, 40], {"train/loss": lambda step: 1 / step})
    (measured,) = lab.ask("synthetic")
    lab.finish(lab.work(measured), "test/loss_ratio", 0.31)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "running"))
        await choose(pilot, "table as .csv", tmp_path / "runs.csv")
        await until(pilot, shows(pilot, "the table is in"))
        await pilot.press("enter")
        await until(pilot, is_open(pilot, RunScreen))
        await choose(pilot, "table of points as .csv", tmp_path / "curves.csv")
        await until(pilot, shows(pilot, "the table of points is in"))

    use(lab.dashboard(), steps, (160, 40))
    done, row = csv.DictReader((tmp_path / "runs.csv").read_text().splitlines())
    assert (row["run_id"], row["status"]) == (str(run_id), "running")
    assert row["test/loss_ratio"] == ""
    assert [float(done[f"test/loss_ratio{part}"]) for part in ("", "_interval")] == [0.31, 0.0012]
    assert (done["newest_name"], float(done["newest"])) == ("test/loss_ratio", 0.31)
    points = list(csv.DictReader((tmp_path / "curves.csv").read_text().splitlines()))
    assert [(point["step"], float(point["last"])) for point in points] == [("20", 0.05), ("40", 0.025)]
