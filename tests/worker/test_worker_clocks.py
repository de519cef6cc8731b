"""Workers on one queue whose clocks differ by hours: real processes, each told its own time.

Not here: the rule by which a lease is over (tests of the store).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fsrun.liveness import differing_clocks, is_gone
from store import queue
from store.jobs import JobStatus, Outcome
from store.queue import LeaseWatch
from tests.cli.cli_cases import Case, environment
from tests.worker.worker_cases import ask, runners, wait_until, working

HOURS = 7200.0
ENDLESS = {"steps": [50_000_000], "log_every": [20]}
SMALL = {"steps": [200], "episodes": [10]}

WORKER = """
import signal, sys, time
from fsrun.paths import find_home
from fsrun.worker.supervisor import Supervisor
from store.engine import open_store
home = find_home()
say = lambda line: print(line, flush=True)
clock = lambda: time.time() + float(sys.argv[1])
worker = Supervisor(open_store(home.database), home, "cpu", worker_id="astray", say=say, clock=clock)
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
worker.work()
"""
"""What `fsrun worker` does, on a machine whose clock is wrong by so many seconds."""


@contextmanager
def working_astray(home: Case, wrong_by: float) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", WORKER, str(wrong_by)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(home)) as process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()  # its runner ends by itself


def test_a_clock_that_is_wrong_by_hours_takes_no_job_from_a_worker_that_lives_and_is_told(
    home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_LEASE_SECONDS", "20")  # so that both are heard of every 5 s
    (held,) = ask(home, "synthetic", "linear", ENDLESS)
    with working(home, "worker") as worker:
        wait_until(lambda: home.run(held).step > 0)
        others = ask(home, "synthetic", "linear", SMALL, seeds=3)
        with working_astray(home, HOURS) as astray:
            assert astray.stdout is not None
            said = astray.stdout.readline()
            assert said.startswith("The clock of ")
            assert " behind this machine's" in said
            wait_until(lambda: home.statuses() == [JobStatus.RUNNING, *[JobStatus.DONE] * 3])
            told: dict[str, float] = {}
            wait_until(lambda: bool(told.update(differing_clocks(home.engine())) or told))
            assert told == {"astray": pytest.approx(HOURS, abs=20.0)}
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    wait_until(lambda: not runners(home))
    assert [each.outcome for each in home.run(held).attempts] == [Outcome.RELEASED]
    assert [[each.outcome for each in home.run(run_id).attempts] for run_id in others] == [[Outcome.DONE]] * 3
    assert home.run(held).step > 0


def test_a_job_whose_worker_was_killed_goes_on_at_once_when_its_lease_has_run_out(
    home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_LEASE_SECONDS", "2")
    (run_id,) = ask(home, "synthetic", "linear", ENDLESS)
    with working(home, "worker") as worker:
        wait_until(lambda: home.run(run_id).step > 0)
        for pid in (worker.pid, *runners(home)):  # both at once: a runner left alone hands its job back
            os.kill(pid, signal.SIGKILL)
        worker.wait()
    assert home.statuses() == [JobStatus.RUNNING]
    wait_until(lambda: queue.outlook(home.engine(), time.time()).claimable == 1)  # its lease has run out
    leases = LeaseWatch(60.0, is_gone).look(home.engine(), time.time(), steady=0.0)
    assert {lease.run_id for lease in leases.over} == {run_id}
