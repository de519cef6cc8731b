"""Reports as a page: whole by itself, readable by all, sorted by a click, read off by pointer and key."""

import json
import re
from pathlib import Path

import pytest

from fsrun.report.classes_drawing import classes_report
from fsrun.report.formats import Format
from fsrun.report.linear_reports import figure4_report
from fsrun.report.render import Column, Table, render
from fsrun.report.report import Report, of_table, together, written
from fsrun.report.table import field
from fsrun.report.table2 import table2
from tests.report.linear_cases import finished
from tests.report.page_cases import in_browser, printed, read
from tests.report.report_cases import Filled, fill

SORTED = Table.of(
    "Sorted",
    (
        Column("Group", field("group"), repeats=True),
        Column("Name", field("name")),
        Column("Value", field("value", "{:,} ± 0.1".format, "not run"), "value", numeric=True),
    ),
    [
        {"group": "one", "name": "b", "value": 9.5},
        {"group": "one", "name": "a", "value": None},
        {"group": "two", "name": "C", "value": 1692},
        {"group": "two", "name": "d", "value": -3},
    ],
    dict,
    notes=("Type `fsrun ls`.",),
)


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


@pytest.fixture
def reports(filled: Filled) -> list[Report]:
    finished(filled)
    for n_way in (5, 20, 100):
        filled.measure("fastslow", 0.97, settings={"n_way": [n_way]})
        filled.measure("protonet", 0.95, settings={"n_way": [n_way]})
    return [
        of_table("report --table2", table2(filled.engine)),
        classes_report(filled.engine, "omniglot"),
        figure4_report(filled.engine),
    ]


def page_of(reports: list[Report]) -> str:
    return together(reports, ["--mixture: type `fsrun run synthetic`"], Format.HTML, made="Made by hand.")


def test_the_page_is_well_formed_and_asks_for_nothing_beside_itself(reports: list[Report]) -> None:
    html = page_of(reports)
    page = read(html)
    assert page.wrong == []
    for element in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            target = element.attributes.get(name, "#")
            assert target.startswith("#"), (element.tag, name, target)
        assert element.tag not in ("link", "iframe", "object", "base")
    assert not re.search(r"url\((?!#)|@import", html)
    (policy,) = [each for each in page.all("meta") if "http-equiv" in each.attributes]
    assert "default-src 'none'" in policy.attributes["content"]


def test_headings_labels_and_ids_lead_readers_of_all_kinds(reports: list[Report]) -> None:
    page = read(page_of(reports))
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    ids = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
    assert len(ids) == len({*ids})
    for element in page.elements:
        for name in ("aria-labelledby", "href", "xlink:href"):
            target = element.attributes.get(name, "").removeprefix("#")
            assert target in ("", *ids)
    tables = page.all("table")
    assert (
        len(page.all("caption")) == len(tables) == 7
    )  # three reports with four tables, and the runs of each
    for cell in page.all("th"):
        assert cell.attributes["scope"] == ("col" if "thead" in cell.around else "row")
        assert ("aria-sort" in cell.attributes) == ("thead" in cell.around)
    assert [each.text for each in page.all("h1")] == ["Reports"]
    assert len(page.all("h2")) == 4
    assert "Not measured yet" in page.all("h2")[-1].text


def test_one_report_is_a_page_of_its_own(filled: Filled) -> None:
    filled.measure("protonet", 0.92)
    page = read(written(of_table("report --table2", table2(filled.engine)), Format.HTML))
    assert [each.text for each in page.all("h1")] == ["Table 2: Omniglot and mini-ImageNet accuracy, %"]
    assert page.all("h2") == page.all("nav") == []
    assert any("92.00 ± 0.40" in each.text for each in page.all("td"))
    (runs,) = page.all("details")
    assert "c0ffee" in runs.text


def test_what_could_steer_the_page_is_only_shown() -> None:
    bad = "</script><script>alert(1)</script>\"'&"
    table = Table.of(bad, [Column(bad, field("a"))], [{"a": bad}], dict, notes=(bad,))
    page = read(render(table, Format.HTML))
    assert page.wrong == []
    assert len(page.all("script")) == 1
    assert bad in page.all("th")[-1].text


