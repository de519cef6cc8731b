"""`fsrun ls`: which runs, in which order, and one line for the seeds of a config."""

import pytest

from store import queue
from store.results import ResultRow
from tests.cli.cli_cases import Case, Typed, assert_refused

ACCURACIES = {1: 0.91, 2: 0.93, 3: 0.95, 4: 0.97}


@pytest.fixture
def listed(typed: Typed, home: Case) -> Typed:
    """Two seeds of two rates, measured, and a run of another method that waits."""
    glyphs = ("queue", "glyphs", "--preset", "quick", "--n-way", "5")
    typed(*glyphs, "--method", "protonet", "--set", "lr=0.01,0.1", "--seeds", "2")
    typed(*glyphs, "--method", "pixel-knn")
    engine = home.engine()
    for run_id, accuracy in ACCURACIES.items():
        job = queue.claim(engine, "w", now=1.0, lease_seconds=60, device="cpu", provenance={})
        assert job is not None
        assert job.run_id == run_id
        queue.finish(
            engine, run_id, job.attempt, [ResultRow("test/accuracy", accuracy, 0.005, 1000)], now=2.0
        )
    return typed


def numbers(listed: Typed, *words: str) -> list[str]:
    """Return the first word of every line of the list."""
    return [line.split()[0] for line in listed("ls", *words).out.splitlines()[1:]]


def test_words_choose_runs_as_the_dashboards_search_does(listed: Typed) -> None:
    assert numbers(listed) == ["5", "4", "3", "2", "1"]
    assert numbers(listed, "variant:lr=0.1") == ["4", "3"]
    assert numbers(listed, "protonet", "seed:0") == ["3", "1"]
    assert numbers(listed, "--", "-status:done") == ["5"]
    assert numbers(listed, "seed:1", "--status", "done") == ["4", "2"]
    assert listed("ls", "maml").out == "No runs match maml.\n"
    assert listed("ls", "maml", "--status", "failed").out == "No runs are failed and match maml.\n"


def test_the_best_come_first_where_asked_and_what_has_no_value_last(listed: Typed) -> None:
    assert numbers(listed, "--sort", "newest") == ["4", "3", "2", "1", "5"]
    assert numbers(listed, "--sort", "seed") == ["5", "3", "1", "4", "2"]
    lines = listed("ls", "--sort", "newest", "--limit", "1").out.splitlines()
    assert lines[1].split()[0] == "4"
    assert lines[-1] == "... and 4 more: fsrun ls --limit 5"


def test_seeds_are_one_line_with_their_mean_and_interval(listed: Typed) -> None:
    head, *rows = listed("ls", "--group", "--sort", "newest").out.splitlines()
    assert head.split() == ["runs", "status", "what", "variant", "mean"]
    # Two seeds 0.02 apart: Student's t of one degree of freedom, 12.706 x 0.0141 / sqrt(2), beside 0.005
    assert [row.split() for row in rows] == [
        ["3-4", "2✓", "glyphs", "protonet", "5w1s", "lr=0.1", "test", "96±13%"],
        ["1-2", "2✓", "glyphs", "protonet", "5w1s", "lr=0.01", "test", "92±13%"],
        ["5", "1○", "glyphs", "pixel-knn", "5w1s"],
    ]


def test_columns_and_states_that_do_not_exist_are_refused(listed: Typed) -> None:
    assert_refused(listed("ls", "--sort", "accuracy"), "unknown column 'accuracy'", "newest")
    assert_refused(listed("ls", "--status", "ready"), "unknown status 'ready'", "queued")
