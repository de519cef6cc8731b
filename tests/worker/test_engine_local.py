"""Several jobs at a time on one machine: real processes, killed for real."""

import os
import signal
from pathlib import Path

import pytest

from fsrun.worker.local_engine import LocalFleet
from fsrun.worker.nodes import new_fleet, ordered
from store.jobs import JobStatus, Outcome
from tests.cli.cli_cases import Case, assert_refused, in_its_own_process
from tests.worker.engine_cases import SHORT, final_states, parent, times_done
from tests.worker.worker_cases import ask, processes_of, runners, wait_until, working

ENDLESS = SHORT | {"steps": [50_000_000]}


def slots(home: Case) -> set[int]:
    return processes_of("fsrun.worker.local_engine", home)


def both_are_under_way(home: Case) -> bool:
    return all(home.run(run_id).step > 0 for run_id in (1, 2))


def test_jobs_at_the_same_time_measure_what_they_measure_one_after_another(
    home: Case, tmp_path: Path
) -> None:
    alone = Case(tmp_path / "alone")
    alone.root.mkdir()
    for each in (alone, home):
        ask(each, "synthetic", "linear", SHORT, seeds=4)
    assert in_its_own_process(alone, "worker", "--drain").code == 0
    answer = in_its_own_process(home, "worker", "--drain", "--jobs", "2")
    assert (answer.code, answer.err) == (0, "")
    assert "2 jobs" in answer.out.splitlines()[0]
    assert times_done(home) == [1] * 4
    assert final_states(home) == final_states(alone)
    wait_until(lambda: not runners(home))


def test_a_killed_job_goes_on_in_another_slot_and_ctrl_c_hands_all_back(home: Case) -> None:
    ask(home, "synthetic", "linear", ENDLESS, seeds=2)
    with working(home, "worker", "--jobs", "2") as command:
        wait_until(lambda: both_are_under_way(home), 120)
        assert home.statuses() == [JobStatus.RUNNING] * 2
        killed = next(iter(slots(home)))
        its_runner = next(pid for pid in runners(home) if parent(pid) == killed)
        for pid in (killed, its_runner):  # a runner left alone hands its job back
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: max(len(home.run(run_id).attempts) for run_id in (1, 2)) == 2, 120)
        wait_until(lambda: home.statuses() == [JobStatus.RUNNING] * 2, 120)
        command.send_signal(signal.SIGINT)
        said, refused = command.communicate(timeout=120)
    assert (command.returncode, refused) == (0, "")
    assert "died (its process was ended by SIGKILL)" in said
    assert home.statuses() == [JobStatus.QUEUED] * 2
    assert {home.run(run_id).attempts[0].outcome for run_id in (1, 2)} == {Outcome.LOST, Outcome.RELEASED}
    wait_until(lambda: not runners(home))


def test_slots_end_with_a_command_that_is_killed_and_hand_their_jobs_back(home: Case) -> None:
    ask(home, "synthetic", "linear", ENDLESS, seeds=2)
    with working(home, "worker", "--jobs", "2") as command:
        wait_until(lambda: both_are_under_way(home), 120)
        command.kill()
        command.wait()
        wait_until(lambda: not slots(home) and not runners(home), 120)
    assert home.statuses() == [JobStatus.QUEUED] * 2
    assert [home.run(run_id).attempts[0].outcome for run_id in (1, 2)] == [Outcome.RELEASED] * 2


def test_slots_share_the_gpus_evenly(home: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSRUN_HOME", str(home.root))
    home.engine().dispose()

    def on(gpu: str) -> int:
        return len(processes_of("fsrun.worker.local_engine", home, f"CUDA_VISIBLE_DEVICES={gpu}"))

    with ordered(home, new_fleet("local"), "cpu", {}) as order:
        fleet = LocalFleet(order, 3, ["4", "7"])
        fleet.start(["x-0", "x-1", "x-2"])
        wait_until(lambda: (on("4"), on("7")) == (2, 1))
        fleet.withdraw(["x-0", "x-1", "x-2"])
        wait_until(lambda: not (fleet.ended() or fleet.in_flight()))


def test_several_jobs_and_several_gpus_for_one_exclude_each_other(home: Case) -> None:
    answer = in_its_own_process(home, "worker", "--jobs", "2", "--gpus", "2", "--device", "cpu")
    assert_refused(answer, "--jobs 2", "--gpus 2")
    assert answer.code == 2