def test_curves_carry_their_values_with_intervals(reports: list[Report]) -> None:
    page = read(page_of(reports))
    classes, figure4 = [json.loads(each.text) for each in page.all("script") if each.attributes]
    (accuracy,) = classes
    assert [line["name"] for line in accuracy["lines"]] == ["Prototypical Net", "Fast/Slow"]
    assert accuracy["lines"][1]["points"][0][2] == "5 classes: 97.00 ± 0.40 %"
    left, right = figure4
    assert [line["name"] for line in left["lines"]] == ["measured", "expected"]
    x, y, text = left["lines"][0]["points"][0]
    assert text == "200 tasks: 0.8 (0.8 to 0.8)"
    assert left["frame"][0] <= x <= left["frame"][2] < right["frame"][0]
    assert left["frame"][1] <= y <= left["frame"][3]


def test_a_click_on_a_heading_sorts_and_says_so(tmp_path: Path) -> None:
    script = """
      const said = () => [
        [...document.querySelectorAll("thead th")].map((th) => th.getAttribute("aria-sort")),
        [...document.querySelectorAll("tbody tr")].map((tr) => tr.cells[1].textContent),
      ];
      const buttons = document.querySelectorAll("thead button");
      const answers = [said()];
      for (const which of [2, 2, 2, 1, 0]) { buttons[which].click(); answers.push(said()); }
      return answers;
    """
    none, up, down = "none", "ascending", "descending"
    assert in_browser(render(SORTED, Format.HTML), script, tmp_path) == [
        [[none, none, none], ["b", "a", "C", "d"]],
        [[none, none, down], ["C", "b", "d", "a"]],  # what is not measured comes last
        [[none, none, up], ["d", "b", "C", "a"]],
        [[none, none, none], ["b", "a", "C", "d"]],
        [[none, up, none], ["a", "b", "C", "d"]],
        [[up, none, none], ["b", "a", "C", "d"]],  # a cell that repeats the one above is sorted with it
    ]


def test_the_pointer_and_the_keys_read_the_curves(reports: list[Report], tmp_path: Path) -> None:
    script = """
      const figure = document.querySelector("#figure4 figure");
      const svg = figure.querySelector("svg"), value = figure.querySelector(".value");
      const [panel] = JSON.parse(figure.querySelector("script").textContent);
      const [x, y] = panel.lines[0].points[1];
      const place = new DOMPoint(x + 2, y - 1).matrixTransform(svg.getScreenCTM());
      const at = { clientX: place.x, clientY: place.y, bubbles: true };
      const said = () => value.hidden ? null : value.textContent;
      const answers = [said()];
      svg.dispatchEvent(new PointerEvent("pointermove", at)); answers.push(said());
      for (const key of ["ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowDown", "Escape"]) {
        figure.dispatchEvent(new KeyboardEvent("keydown", { key })); answers.push(said());
      }
      svg.dispatchEvent(new PointerEvent("pointermove", at));
      svg.dispatchEvent(new PointerEvent("pointerleave", at)); answers.push(said());
      return answers;
    """
    hidden, over, right, left, first, still, below, escaped, gone = in_browser(
        page_of(reports), script, tmp_path
    )
    assert hidden is escaped is gone is None
    assert over == left == "measured400 tasks: 0.4 (0.4 to 0.4)"
    assert right == "measured600 tasks: 0.2 (0.2 to 0.2)"
    assert first == still == "measured200 tasks: 0.8 (0.8 to 0.8)"
    assert below.startswith("expected200 tasks: ")


@pytest.mark.parametrize(("scheme", "darker"), [("1", False), ("0", True)])
def test_the_page_is_light_or_dark_as_its_reader_likes(
    reports: list[Report], tmp_path: Path, scheme: str, darker: bool
) -> None:
    script = """
      const sum = (colour) => colour.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
      const text = document.querySelector("figure svg"), style = getComputedStyle;
      return [sum(style(document.body).backgroundColor), sum(style(text).fill)];
    """
    flag = f"--blink-settings=preferredColorScheme={scheme}"
    ground, ink = in_browser(page_of(reports), script, tmp_path, flag)
    assert (ground < ink) is darker
    assert abs(ground - ink) > 400


def test_the_page_can_be_printed(reports: list[Report], tmp_path: Path) -> None:
    assert printed(page_of(reports), tmp_path).startswith(b"%PDF")
