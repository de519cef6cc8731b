import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial

import pytest

from store.jobs import JobStatus, Outcome
from store.results import ResultRow
from tests.cli.cli_cases import Case, Points, environment, in_its_own_process
from tests.worker.worker_cases import (
    LONG,
    STEPS,
    ask,
    ask_for_the_long_run,
    held_under_way,
    is_alive,
    runners,
    the_runner,
    wait_until,
    wait_until_told,
    working,
)

Numbers = tuple[tuple[ResultRow, ...], Points]


def outcomes(home: Case, run_id: int = 1) -> list[Outcome | None]:
    return [attempt.outcome for attempt in home.run(run_id).attempts]


def has_begun_again(home: Case, times: int) -> bool:
    return len(outcomes(home)) > times


def said_by_workers(home: Case) -> str:
    return "".join(log.read_text() for log in home.logs.glob("supervisor-*.log"))


def is_under_way(home: Case) -> bool:
    return bool(home.statuses()) and home.run(1).step > 0


def test_ctrl_c_hands_the_run_back_and_the_same_command_ends_it_with_the_same_numbers(
    home: Case, undisturbed: Numbers
) -> None:
    with working(home, "run", "synthetic", *LONG) as worker:
        with held_under_way(home) as runner:
            worker.send_signal(signal.SIGINT)
            wait_until_told(runner)
        said, refused = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "Stopping" in said
    assert refused.startswith("fsrun: not finished")
    assert refused.count("\n") == 1
    stopped = home.run(1)
    assert stopped.status is JobStatus.QUEUED
    assert 0 < stopped.step < STEPS
    assert [row.step for row in stopped.checkpoints] == [stopped.step]

    answer = in_its_own_process(home, "run", "synthetic", *LONG)
    assert (answer.code, answer.err) == (0, "")
    assert "Run 1 has this config (queued): going on" in answer.out
    assert "started again (attempt 2)" in answer.out
    assert home.statuses() == [JobStatus.DONE]
    assert outcomes(home) == [Outcome.RELEASED, Outcome.DONE]
    assert home.run(1).attempts[1].from_step == stopped.step
    assert home.numbers(1) == undisturbed


def test_a_closed_terminal_has_the_worker_hand_its_job_back_and_say_so_in_its_log(home: Case) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        with held_under_way(home) as runner:
            for _ in range(2):  # the kernel's and the shell's
                worker.send_signal(signal.SIGHUP)
            wait_until_told(runner)
        _, refused = worker.communicate(timeout=60)
    assert (worker.returncode, refused) == (0, "")
    stopped = home.run(1)
    assert (stopped.status, outcomes(home)) == (JobStatus.QUEUED, [Outcome.RELEASED])
    assert [row.step for row in stopped.checkpoints] == [stopped.step]
    assert "SIGHUP" in said_by_workers(home)


def test_a_worker_that_nobody_can_hear_goes_on_and_its_log_has_what_it_says(home: Case) -> None:
    ask_for_the_long_run(home)
    terminal, its_end = os.openpty()
    os.set_blocking(its_end, False)
    with suppress(BlockingIOError):
        while True:  # until it takes nothing more, as after Ctrl-S
            os.write(its_end, b"." * 1000)
    os.set_blocking(its_end, True)
    command = "trap '' HUP; exec \"$@\" 2>/dev/full"  # as nohup has it
    with subprocess.Popen(
        ["/bin/sh", "-c", command, "sh", sys.executable, "-m", "fsrun", "worker", "--drain"],
        stdin=subprocess.DEVNULL,
        stdout=its_end,
        env=environment(home),
    ) as worker:
        os.close(its_end)
        try:
            wait_until(lambda: is_under_way(home) and "started" in said_by_workers(home))
            os.close(terminal)
            worker.send_signal(signal.SIGHUP)
            assert worker.wait(60) == 0
        finally:
            worker.kill()
    assert (home.statuses(), outcomes(home)) == ([JobStatus.DONE], [Outcome.DONE])
    assert "done in" in said_by_workers(home).splitlines()[-1]


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_worker_ended_while_its_runner_starts_leaves_the_job_alone(
    home: Case, *, whole_group: bool
) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        runner = the_runner(home)
        worker.send_signal(signal.SIGTERM)
        if whole_group:  # as a service manager does
            os.kill(runner, signal.SIGTERM)
        _, refused = worker.communicate(timeout=60)
    assert (worker.returncode, refused) == (0, "")
    assert home.statuses() == [JobStatus.QUEUED]
    assert outcomes(home) == []


