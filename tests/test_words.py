"""Rows of the database as words."""

from dataclasses import replace
from math import nan

import pytest

from fsrun.tui.chart_view import View
from fsrun.tui.curves import charts_of
from fsrun.tui.widgets.chart_grid import arrange
from fsrun.words import (
    duration,
    is_lost,
    newest_value,
    plain,
    progress_text,
    seeds_text,
    short_task,
    status_word,
    task_text,
)
from store.curves import Curve
from store.jobs import JobStatus
from store.views import RunRow

ROW = RunRow(
    id=7,
    experiment="omniglot",
    method="protonet",
    preset="quick",
    seed=0,
    n_way=20,
    k_shot=1,
    status=JobStatus.RUNNING,
    priority=0,
    step=300,
    total_steps=600,
    rate=4.0,
    eta_seconds=75.0,
    latest={},
    results={},
    worker_id="box-1",
    attempt=1,
    created=0.0,
    started=0.0,
    finished=None,
    cancel_requested=False,
    heartbeat_age=1.0,
    waits_for=(),
    error=None,
    lease_left=59.0,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.2, "0s"),
        (45, "45s"),
        (200, "3m20s"),
        (3900, "1h05m"),
        (183_600, "2d03h"),
        (59.7, "1m00s"),
    ],
)
def test_durations_have_two_parts(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_control_characters_become_dots_and_lines_stay() -> None:
    assert plain("a\x1b[31mb\x00\nc\u202e\td 日本") == "a·[31mb·\nc·  d 日本"


def test_a_status_says_what_hinders_the_run() -> None:
    assert status_word(ROW) == "running"
    assert status_word(replace(ROW, cancel_requested=True)) == "stopping"
    assert status_word(replace(ROW, status=JobStatus.QUEUED, waits_for=(3,))) == "waiting"
    assert status_word(replace(ROW, heartbeat_age=300.0)) == "running"  # late, and its lease goes on
    assert status_word(replace(ROW, lease_left=-0.1)) == "lost"
    assert status_word(replace(ROW, worker_died=True)) == "lost"
    assert status_word(replace(ROW, heartbeat_age=None)) == "lost"
    assert not is_lost(replace(ROW, status=JobStatus.DONE, heartbeat_age=None))


@pytest.mark.parametrize(
    ("accuracy", "interval", "word"),
    [
        (0.05, 0.003, "at chance"),
        (0.052, 0.003, "at chance"),
        (0.054, 0.003, "done"),
        (0.05, None, "at chance"),
        (0.06, None, "done"),
        (0.9, nan, "done"),
    ],
)
def test_a_run_that_is_no_better_than_guessing_among_20_classes_is_at_chance(
    accuracy: float, interval: float | None, word: str
) -> None:
    intervals = {} if interval is None else {"test/accuracy": interval}
    done = replace(ROW, status=JobStatus.DONE, results={"test/accuracy": accuracy}, intervals=intervals)
    assert status_word(done) == word
    assert status_word(replace(done, status=JobStatus.RUNNING)) == "running"
    assert status_word(replace(done, results={"test/loss_ratio": 0.01}, n_way=None)) == "done"


def test_all_seeds_of_a_run_are_named() -> None:
    assert seeds_text(ROW) == "seed 0"
    assert seeds_text(replace(ROW, seed=4, seeds=4)) == "seeds 4-7"


def test_only_a_finished_run_is_at_100_per_cent() -> None:
    assert progress_text(ROW, 12).plain == "━━━╸───  50%"
    assert progress_text(replace(ROW, step=599), 12).plain.endswith(" 99%")
    assert progress_text(replace(ROW, step=600), 12).plain == "evaluating"
    assert progress_text(replace(ROW, status=JobStatus.DONE, step=0, total_steps=0), 12).plain.endswith(
        "100%"
    )
    assert progress_text(replace(ROW, status=JobStatus.CANCELLED, step=600), 12).plain.endswith(" 99%")
    assert progress_text(replace(ROW, status=JobStatus.QUEUED, step=0), 12).plain == ""


def test_the_newest_value_is_the_one_that_says_most() -> None:
    latest = {"train/accuracy": 0.99, "val/accuracy": 0.91, "train/loss": 0.1}
    assert newest_value(replace(ROW, latest=latest)).plain == "val 91.0%"
    assert newest_value(replace(ROW, latest=latest, results={"test/accuracy": 0.9})).plain == "test 90.0%"
    assert newest_value(replace(ROW, latest={"train/loss_ratio": 0.3141})).plain == "L1/L0 0.3141"
    assert newest_value(ROW).plain == ""


def test_tasks_are_named_as_in_the_field() -> None:
    assert task_text(ROW) == "20-way 1-shot"
    assert short_task(ROW) == "20w1s"
    assert task_text(replace(ROW, n_way=None, k_shot=None)) == ""


def test_splits_of_a_quantity_share_a_chart_and_new_quantities_come_last() -> None:
    def curve(name: str) -> Curve:
        return Curve(name, (1,), (2.0,), (1.0,), (3.0,), (2.5,), (0.0,))

    names = ["alpha", "train/accuracy", "train/frobenius", "train/loss", "val/accuracy"]
    charts = charts_of([curve(name) for name in names])
    shown = [(chart.title(View()), [curve.name for curve in chart.curves]) for chart in charts]
    assert shown == [
        ("Frobenius distance, log", ["train/frobenius"]),
        ("loss", ["train/loss"]),
        ("accuracy", ["train/accuracy", "val/accuracy"]),
        ("alpha", ["alpha"]),
    ]
    assert charts[0].series[0].values == (2.5,)


@pytest.mark.parametrize(
    ("count", "width", "height", "columns", "rows"),
    [
        (2, 78, 10, 1, 1),
        (2, 110, 10, 2, 1),
        (2, 70, 30, 1, 2),
        (3, 110, 40, 2, 2),
        (1, 200, 50, 1, 1),
        (0, 9, 3, 1, 1),
    ],
)
def test_as_many_charts_stand_together_as_have_room(
    count: int, width: int, height: int, columns: int, rows: int
) -> None:
    assert arrange(count, width, height) == (columns, rows)
