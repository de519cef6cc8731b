"""`fsrun queue table2` and what `fsrun report --explain` adds to a story."""

import pytest

from experiments.table2 import ROWS
from tests.cli.cli_cases import Case, Typed, assert_refused

CELLS = sum(len(row.shapes) for row in ROWS)


def test_the_whole_table_is_shown_with_its_trainings_and_about_their_time(typed: Typed, home: Case) -> None:
    answer = typed("queue", "table2", "--preset", "cpu", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    _, *rows, effort, last = answer.out.splitlines()
    assert len(rows) == CELLS
    assert rows[0].split()[:3] == ["Pixel-KNN", "5", "1"]
    assert sum("MANN, sequences" in row for row in rows) == 1
    assert effort.startswith("43 trainings; about ")
    assert " on two quiet cores" in effort
    assert last == "Dry run: nothing was stored."
    assert home.statuses() == []


def test_the_table_is_queued_on_glyphs_as_one_sweep(typed: Typed, home: Case) -> None:
    answer = typed("queue", "table2", "--preset", "quick", "--on", "glyphs", "--set", "alphabets=15")
    assert (answer.code, answer.err) == (0, "")
    trainings_and_a_pre_training = 14
    assert len(home.statuses()) == CELLS + trainings_and_a_pre_training


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("queue table2 --preset quick --n-way 5", ["columns of its own", "leave n_way out"]),
        ("queue table2 --preset quick --method maml", ["leave out --method"]),
        ("queue table2 --preset quik", ["did you mean 'quick'"]),
        ("queue table", ["did you mean 'table2'"]),
        (
            "queue omniglot --method cnn --set fit_lr=0.1",
            ["fit_lr=0.1 changes nothing while test=nearest", "test=linear"],
        ),
    ],
)
def test_what_does_not_suit_the_table_is_refused_in_one_line(
    typed: Typed, home: Case, line: str, parts: list[str]
) -> None:
    assert_refused(typed(*line.split()), *parts)
    assert home.statuses() == []


def test_an_explanation_makes_no_database(typed: Typed, home: Case) -> None:
    answer = typed("report", "--explain", "pixel-knn-cosine")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Pixel-KNN in Table 2\n\n")
    assert "Measured here" not in answer.out
    assert not (home.root / "fsrun.db").exists()
