"""Asking for runs, sharing what they need, and looking them up; workers, checkpoints, results.

Not here: the life of their jobs.
"""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from store import checkpoints, curves, queue, upkeep, workers
from store.errors import NumberTooLarge, RunNotFound
from store.jobs import JobStatus
from store.results import ResultRow, finished_results
from store.runs import Enqueued, RunRequest, enqueue, get_run, group_statuses, runs_there, with_prerequisites
from store.snapshot import snapshot
from tests.store.store_cases import Writer, ask, complete, request, spec, take


def test_asked_run_is_found_again_as_it_was_asked(engine: Engine) -> None:
    (run_id,) = ask(engine, request(), now=3.0, priority=2)
    run = get_run(engine, run_id)
    assert (run.id, run.spec, run.created, run.queued) == (run_id, spec(), 3.0, 3.0)
    assert (run.status, run.priority, run.step) == (JobStatus.QUEUED, 2, 0)
    assert run.provenance == {"commit": "c0ffee"}
    assert (run.attempts, run.parents, run.results, run.checkpoints) == ((), (), (), ())


def test_unknown_run_is_named_with_the_way_to_the_list(engine: Engine) -> None:
    with pytest.raises(RunNotFound, match="there is no run 7: `fsrun ls` lists"):
        get_run(engine, 7)


def test_same_request_twice_makes_two_runs(engine: Engine) -> None:
    first, second = ask(engine, request(), request())
    assert first != second


def test_needed_run_is_made_once_and_shared(engine: Engine) -> None:
    need = request("pretrain")
    asked = enqueue(engine, [request("a", need), request("b", need)], now=0.0, provenance={})
    assert asked == [Enqueued(2, (1,), (1,)), Enqueued(3, (1,), ())]
    (later,) = enqueue(engine, [request("c", need)], now=1.0, provenance={})
    assert later == Enqueued(4, (1,), ())


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.DONE])
def test_needed_run_is_shared_while_it_runs_and_when_it_is_done(engine: Engine, status: JobStatus) -> None:
    (need,) = ask(engine, request("pretrain"))
    claim = take(engine)
    if status is JobStatus.DONE:
        complete(engine, claim)
    (asked,) = enqueue(engine, [request("a", request("pretrain"))], now=1.0, provenance={})
    assert asked.parents == (need,)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_needed_run_that_came_to_nothing_is_made_again(engine: Engine, status: JobStatus) -> None:
    (need,) = ask(engine, request("pretrain"))
    if status is JobStatus.FAILED:
        queue.fail(engine, need, take(engine).attempt, "boom", now=1.0)
    else:
        queue.request_cancel(engine, [need], now=1.0)
    (asked,) = enqueue(engine, [request("a", request("pretrain"))], now=1.0, provenance={})
    assert asked.parents == asked.new_parents
    assert need not in asked.parents


def test_done_run_is_preferred_to_one_that_is_still_queued(engine: Engine) -> None:
    queued_first, done = ask(engine, request("pretrain"), request("pretrain"))
    claim = queue.claim(engine, "w", now=1.0, lease_seconds=9.0, only=[done])
    assert claim is not None
    complete(engine, claim)
    (asked,) = enqueue(engine, [request("a", request("pretrain"))], now=1.0, provenance={})
    assert asked.parents == (done,)
    assert queued_first < done


def test_needed_run_gets_the_priority_of_what_needs_it(engine: Engine) -> None:
    (child,) = ask(engine, request("a", request("pretrain", request("base"))), priority=1)
    ask(engine, request("b", request("pretrain")), priority=5)
    ask(engine, request("c", request("pretrain")), priority=3)
    priorities = {run_id: get_run(engine, run_id).priority for run_id in (1, 2, child)}
    assert priorities == {1: 5, 2: 5, child: 1}


def test_prerequisites_are_followed_to_the_first(engine: Engine) -> None:
    (child,) = ask(engine, request("a", request("pretrain", request("base"))))
    other = ask(engine, request("other"))
    assert with_prerequisites(engine, [child]) == {1, 2, child}
    assert with_prerequisites(engine, other) == set(other)


def test_enqueue_stores_all_or_nothing(engine: Engine) -> None:
    broken = RunRequest(spec(seed=2**80))
    with pytest.raises(NumberTooLarge):
        ask(engine, request(), broken)
    assert snapshot(engine, now=0.0).runs == ()


def test_the_run_that_is_there_is_the_newest_of_its_config_that_waits_runs_or_is_done(engine: Engine) -> None:
    first, second = ask(engine, request(), request())
    config = spec().config_hash
    assert runs_there(engine, [config, "other"]) == {config: (second, JobStatus.QUEUED)}
    queue.request_cancel(engine, [second], now=1.0)
    claim = take(engine)
    assert runs_there(engine, [config]) == {config: (first, JobStatus.RUNNING)}
    complete(engine, claim)
    assert runs_there(engine, [config]) == {config: (first, JobStatus.DONE)}
    upkeep.trash(engine, [first], now=3.0)
    assert runs_there(engine, [config]) == {}


