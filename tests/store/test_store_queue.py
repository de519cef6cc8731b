"""The life of a job, from the queue to its end.

Not here: what it reports on the way.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlmodel import col

from store import checkpoints, curves, queue
from store.engine import reading
from store.errors import InvalidTransition, LeaseLost, RunNotFound
from store.jobs import JobStatus, Outcome
from store.queue import Answer, Outlook
from store.results import ResultRow
from store.runs import get_run
from store.tables import Attempt
from tests.store.store_cases import LEASE, Writer, ask, complete, request, spec, take

_ROOT = Path(queue.__file__).parents[1]


def test_jobs_are_claimed_by_priority_and_then_by_age(engine: Engine) -> None:
    old, older_number = ask(engine, request("a"), request("b"), now=5.0)
    (oldest,) = ask(engine, request("c"), now=1.0)
    (urgent,) = ask(engine, request("d"), now=9.0, priority=1)
    claimed = [take(engine).run_id for _ in range(4)]
    assert claimed == [urgent, oldest, old, older_number]
    assert queue.claim(engine, "w", now=1.0, lease_seconds=LEASE) is None


def test_claim_tells_what_to_run_and_writes_the_attempt(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    claim = take(engine, now=7.0)
    assert claim == queue.Claim(run_id, 1, spec().config, 1000, ())
    (attempt,) = get_run(engine, run_id).attempts
    assert (attempt.number, attempt.worker_id, attempt.device, attempt.started) == (1, "w1", "cpu", 7.0)
    assert (attempt.outcome, attempt.provenance) == (None, {"torch": "2"})


def test_claim_can_be_limited_to_some_runs(engine: Engine) -> None:
    first, second = ask(engine, request("a"), request("b"))
    claim = queue.claim(engine, "w", now=1.0, lease_seconds=LEASE, only=[second])
    assert claim is not None
    assert claim.run_id == second
    assert queue.claim(engine, "w", now=1.0, lease_seconds=LEASE, only=[]) is None
    assert take(engine).run_id == first


def test_run_waits_for_what_it_starts_from(engine: Engine) -> None:
    (child,) = ask(engine, request("child", request("parent")))
    parent = take(engine)
    assert parent.run_id != child
    assert queue.claim(engine, "w2", now=1.0, lease_seconds=LEASE) is None
    complete(engine, parent)
    claim = take(engine)
    assert (claim.run_id, claim.parents) == (child, (parent.run_id,))


def test_two_processes_that_claim_at_once_get_each_job_once(place: str, engine: Engine) -> None:
    runs = ask(engine, *(request("a", seed=seed) for seed in range(200)))
    program = """if True:
        import sys
        from store import queue
        from store.engine import open_store
        engine = open_store(sys.argv[1])
        input()
        while claim := queue.claim(engine, sys.argv[2], now=1.0, lease_seconds=30.0):
            queue.finish(engine, claim.run_id, claim.attempt, [], now=2.0)
            print(claim.run_id)
    """
    command = [sys.executable, "-c", program, place]
    workers = [
        subprocess.Popen(
            [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
        )
        for name in ("w1", "w2")
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    claimed = [int(line) for worker in workers for line in worker.communicate()[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(claimed) == runs
    with reading(engine) as connection:
        attempts = connection.execute(select(col(Attempt.run_id), col(Attempt.outcome))).all()
    assert sorted(attempts) == [(run_id, Outcome.DONE) for run_id in runs]


def test_renewed_lease_keeps_others_away(engine: Engine) -> None:
    ask(engine, request())
    claim = take(engine, now=0.0)
    assert not queue.renew(engine, claim.run_id, claim.attempt, now=20.0, lease_seconds=LEASE)
    assert queue.claim(engine, "w2", now=40.0, lease_seconds=LEASE) is None


def test_expired_lease_is_taken_over_and_the_old_owner_is_shut_out(engine: Engine) -> None:
    ask(engine, request())
    old = take(engine, worker="sleeper", now=0.0)
    new = take(engine, worker="w2", now=LEASE + 1)
    assert (new.run_id, new.attempt) == (old.run_id, 2)
    owner = (engine, old.run_id, old.attempt)
    writes: list[Callable[[], object]] = [
        lambda: queue.renew(*owner, now=40.0, lease_seconds=LEASE),
        lambda: queue.finish(*owner, [ResultRow("test/accuracy", 1.0, None, None)], now=40.0),
        lambda: queue.fail(*owner, "boom", now=40.0),
        lambda: queue.release(*owner, now=40.0),
        lambda: queue.cancelled(*owner, now=40.0),
        lambda: queue.crashed(*owner, "killed", now=40.0),
        lambda: curves.write_points(*owner, [], step=9, rate=None, now=40.0),
        lambda: curves.rewind(*owner, 0),
        lambda: checkpoints.add(*owner, step=9, place="x", sha256="0", now=40.0),
        lambda: checkpoints.prune(*owner, keep=1),
    ]
    for write in writes:
        with pytest.raises(LeaseLost, match="attempt 1 no longer owns it; stop"):
            write()
    run = get_run(engine, old.run_id)
    assert (run.status, run.step, run.results, run.checkpoints) == (JobStatus.RUNNING, 0, (), ())
    assert [attempt.outcome for attempt in run.attempts] == [Outcome.LOST, None]
    assert run.attempts[0].ended == LEASE


def test_finishing_stores_results_and_lets_nobody_write_any_more(engine: Engine) -> None:
    ask(engine, request())
    claim = take(engine)
    row = ResultRow("test/accuracy", 0.97, 0.002, 1000, b"\x00\x00\x80\x3f")
    queue.finish(engine, claim.run_id, claim.attempt, [row], now=9.0)
    run = get_run(engine, claim.run_id)
    assert (run.status, run.finished, run.results) == (JobStatus.DONE, 9.0, (row,))
    with pytest.raises(LeaseLost):
        queue.fail(engine, claim.run_id, claim.attempt, "boom", now=10.0)


def test_failing_keeps_the_traceback(engine: Engine) -> None:
    ask(engine, request())
    claim = take(engine)
    queue.fail(engine, claim.run_id, claim.attempt, "Traceback ...\nValueError: a\0b", now=9.0)
    run = get_run(engine, claim.run_id)
    assert (run.status, run.error) == (JobStatus.FAILED, "Traceback ...\nValueError: a\\0b")
    assert run.attempts[0].error == run.error


def test_released_job_keeps_its_place_and_goes_on(engine: Engine) -> None:
    first, _second = ask(engine, request("a"), request("b"))
    claim = take(engine)
    assert queue.release(engine, first, claim.attempt, now=9.0) is JobStatus.QUEUED
    again = take(engine, now=10.0)
    assert (again.run_id, again.attempt) == (first, 2)
    assert get_run(engine, first).attempts[0].outcome is Outcome.RELEASED


def test_third_crash_in_a_row_without_progress_fails_the_job(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    fates = []
    for _ in range(queue.MAX_CRASHES):
        claim = take(engine)
        Writer(engine, claim).write([50], [1.0])
        fates.append(queue.crashed(engine, run_id, claim.attempt, "signal 11", now=2.0))
    assert fates == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.FAILED]
    assert get_run(engine, run_id).error == (
        "crashed 3 times in a row without getting past step 50: signal 11"
    )


def test_crashes_with_progress_between_them_are_forgiven(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    for step in (10, 20, 30, 40, 50):
        claim = take(engine)
        Writer(engine, claim).write([step], [1.0])
        assert queue.crashed(engine, run_id, claim.attempt, "killed", now=2.0) is JobStatus.QUEUED


def test_job_whose_workers_fall_silent_three_times_is_not_tried_again(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    for turn in range(queue.MAX_CRASHES):
        take(engine, now=turn * 100.0)
    assert queue.claim(engine, "w", now=1000.0, lease_seconds=LEASE) is None
    assert get_run(engine, run_id).status is JobStatus.FAILED


def test_queued_job_is_cancelled_at_once(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    for now in (3.0, 4.0):
        assert queue.request_cancel(engine, [run_id], now) == Answer({run_id: JobStatus.CANCELLED}, {})
    assert queue.claim(engine, "w", now=5.0, lease_seconds=LEASE) is None


def test_running_job_is_asked_to_stop(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    claim = take(engine, now=0.0)
    assert queue.request_cancel(engine, [run_id], now=3.0) == Answer({run_id: JobStatus.RUNNING}, {})
    assert queue.renew(engine, run_id, claim.attempt, now=4.0, lease_seconds=LEASE)
    queue.cancelled(engine, run_id, claim.attempt, now=5.0)
    run = get_run(engine, run_id)
    assert (run.status, run.cancel_requested) == (JobStatus.CANCELLED, False)


def test_job_of_a_dead_worker_is_cancelled_at_once(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    claim = take(engine, now=0.0)
    assert queue.request_cancel(engine, [run_id], now=LEASE + 1).statuses == {run_id: JobStatus.CANCELLED}
    with pytest.raises(LeaseLost):
        queue.renew(engine, run_id, claim.attempt, now=LEASE + 2, lease_seconds=LEASE)


def test_job_that_stops_for_any_reason_after_a_cancel_is_not_queued_again(engine: Engine) -> None:
    crashing, releasing = ask(engine, request("a"), request("b"))
    for run_id in (crashing, releasing):
        take(engine, now=0.0)
        queue.request_cancel(engine, [run_id], now=1.0)
    assert queue.crashed(engine, crashing, 1, "killed", now=2.0) is JobStatus.CANCELLED
    assert queue.release(engine, releasing, 1, now=2.0) is JobStatus.CANCELLED


def test_failed_job_is_retried_with_a_clean_slate(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    claim = take(engine)
    queue.fail(engine, run_id, claim.attempt, "boom", now=2.0)
    assert queue.retry(engine, [run_id], now=3.0) == Answer({run_id: JobStatus.QUEUED}, {})
    run = get_run(engine, run_id)
    assert (run.status, run.error, run.finished) == (JobStatus.QUEUED, None, None)
    assert take(engine).attempt == 2


def test_retrying_a_run_also_retries_what_it_starts_from(engine: Engine) -> None:
    (child,) = ask(engine, request("child", request("parent")))
    parent = take(engine)
    queue.fail(engine, parent.run_id, parent.attempt, "boom", now=2.0)
    assert queue.retry(engine, [child], now=3.0).statuses.keys() == {child, parent.run_id}
    assert take(engine).run_id == parent.run_id


def test_orders_that_make_no_sense_say_what_is_possible(engine: Engine) -> None:
    running, done, queued = ask(engine, request("a"), request("b"), request("c"))
    take(engine)
    complete(engine, take(engine))
    refused = queue.retry(engine, [running, done, queued, 99], now=3.0).refused
    for run_id in (running, done, queued):
        assert f"run {run_id} is" in str(refused[run_id])
        assert "only failed and cancelled" in str(refused[run_id])
    assert isinstance(refused[99], RunNotFound)
    assert [get_run(engine, each).status for each in (running, queued)] == ["running", "queued"]


def test_cancel_of_several_does_all_that_can_be_done_and_says_what_cannot(engine: Engine) -> None:
    done, running, queued, last = ask(engine, *map(request, "abcd"))
    complete(engine, take(engine))
    take(engine)
    answer = queue.request_cancel(engine, [queued, done, 99, running, last, queued], now=3.0)
    assert answer.statuses == {
        queued: JobStatus.CANCELLED, running: JobStatus.RUNNING, last: JobStatus.CANCELLED
    }  # fmt: skip
    assert {run_id: type(why) for run_id, why in answer.refused.items()} == {
        done: InvalidTransition, 99: RunNotFound
    }  # fmt: skip
    assert f"run {done} is done: only queued and running" in str(answer.refused[done])
    assert [get_run(engine, each).status for each in (done, queued, last)] == ["done", *2 * ["cancelled"]]


def test_retry_of_several_does_all_that_can_be_done_and_says_what_cannot(engine: Engine) -> None:
    done, child, first = ask(engine, request("a"), request("child", request("parent")), request("b"))
    complete(engine, take(engine))
    parent = take(engine)
    queue.request_cancel(engine, [first, child], now=3.0)
    queue.fail(engine, parent.run_id, parent.attempt, "boom", now=3.0)
    answer = queue.retry(engine, [child, done, parent.run_id, first], now=4.0)
    assert answer.statuses == dict.fromkeys((first, child, parent.run_id), JobStatus.QUEUED)
    assert list(answer.refused) == [done]


def test_outlook_counts_what_a_drain_has_to_expect(engine: Engine) -> None:
    ask(engine, request("running"))
    take(engine, now=0.0)
    (failed,) = ask(engine, request("blocked", request("middle", request("failing"))), priority=1)
    failing = take(engine, now=0.0)
    queue.fail(engine, failing.run_id, failing.attempt, "boom", now=0.5)
    waiting, free = ask(engine, request("waiting", request("parent")), request("free"))
    assert queue.outlook(engine, now=1.0) == Outlook(claimable=2, waiting=1, running=1, blocked=2)
    assert queue.outlook(engine, now=1.0, only={waiting, free, failed}) == Outlook(1, 1, 0, 1)
    assert queue.outlook(engine, now=LEASE + 1).claimable == 3
