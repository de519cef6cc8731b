"""When a lease is over for a worker whose clock may be wrong.

Not here: workers that all go by one clock (test_store_queue), and real ones (test_worker_clocks).
"""

from dataclasses import dataclass

import pytest
from sqlalchemy import Engine

from store import queue, workers
from store.jobs import Outcome
from store.queue import Leases, LeaseWatch, Outlook
from store.runs import get_run
from tests.store.store_cases import LEASE, ask, request, take

NOON = 1_000_000.0
HOURS = 7200.0


@dataclass
class Observer:
    """A worker that looks at leases by a clock that may be wrong, and by a steady one that starts at 0."""

    engine: Engine
    wrong_by: float = 0.0
    gone: frozenset[tuple[str, int]] = frozenset()

    def __post_init__(self) -> None:
        self.watch = LeaseWatch(LEASE, lambda host, pid: (host, pid) in self.gone)

    def look(self, seconds: float) -> Leases:
        return self.watch.look(self.engine, NOON + seconds + self.wrong_by, seconds)

    def claims(self, seconds: float) -> queue.Claim | None:
        now = NOON + seconds + self.wrong_by
        leases = self.look(seconds)
        return queue.claim(self.engine, "w2", now=now, lease_seconds=LEASE, leases=leases)


@pytest.mark.parametrize("wrong_by", [-HOURS, 0.0, HOURS])
def test_a_lease_that_is_renewed_is_nobody_elses_however_wrong_a_clock_is(
    engine: Engine, wrong_by: float
) -> None:
    (run_id,) = ask(engine, request())
    own = take(engine, now=NOON)
    other = Observer(engine, wrong_by)
    for beats in range(1, 30):
        queue.renew(engine, run_id, own.attempt, now=NOON + 5 * beats, lease_seconds=LEASE)
        assert other.claims(5.0 * beats) is None
    leases = other.look(146.0)
    assert queue.outlook(engine, NOON + 146 + wrong_by, leases=leases) == Outlook(0, 0, 1, 0)
    queue.finish(engine, run_id, own.attempt, [], now=NOON + 150)
    assert get_run(engine, run_id).attempts[0].outcome is Outcome.DONE


@pytest.mark.parametrize("wrong_by", [-HOURS, 0.0, HOURS])
def test_a_lease_that_stands_still_for_its_length_is_over_whatever_the_clock_says(
    engine: Engine, wrong_by: float
) -> None:
    ask(engine, request())
    take(engine, now=NOON)
    other = Observer(engine, wrong_by)
    assert other.claims(1.0) is None
    assert other.claims(LEASE) is None
    taken = other.claims(LEASE + 1.0)
    assert taken is not None
    assert taken.attempt == 2


def test_a_lease_longer_than_the_observers_own_is_waited_for(engine: Engine) -> None:
    ask(engine, request())
    workers.register(engine, "w1", host="node", pid=7, device="cpu", now=NOON)
    assert queue.claim(engine, "w1", now=NOON, lease_seconds=10 * LEASE) is not None
    other = Observer(engine, HOURS)
    assert [other.claims(seconds) for seconds in (0.0, LEASE, 9 * LEASE)] == [None] * 3
    assert other.claims(10 * LEASE) is not None


def test_a_lease_of_a_process_that_is_gone_is_over_as_soon_as_it_has_run_out(engine: Engine) -> None:
    ask(engine, request())
    workers.register(engine, "w1", host="node", pid=7, device="cpu", now=NOON)
    take(engine, worker="w1", now=NOON)
    beside = Observer(engine, gone=frozenset({("node", 7)}))
    assert beside.claims(LEASE - 1.0) is None  # perhaps it only cannot be seen from here
    assert beside.claims(LEASE + 1.0) is not None


def test_a_lease_that_is_renewed_between_look_and_claim_stays_with_its_owner(engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    own = take(engine, now=NOON)
    other = Observer(engine)
    other.look(0.0)
    leases = other.look(LEASE)
    queue.renew(engine, run_id, own.attempt, now=NOON + LEASE, lease_seconds=LEASE)
    assert queue.claim(engine, "w2", now=NOON + LEASE, lease_seconds=LEASE, leases=leases) is None
    assert get_run(engine, run_id).attempts[-1].worker_id == "w1"
