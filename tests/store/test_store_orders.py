"""Orders for the whole queue, and clocks that do not behave."""

from sqlalchemy import Engine

from store import queue
from store.engine import reading
from store.jobs import JobStatus, Outcome
from store.queue import MAX_LEASE_SECONDS
from store.runs import get_run
from store.snapshot import snapshot
from tests.store.store_cases import LEASE, ask, complete, request, take


def test_nothing_is_claimed_while_the_queue_is_paused_and_running_jobs_go_on(engine: Engine) -> None:
    ask(engine, request("a"), request("b"))
    running = take(engine)
    assert queue.pause(engine, now=1.0)
    assert not queue.pause(engine, now=2.0)
    assert snapshot(engine, now=2.0).paused
    assert queue.claim(engine, "w", now=2.0, lease_seconds=LEASE) is None
    complete(engine, running)
    assert queue.outlook(engine, now=3.0).claimable == 1  # a drain has still to expect it
    assert queue.resume(engine)
    assert not queue.resume(engine)
    with reading(engine) as connection:
        assert not queue.is_paused(connection)
    assert take(engine).run_id != running.run_id


def test_a_job_lost_while_the_queue_is_paused_waits_like_the_others(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    take(engine, now=0.0)
    queue.pause(engine, now=1.0)
    assert queue.claim(engine, "w", now=LEASE + 1, lease_seconds=LEASE) is None
    assert get_run(engine, run_id).status is JobStatus.QUEUED
    queue.resume(engine)
    assert take(engine, now=LEASE + 2).attempt == 2


def test_a_look_tells_whether_a_run_is_to_be_cancelled(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    claim = take(engine, now=0.0)
    assert not queue.cancel_requested(engine, run_id)
    queue.request_cancel(engine, [run_id], now=1.0)
    assert queue.cancel_requested(engine, run_id)
    assert queue.release(engine, run_id, claim.attempt, now=2.0) is JobStatus.CANCELLED
    assert get_run(engine, run_id).attempts[0].outcome is Outcome.CANCELLED
    assert not queue.cancel_requested(engine, run_id)


def test_a_hung_job_that_had_to_be_ended_counts_as_cancelled_and_keeps_the_reason(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    claim = take(engine, now=0.0)
    queue.request_cancel(engine, [run_id], now=1.0)
    assert queue.crashed(engine, run_id, claim.attempt, "did not stop", now=2.0) is JobStatus.CANCELLED
    (attempt,) = get_run(engine, run_id).attempts
    assert (attempt.outcome, attempt.error) == (Outcome.CANCELLED, "did not stop")


def test_a_clock_set_back_a_little_takes_no_job_from_its_owner(engine: Engine) -> None:
    ask(engine, request())
    claim = take(engine, now=10_000.0)
    assert queue.claim(engine, "w2", now=9_000.0, lease_seconds=LEASE) is None
    queue.renew(engine, claim.run_id, claim.attempt, now=9_001.0, lease_seconds=LEASE)
    assert queue.claim(engine, "w2", now=9_010.0, lease_seconds=LEASE) is None
    assert take(engine, worker="w2", now=9_002.0 + LEASE).attempt == 2


def test_a_clock_set_back_by_years_does_not_keep_a_dead_workers_job_for_years(engine: Engine) -> None:
    (run_id,) = ask(engine, request(), now=1e9)
    take(engine, now=1e9)
    earlier = 1e9 - LEASE - MAX_LEASE_SECONDS - 31_536_000
    assert take(engine, worker="w2", now=earlier).attempt == 2
    lost = get_run(engine, run_id).attempts[0]
    assert (lost.outcome, lost.ended) == (Outcome.LOST, earlier)
