"""One job on several processes, through the real queue: the numbers of one, whatever dies or stops."""

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from store.jobs import JobStatus, Outcome
from store.results import ResultRow
from tests.cli.cli_cases import Case, Points, in_its_own_process
from tests.worker.worker_cases import (
    ask,
    held_under_way,
    is_alive,
    processes_of,
    runners,
    wait_until,
    wait_until_told,
    working,
)

Numbers = tuple[tuple[ResultRow, ...], Points]

STEPS = 150
SETTINGS: dict[str, Sequence[Any]] = {
    "pretrain.steps": [STEPS],
    "pretrain.log_every": [2],
    "pretrain.validate_every": [0],
    "pretrain.filters": [4],
    "pretrain.train_n_way": [6],
    "pretrain.lr": [1e-4],
    "alphabets": [10],
    "characters": [12],
    "episodes": [4],
}
FAST_SLOW: dict[str, Sequence[Any]] = {"steps": [1], "inner_steps": [1], "views": [1], "train_n_way": [3]}
WORKER = ("worker", "--drain", "--gpus", "2", "--device", "cpu")
RUNNER = "fsrun.worker.runner"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def ask_for_pre_training(home: Case) -> None:
    """Queue as run 1 a pre-training that takes some seconds, and a run that only measures it."""
    ask(home, "glyphs", "cnn-nn", SETTINGS)


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A home in which a pre-training was shared by two processes, and Fast/Slow went on from it."""
    case = Case(tmp_path_factory.mktemp("two"))
    ask(case, "glyphs", "fastslow", SETTINGS | FAST_SLOW)
    answer = in_its_own_process(case, *WORKER, seconds=300)
    assert (answer.code, answer.err) == (0, "")
    assert "Pre-training is shared by 2 processes on the CPU; any other job has one" in answer.words
    return case


def the_process(home: Case, rank: int) -> int:
    """Return the process that leads, 0, or the one that follows, 1."""
    wait_until(lambda: len(processes_of(RUNNER, home, f"RANK={rank}")) == 1, patience=120)
    return processes_of(RUNNER, home, f"RANK={rank}").pop()


def assert_close(found: Case, expected: Case) -> None:
    """Both have the same numbers but for rounding."""
    results, curves = found.numbers(1)
    others, other_curves = expected.numbers(1)
    assert curves.keys() == other_curves.keys()
    for name in ("train/loss", "train/accuracy"):
        steps, values = curves[name]
        assert steps == other_curves[name][0] == tuple(range(1, STEPS + 1))
        tolerance = 1e-3 if name == "train/loss" else 0.1
        assert values == pytest.approx(other_curves[name][1], abs=tolerance)
    assert [row.name for row in results] == [row.name for row in others]
    assert [row.value for row in results] == pytest.approx([row.value for row in others], abs=0.02)


def test_two_processes_give_the_numbers_of_one_and_show_says_so(by_two: Case, home: Case) -> None:
    ask(home, "glyphs", "fastslow", SETTINGS | FAST_SLOW)
    answer = in_its_own_process(home, "worker", "--drain", "--device", "cpu", seconds=300)
    assert (answer.code, answer.err) == (0, "")
    assert home.statuses() == by_two.statuses() == [JobStatus.DONE] * 2
    assert_close(by_two, home)
    shared, alone = (case.run(1).attempts[0].provenance for case in (by_two, home))
    assert shared["processes"] == "2 on cpu"
    assert "processes" not in {**alone, **by_two.run(2).attempts[0].provenance}
    assert "processes 2 on cpu" in in_its_own_process(by_two, "show", "1").words


def test_a_process_that_is_killed_ends_all_and_the_run_has_the_numbers_of_an_undisturbed_one(
    by_two: Case, home: Case
) -> None:
    ask_for_pre_training(home)
    with working(home, *WORKER, patience=300) as worker:
        with held_under_way(home, the_process(home, 0)):
            os.kill(the_process(home, 1), signal.SIGKILL)
        said, refused = worker.communicate(timeout=300)
    assert (worker.returncode, refused) == (0, "")
    assert "attempt 2" in said
    crashed, done = home.run(1).attempts
    assert (crashed.outcome, done.outcome) == (Outcome.CRASHED, Outcome.DONE)
    assert "SIGKILL" in str(crashed.error)
    assert "process 1 of 2, counted from 0, was ended by SIGKILL" in str(crashed.error)
    assert home.numbers(1) == by_two.numbers(1)


def test_a_run_that_two_processes_began_and_cancelled_is_ended_by_one(by_two: Case, home: Case) -> None:
    ask_for_pre_training(home)
    with working(home, *WORKER, patience=300) as worker:
        with held_under_way(home, the_process(home, 0)) as leader:
            in_its_own_process(home, "cancel", "1")
            wait_until_told(leader)
        worker.communicate(timeout=300)
    stopped = home.run(1)
    assert stopped.status is JobStatus.CANCELLED
    assert stopped.checkpoints[0].step == stopped.step
    assert 0 < stopped.step < STEPS
    assert in_its_own_process(home, "retry", "1").code == 0
    answer = in_its_own_process(home, "worker", "--drain", "--device", "cpu", seconds=300)
    assert (answer.code, answer.err) == (0, "")
    assert home.run(1).attempts[1].from_step == stopped.step
    assert_close(home, by_two)


def test_ctrl_c_hands_the_run_back_and_nothing_outlives_a_killed_launcher(home: Case) -> None:
    ask_for_pre_training(home)
    with working(home, *WORKER, patience=300) as worker:
        with held_under_way(home, the_process(home, 0)) as leader:
            worker.send_signal(signal.SIGINT)
            wait_until_told(leader)
        said, refused = worker.communicate(timeout=120)
    assert (worker.returncode, refused) == (0, "")
    assert "Stopping" in said
    stopped = home.run(1)
    assert stopped.status is JobStatus.QUEUED
    assert stopped.checkpoints[0].step == stopped.step

    with working(home, *WORKER, patience=300) as worker:
        wait_until(lambda: len(runners(home)) == 3, patience=120)
        all_of_them = runners(home)
        (launcher,) = all_of_them - processes_of(RUNNER, home, "WORLD_SIZE=2")
        os.kill(launcher, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, all_of_them)))
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=120)


def test_a_service_manager_that_ends_all_at_once_loses_no_step(home: Case) -> None:
    ask_for_pre_training(home)
    with working(home, *WORKER, patience=300) as worker:
        with held_under_way(home, the_process(home, 0)) as leader:
            for pid in (worker.pid, *runners(home)):
                os.kill(pid, signal.SIGTERM)
            wait_until_told(leader)
        worker.communicate(timeout=120)
    stopped = home.run(1)
    assert stopped.status is JobStatus.QUEUED
    assert [attempt.outcome for attempt in stopped.attempts] == [Outcome.RELEASED]
    assert stopped.checkpoints[0].step == stopped.step
    assert stopped.step > 0
