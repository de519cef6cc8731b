import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fsrun.worker.fleet import Coordinator
from fsrun.worker.nodes import ordered
from fsrun.worker.slurm_engine import SlurmFleet
from store.jobs import JobStatus, Outcome
from store.snapshot import snapshot
from tests.cli.cli_cases import Case, assert_refused, environment, in_its_own_process
from tests.worker.engine_cases import SHORT, descendants, final_states, times_done
from tests.worker.worker_cases import ask, held_under_way, runners, wait_until, wait_until_told

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'fsrun[slurm]'")

LONGER = SHORT | {"steps": [10_000]}

COMMAND = """
import sys
from fsrun.cli.clusters import Asked, serve_on_slurm
from fsrun.cli.errors import reported
from fsrun.cli.options import open_database
asked = Asked("auto", drain=True, cpus=1.0, gpus=None, most=2)
sys.exit(reported(lambda: serve_on_slurm(open_database(), asked, [], cluster="local")))
"""
"""What `fsrun worker --engine slurm --drain --jobs 2` does, with elements as processes here."""


@contextmanager
def elements(home: Case) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
    ) as process:
        yield process
        process.wait(240)
    wait_until(lambda: runners(home) == set())


def worker_of(home: Case, run_id: int) -> int:
    """Return the process of the worker that holds a run."""
    working_on: dict[int | None, int] = {}

    def is_listed() -> bool:
        working_on.update((each.run_id, each.pid) for each in snapshot(home.engine(), now=0.0).workers)
        return run_id in working_on

    wait_until(is_listed, 240)
    return working_on[run_id]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_element_that_is_preempted_hands_its_job_back_and_goes_on_with_the_same_numbers(
    home: Case, tmp_path: Path
) -> None:
    alone = Case(tmp_path / "alone")
    alone.root.mkdir()
    for each in (alone, home):
        ask(each, "synthetic", "linear", LONGER)
        ask(each, "synthetic", "linear", SHORT, seeds=4)
    assert in_its_own_process(alone, "worker", "--drain", seconds=400).code == 0
    with elements(home) as command:
        worker = worker_of(home, 1)
        wait_until(lambda: len(runners(home) & descendants([worker])) == 1)
        (runner,) = runners(home) & descendants([worker])
        with held_under_way(home, runner):
            os.kill(worker, signal.SIGUSR2)
            wait_until_told(runner)
        said, refused = command.communicate(timeout=400)
    assert command.returncode == 0, refused
    assert home.statuses() == [JobStatus.DONE] * 5
    assert times_done(home) == [1] * 5
    assert [each.outcome for each in home.run(1).attempts] == [Outcome.RELEASED, Outcome.DONE]
    assert final_states(home) == final_states(alone)
    assert "on Slurm, at most 2 jobs at a time" in said


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--gpus-per-job", "0.5"), ("whole CPUs and GPUs",)),
        (("--slurm", "partition"), ("--slurm 'partition' is not NAME=VALUE",)),
        (("--slurm", "partitions=gpu"), ("partitions", "--slurm partition=gpu")),
        (("--address", "auto"), ("--address is for --engine ray",)),
    ],
)
def test_what_slurm_cannot_be_asked_for_is_refused(
    home: Case, words: tuple[str, ...], parts: tuple[str, ...], a_slurm: None
) -> None:
    assert_refused(in_its_own_process(home, "worker", "--engine", "slurm", *words), *parts)


def test_without_slurm_the_command_says_where_to_type_it(
    home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_refused(in_its_own_process(home, "worker", "--engine", "slurm"), "no Slurm here", "sbatch")


@pytest.fixture
def a_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a program `srun` on the path, which is how submitit knows that there is a Slurm."""
    program = tmp_path / "bin" / "srun"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def a_full_slurm(a_slurm: None, tmp_path: Path) -> Path:
    """Put programs of a Slurm on the path whose elements all wait for room; return the log of its scancel."""
    queued, cancelled = tmp_path / "queued", tmp_path / "cancelled"
    programs = {
        "sbatch": f"printf '7_0\\n7_1\\n7_2\\n' > {queued}; echo Submitted batch job 7",
        "squeue": f"cat {queued}",
        "scancel": f'echo "$@" >> {cancelled}; : > {queued}',
    }
    for name, what in programs.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{what}\n")
        program.chmod(0o700)
    return cancelled


def test_ctrl_c_withdraws_what_slurm_has_not_begun_by_one_command_and_calls_no_slot_dead(
    home: Case, a_full_slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsrun.worker.slurm_engine.LOOK_SECONDS", 1.0)
    ask(home, "synthetic", "linear", SHORT, seeds=3)
    said: list[str] = []
    with ordered(home, "slurm-c0ffee", "cpu", {}) as order:
        fleet = SlurmFleet(order, home, cpus=1, gpus=0, parameters={}, most=3)
        command = Coordinator(home.engine(), fleet, say=said.append)
        command.on_tick = lambda: command.stop() if fleet.in_flight() else None
        command.work()
    assert sorted(a_full_slurm.read_text().split()) == ["7_0", "7_1", "7_2"]
    assert a_full_slurm.read_text().count("\n") == 1
    assert said == []
    assert not fleet.in_flight()
    assert home.statuses() == [JobStatus.QUEUED] * 3