def test_a_config_has_the_status_of_its_newest_run_however_many_are_newer(engine: Engine) -> None:
    ask(engine, request("old"))
    old = take(engine)
    queue.fail(engine, old.run_id, old.attempt, "boom", now=2.0)
    ask(engine, *(request("other", seed=seed) for seed in range(1001)))
    assert group_statuses(engine) == {"old": JobStatus.FAILED, "other": JobStatus.QUEUED}


def test_checkpoints_come_furthest_first(engine: Engine, tmp_path: Path) -> None:
    (run_id,) = ask(engine, request())
    for now, steps in ((0.0, (100, 200)), (1000.0, (200, 150))):
        claim = take(engine, now=now)
        for step in steps:
            place = f"{claim.attempt}-{step}.safetensors"
            checkpoints.add(engine, run_id, claim.attempt, step=step, place=place, sha256="ab", now=now)
    found = checkpoints.newest_first(engine, run_id)
    assert [(row.step, row.attempt) for row in found] == [(200, 2), (200, 1), (150, 2), (100, 1)]
    assert found[0].path == Path("2-200.safetensors")
    assert get_run(engine, run_id).checkpoints == found


def test_pruning_keeps_the_furthest_checkpoints_and_names_the_files_to_delete(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    writer = Writer(engine, take(engine))
    for step in (100, 200, 300):
        writer.write([step], [1.0])
        checkpoints.add(engine, run_id, 1, step=step, place=f"{step}", sha256="ab", now=2.0)
    assert [row.path for row in checkpoints.prune(engine, run_id, 1, keep=2)] == [Path("100")]
    assert checkpoints.prune(engine, run_id, 1, keep=2) == ()
    assert [row.step for row in checkpoints.newest_first(engine, run_id)] == [300, 200]


def test_pruning_drops_a_checkpoint_that_the_attempt_passed_over(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    for now, steps in ((0.0, (100, 200)), (1000.0, (150,))):
        claim = take(engine, now=now)
        curves.rewind(engine, run_id, claim.attempt, 100)
        for step in steps:
            Writer(engine, claim).write([step], [1.0])
            place = f"{claim.attempt}-{step}"
            checkpoints.add(engine, run_id, claim.attempt, step=step, place=place, sha256="ab", now=now)
    assert [row.path for row in checkpoints.prune(engine, run_id, 2, keep=2)] == [Path("1-200")]
    assert [row.step for row in checkpoints.newest_first(engine, run_id)] == [150, 100]


def test_finished_results_carry_their_run_newest_first(engine: Engine) -> None:
    first, second = ask(engine, request("a"), request("b"))
    for run_id, start in ((first, 10.0), (second, 50.0)):
        claim = take(engine, now=start)
        rows = [ResultRow("test/accuracy", 0.9, 0.01, 1000, b"1234"), ResultRow("test/loss", 0.3, None, None)]
        queue.finish(engine, run_id, claim.attempt, rows, now=start + 5)
    newest, *_, oldest = finished_results(engine)
    assert (newest.run_id, oldest.run_id) == (second, first)
    (_, found) = finished_results(engine, experiment="omniglot", name="test/accuracy")
    assert (found.run_id, found.method, found.n_way, found.k_shot) == (first, "protonet", 20, 1)
    assert (found.created, found.finished, found.seconds, found.device) == (0.0, 15.0, 5.0, "cpu")
    assert found.provenance == {"commit": "c0ffee", "torch": "2"}
    assert found.result == ResultRow("test/accuracy", 0.9, 0.01, 1000, b"1234")
    assert finished_results(engine, experiment="synthetic") == ()


def test_seconds_count_the_work_of_all_attempts_and_no_waiting(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    queue.release(engine, run_id, take(engine, now=100.0).attempt, now=110.0)
    claim = take(engine, now=500.0)
    queue.finish(engine, run_id, claim.attempt, [ResultRow("test/loss", 1.0, None, None)], now=520.0)
    assert finished_results(engine)[0].seconds == 30.0


def test_worker_is_listed_until_it_signs_off(engine: Engine) -> None:
    workers.register(engine, "w1", host="here", pid=42, device="cpu", now=10.0)
    workers.beat(engine, "w1", now=15.0, run_id=3)
    (row,) = snapshot(engine, now=20.0).workers
    assert (row.id, row.host, row.pid, row.device, row.started) == ("w1", "here", 42, "cpu", 10.0)
    assert (row.heartbeat_age, row.run_id) == (5.0, 3)
    workers.stopped(engine, "w1", now=21.0)
    assert snapshot(engine, now=22.0).workers == ()
