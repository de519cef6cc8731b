import pytest
from sqlalchemy import Engine

from store import queue, workers
from store.errors import LeaseLost
from store.jobs import JobStatus, Outcome
from store.runs import get_run
from store.snapshot import snapshot
from tests.store.store_cases import LEASE, ask, request, take

FLEET, SLOT = "ray-0c0ffe", "ray-0c0ffe-1"
WORKER = workers.worker_name("node7", SLOT)


def begin(engine: Engine, worker_id: str, now: float = 1.0) -> None:
    workers.register(engine, worker_id, host="node7", pid=1, device="cpu", now=now)


def test_a_fleet_knows_which_of_its_slots_have_begun_and_which_hold_a_job(engine: Engine) -> None:
    ask(engine, request("a"), request("b"))
    for worker_id in (
        WORKER,
        workers.worker_name("node8", "ray-0c0ffe-2"),
        "node7-ray-another-1",
        "node7-99",
    ):
        begin(engine, worker_id)
    take(engine, worker=WORKER)
    take(engine, worker="node7-ray-another-1")
    found = workers.holding(engine, FLEET)
    assert found == workers.Holding(frozenset({SLOT, "ray-0c0ffe-2"}), frozenset({SLOT}), paused=False)
    assert workers.is_of(FLEET, WORKER)
    assert not workers.is_of(FLEET, "node7-99")
    queue.pause(engine, 2.0)
    assert workers.holding(engine, FLEET).paused


def test_a_slot_that_died_loses_its_job_at_once_and_is_shut_out_should_it_live(engine: Engine) -> None:
    (run_id,) = ask(engine, request("a"))
    begin(engine, WORKER)
    first = take(engine, worker=WORKER)
    assert workers.died(engine, "ray-0c0ffe-11", "another", 2.0) == ()
    assert workers.died(engine, SLOT, "its node was lost", 2.0) == (run_id,)
    record = get_run(engine, run_id)
    assert record.status is JobStatus.QUEUED
    assert record.attempts[0].outcome is Outcome.LOST
    assert record.attempts[0].error == f"worker {WORKER} died: its node was lost"
    assert snapshot(engine, now=2.0).workers == ()
    second = take(engine, worker="node8-1", now=3.0)
    assert second.attempt == 2
    with pytest.raises(LeaseLost):
        queue.renew(engine, first.run_id, first.attempt, now=3.0, lease_seconds=LEASE)


def test_a_job_whose_slots_die_again_and_again_without_progress_fails(engine: Engine) -> None:
    (run_id,) = ask(engine, request("a"))
    for moment in range(queue.MAX_CRASHES):
        take(engine, worker=WORKER, now=float(moment))
        workers.died(engine, SLOT, "out of memory", float(moment))
    assert get_run(engine, run_id).status is JobStatus.FAILED


def test_the_order_to_stop_is_for_one_fleet_and_can_be_forgotten(engine: Engine) -> None:
    workers.order_to_stop(engine, FLEET, 1.0)
    assert workers.is_to_stop(engine, FLEET)
    assert not workers.is_to_stop(engine, "ray-another")
    workers.forget(engine, FLEET)
    assert not workers.is_to_stop(engine, FLEET)
