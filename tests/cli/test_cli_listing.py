"""`fsrun ls`: which runs, in which order, and one line for the seeds of a config."""

from dataclasses import replace

import pytest
from rich.console import Console

from fsrun.cli.foreground import show_results
from store import queue
from store.results import ResultRow
from store.runs import RunRequest, enqueue
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused

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
    assert lines[-1] == "first 1 of 5; --limit 0 for all"
    assert numbers(listed, "--sort", "newest", "--reverse") == ["1", "2", "3", "4", "5"]


def test_the_lowest_loss_ratio_is_the_best_and_the_highest_accuracy(listed: Typed, home: Case) -> None:
    listed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002")
    engine = home.engine()
    for run_id, ratio in ((6, 0.9), (7, 0.2)):
        job = queue.claim(engine, "w", now=1.0, lease_seconds=60, only=[run_id])
        assert job is not None
        queue.finish(engine, run_id, job.attempt, [ResultRow("test/loss_ratio", ratio, 0.01, 50)], now=2.0)
    assert numbers(listed, "synthetic", "--sort", "newest") == ["7", "6"]
    assert numbers(listed, "--sort", "newest") == ["4", "3", "2", "1", "7", "6", "5"]
    assert numbers(listed, "--sort", "newest", "--reverse") == ["6", "7", "1", "2", "3", "4", "5"]


def test_a_list_that_is_cut_says_so_and_0_lists_all(listed: Typed) -> None:
    *_, row, cut = listed("ls", "--limit", "2").out.splitlines()
    assert (row.split()[0], cut) == ("4", "newest 2 of 5; --limit 0 for all")
    assert listed("ls", "--status", "done", "--limit", "2").out.endswith("newest 2 of 4; --limit 0 for all\n")
    assert numbers(listed, "--limit", "0") == ["5", "4", "3", "2", "1"]


def test_what_is_asked_for_is_found_however_many_runs_are_newer(listed: Typed, home: Case) -> None:
    engine = home.engine()
    job = queue.claim(engine, "w", now=3.0, lease_seconds=60)
    assert job is not None
    queue.fail(engine, job.run_id, job.attempt, "boom", now=4.0)
    spec = home.run(5).spec
    asked = [RunRequest(replace(spec, config_hash=str(number))) for number in range(1001)]
    enqueue(engine, asked, now=5.0, provenance={})
    assert numbers(listed, "--status", "failed") == ["5"]
    assert numbers(listed, "lr=0.1") == ["4", "3"]
    assert numbers(listed, "--sort", "newest", "--limit", "1")[:1] == ["4"]
    assert listed("ls").out.splitlines()[-1] == "newest 50 of 1,006; --limit 0 for all"
    assert not show_results(engine, [5, *range(6, 1007)], Console(quiet=True))


def test_a_run_at_chance_is_not_listed_as_a_success(listed: Typed, home: Case) -> None:
    engine = home.engine()
    job = queue.claim(engine, "w", now=3.0, lease_seconds=60)
    assert job is not None
    queue.finish(engine, 5, job.attempt, [ResultRow("test/accuracy", 0.203, 0.005, 1000)], now=4.0)
    assert "≈ at chance" in listed("ls").out.splitlines()[1]
    assert numbers(listed, "status:chance") == ["5"]
    assert "at chance" in listed("show", "5").words


def test_a_run_of_several_seeds_is_called_by_all_of_them(typed: Typed) -> None:
    typed("queue", "synthetic", *TINY, "--seeds", "4")
    assert "linear s0-3" in typed("ls").words
    assert numbers(typed, "seed:2") == ["1"]
    assert "seed 0-3" in typed("show", "1").words


def test_seeds_are_one_line_with_their_mean_and_interval(listed: Typed) -> None:
    head, *rows = listed("ls", "--group", "--sort", "newest").out.splitlines()
    assert head.split() == ["runs", "status", "what", "variant", "mean"]
    # Two seeds 0.02 apart: Student's t of one degree of freedom, 12.706 x 0.0141 / sqrt(2), beside 0.005
    assert [row.split() for row in rows] == [
        ["3-4", "2✓", "glyphs", "protonet", "5w1s", "lr=0.1", "96.00", "±", "12.72"],
        ["1-2", "2✓", "glyphs", "protonet", "5w1s", "lr=0.01", "92.00", "±", "12.72"],
        ["5", "1○", "glyphs", "pixel-knn", "5w1s", "queued"],
    ]


def test_columns_and_states_that_do_not_exist_are_refused(listed: Typed) -> None:
    assert_refused(listed("ls", "--sort", "accuracy"), "unknown column 'accuracy'", "newest")
    assert_refused(listed("ls", "--status", "ready"), "unknown status 'ready'", "queued")