@pytest.mark.parametrize("further", [1, 20])
def test_a_second_ctrl_c_ends_a_runner_that_does_not_look_up(home: Case, further: int) -> None:
    ask(home, "synthetic", "linear", {"steps": [50_000_000], "log_every": [50_000_000]})
    with working(home, "worker", "--drain") as worker:
        wait_until(lambda: home.log(1).is_file())  # it trains from now on, in one long chunk
        worker.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(timeout=1.0)
        for _ in range(further):  # one may come while another is dealt with
            worker.send_signal(signal.SIGINT)
            time.sleep(0.01)
        worker.communicate(timeout=20)
    assert home.statuses() == [JobStatus.QUEUED]
    assert outcomes(home) == [Outcome.RELEASED]


def test_a_runner_that_is_killed_is_replaced_and_the_numbers_stay_the_same(
    home: Case, undisturbed: Numbers
) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        with held_under_way(home) as first:
            os.kill(first, signal.SIGKILL)
        said, refused = worker.communicate(timeout=60)
    assert (worker.returncode, refused) == (0, "")
    assert "attempt 2" in said
    assert home.statuses() == [JobStatus.DONE]
    assert outcomes(home) == [Outcome.CRASHED, Outcome.DONE]
    assert "SIGKILL" in str(home.run(1).attempts[0].error)
    assert home.numbers(1) == undisturbed


def test_a_killed_worker_takes_no_job_along_and_another_goes_on_from_its_checkpoint(
    home: Case, undisturbed: Numbers
) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        with held_under_way(home) as runner:
            worker.kill()
            worker.wait()
        wait_until(lambda: not is_alive(runner))  # long before the lease ends
    (log,) = (home.root / "logs").glob("worker-*.log")
    assert log.read_text() == ""  # nobody is left to answer to, which is no error
    stopped = home.run(1)
    assert stopped.status is JobStatus.QUEUED
    assert [row.step for row in stopped.checkpoints] == [stopped.step]

    answer = in_its_own_process(home, "worker", "--drain")
    assert (answer.code, answer.err) == (0, "")
    assert outcomes(home) == [Outcome.RELEASED, Outcome.DONE]
    assert home.run(1).attempts[1].from_step == stopped.step
    assert home.numbers(1) == undisturbed


def test_a_job_that_kills_its_runner_three_times_fails_and_the_next_one_is_done(home: Case) -> None:
    without_a_name = signal.SIGRTMIN + 6
    ask(home, "synthetic", "linear", {"steps": [50_000_000]})  # never done before the third kill
    ask(home, "synthetic", "linear", {"steps": [4000], "episodes": [10], "sampler": ["direct"]})
    with working(home, "worker", "--drain") as worker:
        for dead, number in enumerate((signal.SIGKILL, without_a_name, signal.SIGKILL)):
            wait_until(partial(has_begun_again, home, dead))
            (runner,) = runners(home)
            os.kill(runner, number)
        said, _ = worker.communicate(timeout=60)
    assert home.statuses() == [JobStatus.FAILED, JobStatus.DONE]
    assert outcomes(home) == [Outcome.CRASHED] * 3
    assert f"ended by signal {without_a_name:d}" in str(home.run(1).attempts[1].error)
    assert "crashed 3 times in a row" in str(home.run(1).error)
    assert "run 1 Linear fast/slow seed 0 failed: crashed 3 times in a row" in said


def test_a_running_job_is_cancelled_with_a_checkpoint_that_retry_keeps(home: Case) -> None:
    ask(home, "synthetic", "linear", {"steps": [50_000_000], "log_every": [20]})
    with working(home, "worker", "--drain") as worker:
        wait_until(lambda: is_under_way(home))
        answer = in_its_own_process(home, "cancel", "1")
        assert answer.out == "Run 1 will stop at its next checkpoint.\n"
        said, _ = worker.communicate(timeout=60)
    assert "run 1 Linear fast/slow seed 0 cancelled" in said
    stopped = home.run(1)
    assert stopped.status is JobStatus.CANCELLED
    assert [row.step for row in stopped.checkpoints] == [stopped.step]

    assert in_its_own_process(home, "retry", "1").out == "Run 1 is queued again.\n"
    assert home.statuses() == [JobStatus.QUEUED]
    assert home.run(1).checkpoints == stopped.checkpoints
