"""Any sequence of what workers, users, crashes and clocks do to a queue, drawn at random.

Not here: single steps (test_store_queue).
"""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine

from store import queue, upkeep
from store.curves import write_points
from store.engine import open_store
from store.errors import InvalidTransition, LeaseLost
from store.jobs import JobStatus
from store.queue import MAX_LEASE_SECONDS, Claim
from store.runs import RunRecord, get_run
from tests.store.store_cases import LEASE, ask, request

OVER = (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)
WORKERS = ("w1", "w2", "w3")


class QueueMachine(RuleBasedStateMachine):
    """Three workers, each with at most one job, that may sleep, die and wake up; one user; one clock."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine: Engine = open_store(Path(self.folder.name) / "fsrun.db")
        self.now = 100_000.0
        self.runs: list[int] = []
        self.held: dict[str, Claim] = {}  # what each worker believes to own
        self.leases: dict[tuple[int, int], float] = {}  # run and attempt -> end, as the worker was told
        self.paused = False
        self.finishes: dict[int, int] = {}  # run -> how often it was brought to DONE

    def teardown(self) -> None:
        self.everything_can_still_be_done()
        self.engine.dispose()
        self.folder.cleanup()

    def record(self, run_id: int) -> RunRecord:
        return get_run(self.engine, run_id)

    def owns(self, claim: Claim) -> bool:
        run = self.record(claim.run_id)
        return run.status is JobStatus.RUNNING and len(run.attempts) == claim.attempt

    @initialize()
    def first_runs(self) -> None:
        self.runs += ask(self.engine, request("a"), request("b"), now=self.now)

    @rule(priority=st.integers(0, 2), needs=st.booleans())
    def enqueue(self, priority: int, needs: bool) -> None:
        if len(self.runs) < 6:
            name = f"n{len(self.runs)}"
            wanted = request(name, request(f"{name}-parent")) if needs else request(name)
            ask(self.engine, wanted, now=self.now, priority=priority)
            self.runs = list(range(1, max(self.runs) + (3 if needs else 2)))

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        before = {run_id: self.record(run_id) for run_id in self.runs}
        claim = queue.claim(self.engine, worker, now=self.now, lease_seconds=LEASE)
        if claim is None:
            return
        assert not self.paused
        was = before[claim.run_id]
        assert was.status is JobStatus.QUEUED or self.lease_was_over(claim)
        assert claim.attempt == len(was.attempts) + 1
        assert all(before[parent].status is JobStatus.DONE for parent in claim.parents)
        self.held[worker] = claim
        self.leases[claim.run_id, claim.attempt] = self.now + LEASE

    def lease_was_over(self, claim: Claim) -> bool:
        until = self.leases[claim.run_id, claim.attempt - 1]
        return until < self.now or until > self.now + MAX_LEASE_SECONDS

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        if (claim := self.held.get(worker)) is None:
            return
        owned = self.owns(claim)
        try:
            queue.renew(self.engine, claim.run_id, claim.attempt, now=self.now, lease_seconds=LEASE)
        except LeaseLost:
            assert not owned
            del self.held[worker]
        else:
            assert owned
            self.leases[claim.run_id, claim.attempt] = self.now + LEASE

    @rule(worker=st.sampled_from(WORKERS), step=st.integers(1, 1000))
    def progress(self, worker: str, step: int) -> None:
        if (claim := self.held.get(worker)) is None:
            return
        owned = self.owns(claim)
        try:
            write_points(self.engine, claim.run_id, claim.attempt, [], step=step, rate=1.0, now=self.now)
        except LeaseLost:
            assert not owned
            del self.held[worker]

    @rule(worker=st.sampled_from(WORKERS), how=st.sampled_from(["finish", "fail", "crash", "release"]))
    def end(self, worker: str, how: str) -> None:
        if (claim := self.held.pop(worker, None)) is None:
            return
        owned = self.owns(claim)
        job = (self.engine, claim.run_id, claim.attempt)
        try:
            if how == "finish":
                queue.finish(*job, [], now=self.now)
                self.finishes[claim.run_id] = self.finishes.get(claim.run_id, 0) + 1
            elif how == "fail":
                queue.fail(*job, "boom", now=self.now)
            elif how == "crash":
                queue.crashed(*job, "killed", now=self.now)
            else:
                queue.release(*job, now=self.now)
        except LeaseLost:
            assert not owned
        else:
            assert owned
            assert self.record(claim.run_id).status is not JobStatus.RUNNING

    @rule(worker=st.sampled_from(WORKERS))
    def die_silently(self, worker: str) -> None:
        self.held.pop(worker, None)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), order=st.sampled_from(["cancel", "retry"]))
    def user_orders(self, data: st.DataObject, order: str) -> None:
        run_id = data.draw(st.sampled_from(self.runs))
        run = self.record(run_id)
        give = queue.request_cancel if order == "cancel" else queue.retry
        if give(self.engine, [run_id], self.now).refused:
            possible = (JobStatus.FAILED, JobStatus.CANCELLED) if order == "retry" else ()
            assert run.status not in possible or run.trashed is not None

    @rule(data=st.data(), order=st.sampled_from(["delete", "undo", "sooner"]))
    def user_speaks_of_runs(self, data: st.DataObject, order: str) -> None:
        run = self.record(data.draw(st.sampled_from(self.runs)))
        needed = any(run.id in self.record(each).parents for each in self.runs if self.kept(each))
        allowed = {
            "delete": run.status in OVER and self.kept(run.id) and not needed,
            "undo": not self.kept(run.id),
            "sooner": run.status is JobStatus.QUEUED,
        }
        try:
            if order == "delete":
                upkeep.trash(self.engine, [run.id], self.now)
            elif order == "undo":
                upkeep.undo(self.engine, [run.id])
            else:
                queue.change_priority(self.engine, [run.id], 1)
        except InvalidTransition:
            assert not allowed[order]
        else:
            assert allowed[order]

    def kept(self, run_id: int) -> bool:
        return self.record(run_id).trashed is None

    @rule(paused=st.booleans())
    def pause_or_resume(self, paused: bool) -> None:
        if paused:
            queue.pause(self.engine, self.now)
        else:
            queue.resume(self.engine)
        self.paused = paused

    @rule(seconds=st.sampled_from([1.0, 20.0, LEASE + 1, 5000.0, -10.0, -LEASE - 5, -4000.0]))
    def clock_steps(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_run_is_lost_or_owned_twice(self) -> None:
        for run_id in self.runs:
            run = self.record(run_id)
            running = [attempt for attempt in run.attempts if attempt.outcome is None]
            assert len(running) == (run.status is JobStatus.RUNNING)
            assert tuple(running) == run.attempts[len(run.attempts) - len(running) :]
            assert (run.finished is not None) == (run.status in OVER)
            assert self.finishes.get(run_id, 0) == (run.status is JobStatus.DONE)
        owners = [claim.run_id for claim in self.held.values() if self.owns(claim)]
        assert len(owners) == len(set(owners))

    @invariant()
    def nothing_in_the_trash_is_under_way_or_needed(self) -> None:
        runs = [self.record(run_id) for run_id in self.runs]
        lying = {run.id for run in runs if run.trashed is not None}
        assert {run.status for run in runs if run.id in lying} <= {*OVER}
        assert all(run.id in lying for run in runs if lying & {*run.parents})

    def everything_can_still_be_done(self) -> None:
        """From any state, a user who undoes, resumes and retries and one worker end every run."""
        while not all(map(self.kept, self.runs)):
            upkeep.undo(self.engine)
        queue.resume(self.engine)
        for _ in range(2):  # the second time for what a cancel asked earlier has ended
            self.now += 10_000.0
            queue.claim(self.engine, "w", now=self.now, lease_seconds=1.0, only=[])  # settles what is lost
            for run_id in self.runs:
                if self.record(run_id).status in (JobStatus.FAILED, JobStatus.CANCELLED):
                    queue.retry(self.engine, [run_id], self.now)
        while claim := queue.claim(self.engine, "w", now=self.now, lease_seconds=LEASE):
            queue.finish(self.engine, claim.run_id, claim.attempt, [], now=self.now)
        assert {self.record(run_id).status for run_id in self.runs} <= {JobStatus.DONE}


TestAnySequenceOfEventsLosesNoJobAndRunsNoneTwice = QueueMachine.TestCase
TestAnySequenceOfEventsLosesNoJobAndRunsNoneTwice.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
