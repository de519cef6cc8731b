"""`fsrun report`: which options go together, and one line where they do not."""

import json
from pathlib import Path

import pytest

from tests.cli.cli_cases import Typed, assert_refused

WRONG = {
    "nothing asked": ("report", "--table2", "--figure4", "--theory", "--mixture", "--shift"),
    "two asked": ("report --figure4 --theory", "name one report"),
    "a table drawn": ("report --theory --out theory.png", "--theory", "--format"),
    "table 2 drawn": ("report --table2 --out table.png", "--table2", "--format"),
    "a run of table 2": ("report --table2 --run 1", "--run", "newest"),
    "no run": ("report --figure4 --run 0", "--run"),
    "no such run": ("report --theory --run 99", "no run 99"),
    "another ending": ("report --figure4 --out figure.doc", "figure.doc", ".txt", ".tex", ".html", ".pdf"),
    "two formats": ("report --table2 --format latex --out table.md", "table.md", "markdown", ".tex"),
    "a drawn format": ("report --figure4 --format csv --out figure.pdf", "--format", "draws the figure"),
    "all drawn": ("report --all --out all.pdf", "--all", "--format"),
    "all and one": ("report --all --table2", "name one report"),
    "a run of all": ("report --all --run 3", "--run", "--all"),
    "ways of a curve": ("report --figure4 --n-way 5", "--n-way has no effect with --figure4"),
    "a story in a file": ("report --explain mann --out mann.txt", "--out", "--explain"),
    "runs drawn": ("report --figure4 --provenance --out runs.pdf", "--figure4"),
    "a folder": ("report --table2 --out .", ". is a folder", "report.txt"),
    "all of nothing": ("report --all --format html", "nothing is measured yet", "fsrun run synthetic"),
    "json and another": ("report --table2 --json --format csv", "--json", "csv"),
    "json of a story": ("report --explain mann --json", "--format", "--explain"),
    "json of two runs as text": ("compare 1 2 --json --format text", "--json", "text"),
    "json of a screen": ("tui --json", "--json"),
    "json of pictures": ("screenshot overview --json", "--json"),
    "a sweep of nothing": ("report --sweep", "no sweep", "fsrun queue"),
    "lines of table 2": ("report --table2 --by lr", "--by has no effect"),
    "no folder": ("report --figure4 --out /no/such/folder/figure.png", "/no/such/folder"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_go_together_is_refused_in_one_line(typed: Typed, name: str) -> None:
    command, *expected = WRONG[name]
    assert_refused(typed(*command.split()), *expected)


@pytest.mark.parametrize(
    ("report", "remedy"),
    [
        ("--theory", "fsrun run synthetic --preset quick"),
        ("--mixture", "fsrun run synthetic --set condition_number=10"),
        ("--shift", "fsrun run synthetic --set condition_number=10"),
    ],
)
def test_reports_of_an_empty_home_say_what_to_type_first(typed: Typed, report: str, remedy: str) -> None:
    assert_refused(typed("report", report), remedy)


def test_a_row_of_table_2_is_explained_without_any_run(typed: Typed) -> None:
    answer = typed("report", "--explain", "mann")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("MANN in Table 2\n\nThe cell is not a 20-way number")
    assert typed("report", "--explain", "MANN").out == answer.out
    assert typed("report", "--explain", "prototypical net").out.startswith("Prototypical Net in Table 2\n\n")
    assert_refused(typed("report", "--explain", "man"), "man", "did you mean 'mann'?")
    assert_refused(typed("report", "--explain", "mann", "--table2"), "name one report")


def test_the_ending_of_a_file_says_how_to_write_into_it(looking: Typed, tmp_path: Path) -> None:
    begins = {".tex": "% The linear", ".html": "<!DOCTYPE html>", ".md": "**The linear", ".json": "{"}
    for ending, start in begins.items():
        path = tmp_path / f"theory{ending}"
        answer = looking("report", "--theory", "--out", str(path))
        assert (answer.code, answer.out, answer.err) == (0, f"Written into {path}.\n", "")
        assert path.read_text().startswith(start)
    assert json.loads(path.read_text())["runs"][0]["run_id"] == 1
    assert len(list(tmp_path.glob("theory*"))) == len(begins)


def test_all_that_is_measured_makes_one_report_that_names_the_rest(looking: Typed, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert looking("report", "--all", "--out", str(path)).code == 0
    text = path.read_text()
    assert '<section id="figure4"' in text
    assert '<section id="theory"' in text
    assert "--classes omniglot: no 1-shot run on omniglot has finished" in text
    found = json.loads(looking("report", "--all", "--format", "json").out)
    assert {*found} == {"schema", "made", "missing", "figure4", "theory"}
    answer = looking("report", "--all", "--format", "markdown")
    assert answer.out.count("**") == 2 * 3
    assert "Not measured: --table2: type `fsrun queue table2`" in answer.out
    assert_refused(looking("report", "--all", "--format", "csv"), "csv holds one table")


def test_the_runs_behind_a_report_are_told_with_seed_commit_and_machine(looking: Typed) -> None:
    answer = looking("report", "--figure4", "--provenance")
    head, *_ = [line for line in answer.out.splitlines() if "Seed" in line]
    assert {"Run", "Seed", "Preset", "Commit", "torch", "Device"} <= {*head.split()}
    (run,) = json.loads(looking("report", "--figure4", "--provenance", "--format", "json").out)["rows"]
    assert (run["run_id"], run["seed"]) == (1, 0)
    assert run["commit"] == run["provenance"]["commit"]
    assert run["config"]["experiment"] == "synthetic"


def test_reports_as_json_hold_the_values_of_the_table_under_a_schema(looking: Typed) -> None:
    answer = looking("report", "--theory", "--json")
    document = json.loads(answer.out)
    assert document["schema"] == "fsrun/report/1"
    assert any(isinstance(value, float) for row in document["rows"] for value in row.values())
    assert looking("report", "--theory", "--format", "json").out == answer.out
    everything = json.loads(looking("report", "--all", "--json").out)
    assert everything["schema"] == "fsrun/reports/1"
    assert everything["theory"]["rows"] == document["rows"]
