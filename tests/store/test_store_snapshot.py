"""One consistent picture of the database for screens and lists.

Not here: how it is drawn.
"""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from store import queue, workers
from store.errors import RunNotFound
from store.jobs import JobStatus, Outcome
from store.results import ResultRow
from store.runs import RunRequest, change_tags, get_run
from store.snapshot import Snapshot, Which, snapshot
from tests.store.store_cases import Writer, ask, complete, request, spec, take


def test_empty_database_gives_an_empty_picture(engine: Engine) -> None:
    assert snapshot(engine, now=1.0) == Snapshot(1.0, (), (), {}, None)


def test_runs_come_newest_first_with_what_they_wait_for(engine: Engine) -> None:
    (child,) = ask(engine, request("child", request("parent")))
    rows = snapshot(engine, now=1.0).runs
    assert [(row.id, row.waits_for) for row in rows] == [(child, (child - 1,)), (child - 1, ())]
    complete(engine, take(engine))
    picture = snapshot(engine, now=1.0)
    assert picture.runs[0].waits_for == ()
    assert picture.counts == {JobStatus.DONE: 1, JobStatus.QUEUED: 1}


def test_running_run_shows_its_worker_its_pace_and_its_latest_values(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    workers.register(engine, "w1", host="here", pid=1, device="cpu", now=0.0)
    writer = Writer(engine, take(engine, now=1.0))
    writer.write([100, 200], [3.0, 2.0])
    workers.beat(engine, "w1", now=4.0, run_id=run_id)
    (row,) = snapshot(engine, now=6.0).runs
    assert (row.status, row.worker_id, row.attempt, row.heartbeat_age) == (JobStatus.RUNNING, "w1", 1, 2.0)
    assert (row.step, row.total_steps, row.rate, row.eta_seconds) == (200, 1000, 10.0, 80.0)
    assert (row.latest, row.results, row.started) == ({"train/loss": 2.0}, {}, 1.0)


def test_selected_run_comes_with_curves_results_and_history(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    claim = take(engine)
    Writer(engine, claim).write(range(1000), [1.0] * 1000)
    Writer(engine, claim, "test/accuracy").write([500, 999], [0.8, 0.9])
    result = ResultRow("test/accuracy", 0.9, 0.01, 100)
    queue.finish(engine, run_id, claim.attempt, [result], now=9.0)
    detail = snapshot(engine, now=10.0, selected=run_id, max_points=50).selected
    assert detail is not None
    assert [curve.name for curve in detail.curves] == ["test/accuracy", "train/loss"]
    assert 25 <= len(detail.curves[1].steps) <= 50
    assert (detail.results, detail.row.results) == ((result,), {"test/accuracy": 0.9})
    assert (detail.config, detail.parents) == (spec().config, ())
    assert [attempt.outcome for attempt in detail.attempts] == [Outcome.DONE]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            "Traceback (most recent call last):\n  File x\nValueError: n_way is 99\n",
            "ValueError: n_way is 99",
        ),
        ("crashed 3 times\nmore", "crashed 3 times"),
        ("", None),
    ],
)
def test_failed_run_shows_the_line_that_names_the_error(engine: Engine, error: str, line: str | None) -> None:
    (run_id,) = ask(engine, request())
    queue.fail(engine, run_id, take(engine).attempt, error, now=2.0)
    picture = snapshot(engine, now=3.0, selected=run_id)
    assert picture.selected is not None
    assert (picture.runs[0].error, picture.selected.error) == (line, error)


def test_running_and_selected_runs_are_listed_however_old_they_are(engine: Engine) -> None:
    running, selected, *_, newest = ask(engine, *(request("a", seed=seed) for seed in range(10)))
    take(engine)
    rows = snapshot(engine, now=1.0, selected=selected, limit=1).runs
    assert [row.id for row in rows] == [newest, selected, running]


def test_selected_run_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(RunNotFound, match="there is no run 5"):
        snapshot(engine, now=1.0, selected=5)


def test_picture_cannot_be_changed_by_who_looks_at_it(engine: Engine) -> None:
    ask(engine, request())
    (row,) = snapshot(engine, now=1.0).runs
    with pytest.raises(AttributeError):
        row.step = 5  # type: ignore[misc]


def test_a_list_holds_what_is_asked_for_however_many_runs_are_newer(engine: Engine) -> None:
    ask(engine, request("old"))
    old = take(engine)
    queue.fail(engine, old.run_id, old.attempt, "boom", now=2.0)
    ask(engine, *(request("new", seed=seed) for seed in range(1001)))
    failed = snapshot(engine, now=3.0, which=Which(status=JobStatus.FAILED))
    assert ([row.id for row in failed.runs], failed.found) == ([old.run_id], 1)
    newest = snapshot(engine, now=3.0)
    assert (len(newest.runs), newest.found, newest.runs[-1].id) == (1000, 1002, 3)
    assert len(snapshot(engine, now=3.0, limit=None).runs) == 1002
    assert [row.id for row in snapshot(engine, now=3.0, which=Which(frozenset({1, 3}))).runs] == [3, 1]


def test_a_list_is_of_one_experiment_tag_or_worker_where_that_is_asked(engine: Engine) -> None:
    mine, other = ask(engine, request("a"), request("b"))
    take(engine, worker="host-1")
    take(engine, worker="host-2")
    change_tags(engine, [mine], add=["paper"])
    change_tags(engine, [other], add=["paper2"])
    for which in (Which(tag="paper"), Which(held_by="host-1")):
        assert [row.id for row in snapshot(engine, now=1.0, which=which).runs] == [mine]
    assert snapshot(engine, now=1.0, which=Which(experiment="synthetic")).found == 0


def test_a_line_tells_the_time_of_all_attempts_and_every_seed(engine: Engine) -> None:
    asked = RunRequest(replace(spec(seed=3), config='{"seed": 3, "seeds": 4}'))
    ask(engine, asked)
    first = take(engine, now=10.0)
    queue.release(engine, first.run_id, first.attempt, now=25.0)
    complete(engine, take(engine, now=1000.0), now=1040.0)
    (row,) = snapshot(engine, now=2000.0).runs
    assert (row.worked, list(row.all_seeds)) == (55.0, [3, 4, 5, 6])
    assert get_run(engine, row.id).worked == 55.0
