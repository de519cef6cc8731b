"""The command `watch`: one run in plain lines until it is over."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from store import queue, workers
from store.curves import Point, write_points
from store.jobs import JobStatus
from store.results import ResultRow
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused, environment


@contextmanager
def watching(home: Case) -> Iterator[subprocess.Popen[str]]:
    """Watch run 1 in a process of its own."""
    command = [sys.executable, "-m", "fsrun", "watch", "1", "--every", "0.5"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(home), **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line without its time of day."""
    assert process.stdout is not None
    said = process.stdout.readline().rstrip("\n")
    return said[9:] if said[:2].isdigit() else said


def taken(engine: Engine) -> queue.Claim:
    now = time.time()
    workers.register(engine, "w", host="elsewhere", pid=1, device="cpu", now=now)
    claim = queue.claim(engine, "w", now=now, lease_seconds=60)
    assert claim is not None
    return claim


def report(engine: Engine, step: int, value: float) -> None:
    points = [Point(name, step, value, 1.0) for name in ("train/loss", "val/accuracy", "val/accuracy.low")]
    write_points(engine, 1, 1, points, step=step, rate=50.0, now=time.time())


def test_a_run_is_followed_line_by_line_to_its_result(typed: Typed, home: Case) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    engine = home.engine()
    with watching(home) as process:
        assert line(process) == "run 1 queued"
        taken(engine)
        assert line(process) == "run 1 running"
        report(engine, 100, 0.5)
        values = "train/loss 0.5, val/accuracy 50.0%"
        assert line(process) == f"run 1 running, step 100 of 400, 50 steps per second, 6s left, {values}"
        queue.finish(engine, 1, 1, [ResultRow("test/accuracy", 0.75, 0.01, 50)], now=time.time())
        assert line(process).startswith("run 1 done, step 100 of 400, ")
        assert line(process).startswith("Run 1 is done after ")
        assert line(process) == "test/accuracy 75.0% ± 1.0%"
        assert process.wait(30) == 0
    engine.dispose()


def test_a_run_that_ends_otherwise_ends_the_watch_with_exit_code_1(typed: Typed, home: Case) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    engine = home.engine()
    claim = taken(engine)
    queue.fail(engine, 1, claim.attempt, "Traceback\nValueError: \x1b[31mboom", now=time.time())
    failed = typed("watch", "1")
    assert_refused(failed, "run 1 failed: ValueError: ·[31mboom", "fsrun show 1")
    assert failed.out.endswith("run 1 failed\n")
    queue.retry(engine, [1], time.time())
    typed("cancel", "1")
    assert_refused(typed("watch", "1"), "run 1 was cancelled", "fsrun retry 1")
    assert_refused(typed("watch", "2"), "there is no run 2")
    engine.dispose()


def test_ctrl_c_leaves_the_run_alone(typed: Typed, home: Case) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    engine = home.engine()
    taken(engine)
    with watching(home) as process:
        assert line(process) == "run 1 running"
        process.send_signal(signal.SIGINT)
        assert line(process) == "No longer watching; the run goes on."
        assert process.wait(30) == 130
    run = home.run(1)
    assert (run.status, run.cancel_requested) == (JobStatus.RUNNING, False)
    engine.dispose()
