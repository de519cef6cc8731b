"""What a worker prints while it works: of its own jobs, whatever other workers do beside it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from experiments.sweeps import Sweep, plan
from fsrun.cli.foreground import Watch
from fsrun.planning import requests
from store import queue
from store.engine import open_store
from store.results import ResultRow
from store.runs import RunRequest, enqueue, get_run


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_store(tmp_path / "fsrun.db")
    enqueue(made, requests(plan(Sweep("omniglot", ("protonet",), "quick", seeds=3))), now=0.0, provenance={})
    yield made
    made.dispose()


def claim(engine: Engine, worker: str, run_id: int) -> queue.Claim:
    found = queue.claim(engine, worker, now=1.0, lease_seconds=60.0, only=[run_id], device="cpu")
    assert found is not None
    return found


def told(watch: Watch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    watch.tick(now=True)
    return [" ".join(line.split()[:2] + line.split()[-1:]) for line in capsys.readouterr().out.splitlines()]


def finish(engine: Engine, job: queue.Claim) -> None:
    accuracy = ResultRow("test/accuracy", 0.9, 0.01, 100)
    queue.finish(engine, job.run_id, job.attempt, [accuracy], now=2.0)


def test_a_worker_tells_of_its_own_jobs_alone(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch(engine, None, "mine")
    mine, other = claim(engine, "mine", 1), claim(engine, "other", 2)
    assert told(watch, capsys) == ["run 1 started"]
    finish(engine, other)
    finish(engine, mine)
    assert told(watch, capsys) == ["run 1 90.0%"]
    queue.request_cancel(engine, [3], 3.0)
    assert told(watch, capsys) == []


def test_a_job_that_begins_and_ends_between_two_looks_is_told_of(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(engine, None, "mine")
    finish(engine, claim(engine, "mine", 1))
    assert told(watch, capsys) == ["run 1 started", "run 1 90.0%"]


def test_a_worker_tells_what_it_hands_back_and_not_who_takes_it_then(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(engine, None, "mine")
    job = claim(engine, "mine", 1)
    assert told(watch, capsys) == ["run 1 started"]
    queue.release(engine, job.run_id, job.attempt, now=2.0)
    assert told(watch, capsys) == ["run 1 1000"]  # is queued at step 0 of 1000
    claim(engine, "other", 1)
    assert told(watch, capsys) == []


def test_runs_that_were_asked_for_are_told_of_whoever_has_them(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(engine, [2], "mine")
    claim(engine, "other", 1)
    claim(engine, "other", 2)
    assert told(watch, capsys) == ["run 2 started"]


def test_a_job_is_told_of_to_its_end_however_many_runs_are_newer(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = get_run(engine, 3).spec
    enqueue(engine, [RunRequest(replace(spec, seed=seed)) for seed in range(1001)], now=1.0, provenance={})
    watch = Watch(engine, None, "mine")
    job = claim(engine, "mine", 1)
    assert told(watch, capsys) == ["run 1 started"]
    finish(engine, job)
    assert told(watch, capsys) == ["run 1 90.0%"]
    watch.say_what_is_left()
    assert capsys.readouterr().out.splitlines()[-1].startswith("newest 20 of 1,003 that are queued")
