"""`fsrun report`: which options go together, and one line where they do not."""

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
    "no picture": ("report --figure4 --out figure.txt", "figure.txt", ".png, .svg, .pdf"),
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
    assert_refused(typed("report", "--explain", "man"), "man", "did you mean 'mann'?")
    assert_refused(typed("report", "--explain", "mann", "--table2"), "name one report")
