"""`fsrun rerun` and `fsrun compare`: repeating a run, and what is said of its numbers."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from store.upkeep import purge
from tests.cli.cli_cases import TINY, Answer, Case, Typed, assert_refused


@pytest.fixture
def measured(typed: Typed, home: Case) -> Case:
    """The home with one small finished run, which may be changed."""
    assert typed("run", "synthetic", *TINY).code == 0
    return home


def changed(home: Case, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
        database.execute(statement, values)


def test_a_repeated_run_is_identical_and_everyone_says_so(typed: Typed, measured: Case) -> None:
    answer = typed("rerun", "1")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Queued run 2; it repeats run 1.\n")
    assert "fsrun worker --drain" in answer.out
    assert "repeats run 1: queued, nothing to compare yet" in typed("show", "2").words
    assert_refused(
        typed("rerun", "1", "--check"), "run 2, which repeats run 1, is queued", "fsrun worker --drain"
    )

    assert typed("worker", "--drain").code == 0
    assert measured.numbers(1) == measured.numbers(2)
    said = "identical: all 50 episode values of test/loss_ratio are equal, and so are those of"
    for words in (("rerun", "1", "--check"), ("rerun", "2", "--check"), ("compare", "1", "2"), ("show", "2")):
        answer = typed(*words)
        assert (answer.code, answer.err) == (0, "")
        assert said in answer.words
    assert f"repeated by run 2: {said}" in typed("show", "1").words
    found = json.loads(typed("compare", "1", "2", "--format", "json").out)
    assert found["match"] == "identical"
    assert {*found["runs"]} == {"1", "2"}


def test_numbers_that_are_not_the_same_are_told_with_what_made_them(typed: Typed, measured: Case) -> None:
    assert typed("rerun", "1").code == 0
    assert typed("worker", "--drain").code == 0
    first = next(row for row in measured.run(1).results if row.name == "test/loss_ratio")
    values = np.frombuffer(first.episode_values or b"", "<f4")
    shaken = np.tile(np.array([0.01, -0.01], "<f4"), len(values) // 2)

    def came_to(episodes: "np.typing.NDArray[np.float32]") -> Answer:
        statement = "UPDATE result SET value = ?, episode_values = ? WHERE run_id = 2 AND name = ?"
        changed(measured, statement, float(episodes.mean()), episodes.tobytes(), first.name)
        return typed("rerun", "1", "--check")

    changed(measured, "UPDATE attempt SET device = 'cuda' WHERE run_id = 2")
    near = came_to(values + shaken)
    assert near.code == 0
    assert "within the interval: test/loss_ratio of run 2 is" in near.words
    assert "device: cpu, then cuda." in near.words
    far = came_to(values + shaken + np.float32(0.5))
    assert far.code == 1
    assert "not the same: test/loss_ratio of run 2 is +0.5000 ± 0.0028 from that of run 1" in far.words


def test_what_cannot_be_repeated_is_refused_in_one_line(typed: Typed, measured: Case) -> None:
    assert_refused(typed("rerun", "1", "--check"), "run 1 has no repeat yet", "fsrun rerun 1")
    assert_refused(typed("rerun", "99"), "no run 99")
    assert typed("queue", "synthetic", *TINY, "--set", "seed=7").code == 0
    assert_refused(typed("rerun", "2"), "run 2 is queued", "fsrun worker")
    assert_refused(typed("rerun", "1", "2"), "run 2 is queued")
    config = json.loads(measured.run(1).spec.config)
    config["method"]["forgotten"] = 1
    changed(measured, "UPDATE run SET config = ? WHERE id = 1", json.dumps(config))
    assert_refused(typed("rerun", "1"), "run 1 cannot be repeated", "forgotten", "queue it anew")
    assert len(measured.statuses()) == 2


def test_an_option_that_was_not_stored_is_told_before_it_is_guessed(typed: Typed, measured: Case) -> None:
    config = json.loads(measured.run(1).spec.config)
    del config["method"]["steps"]
    changed(measured, "UPDATE run SET config = ?, config_hash = 'older' WHERE id = 1", json.dumps(config))
    answer = typed("rerun", "1")
    assert answer.code == 0
    assert answer.err.startswith("Warning: run 1 was stored by a version without all options of this one")
    assert "method.steps=100000" in answer.err
    assert answer.err.count("\n") == 1


def test_the_run_that_is_started_from_is_shared(typed: Typed, home: Case) -> None:
    options = ("--preset", "quick", "--n-way", "3", "--set", "alphabets=10")
    assert typed("queue", "glyphs", "--method", "cnn-nn", *options).code == 0
    changed(home, "UPDATE job SET status = 'done' WHERE run_id = 2")
    answer = typed("rerun", "2")
    assert "Queued run 3; starting from run 1, already there; it repeats run 2." in answer.words
    assert home.run(3).parents == home.run(2).parents
    assert home.run(3).spec == home.run(2).spec


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("compare 1", ("argument 'B'", "compare --help")),
        ("compare 1 two", ("'two'", "whole number", "write for example fsrun compare 3 5,6")),
        ("compare 1 1", ("run 1", "itself")),
        ("compare 1 99", ("no run 99",)),
        ("compare 1 2 --out table.pdf", (".txt", ".html")),
    ],
)
def test_comparisons_typed_wrong_are_refused(looking: Typed, line: str, parts: tuple[str, ...]) -> None:
    assert_refused(looking(*line.split()), *parts)


def test_a_comparison_is_written_into_a_file(typed: Typed, measured: Case, tmp_path: Path) -> None:
    assert typed("rerun", "1").code == 0
    assert typed("worker", "--drain").code == 0
    path = tmp_path / "same.tex"
    assert typed("compare", "1", "2", "--out", str(path)).out == f"Written into {path}.\n"
    assert "\\caption{Run 1 and its repeat, run 2}" in path.read_text()


def test_a_repeat_outlives_the_run_that_it_repeats(typed: Typed, measured: Case) -> None:
    assert typed("rerun", "1").code == 0
    assert typed("rm", "1").code == 0
    assert purge(measured.engine(), 1, before=time.time() + 1)
    answer = typed("show", "2")
    assert (answer.code, answer.err) == (0, "")
    assert_refused(typed("rerun", "2", "--check"), "run 2 has no repeat yet")


def test_where_no_episodes_were_kept_none_are_said_to_be_equal(typed: Typed, measured: Case) -> None:
    assert typed("rerun", "1").code == 0
    assert typed("worker", "--drain").code == 0
    changed(measured, "UPDATE result SET episode_values = NULL")
    assert "identical: the value of test/loss_ratio is equal" in typed("compare", "1", "2").words
