"""Memory that runs out, for real: the job says so, and the worker goes on."""

import os
import resource
import signal
from pathlib import Path

import pytest

from fsrun.worker.memory import ADVICE, OomKills, oom_kills, out_of_memory
from store.jobs import JobStatus, Outcome
from tests.cli.cli_cases import Case
from tests.worker.worker_cases import (
    ask,
    ask_for_the_long_run,
    held_under_way,
    runners,
    the_runner,
    wait_until,
    working,
)

SMALL = {
    "alphabets": [10],
    "characters": [12],
    "n_way": [5],
    "episodes": [10],
    "train_n_way": [5],
    "steps": [2],
}
SPARE = 150 * 2**20  # bytes left to the runner: enough for a small job, too little for a convolution of 1024


def address_space(pid: int) -> int:
    """Return the bytes of a process's address space."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def test_a_job_too_large_for_its_runner_says_so_and_a_fresh_runner_does_the_next_one(
    home: Case, glyphs_data_dir: Path
) -> None:
    home.data.symlink_to(glyphs_data_dir)
    ask(home, "glyphs", "protonet", SMALL | {"filters": [8]})
    with working(home, "worker") as worker:
        runner = the_runner(home)
        wait_until(lambda: home.statuses() == [JobStatus.DONE])  # all libraries are loaded by now
        limit = address_space(runner) + SPARE
        resource.prlimit(runner, resource.RLIMIT_AS, (limit, limit))
        for filters in (1024, 16):
            ask(home, "glyphs", "protonet", SMALL | {"filters": [filters]})
        wait_until(lambda: home.statuses()[2] in (JobStatus.DONE, JobStatus.FAILED))
        assert runner not in runners(home)  # whose memory is in pieces
        worker.terminate()
        said, refused = worker.communicate(timeout=60)
    assert (worker.returncode, refused) == (0, "")
    assert home.statuses() == [JobStatus.DONE, JobStatus.FAILED, JobStatus.DONE]
    first, *trace = str(home.run(2).error).splitlines()
    assert first.startswith(f"out of memory: {ADVICE}")
    assert trace[0].startswith("Traceback")
    assert "failed: out of memory" in said
    assert home.run(2).attempts[0].outcome is Outcome.FAILED  # once: it would only run out again


def test_a_runner_ended_by_the_kernels_signal_is_said_to_be_perhaps_out_of_memory(home: Case) -> None:
    ask_for_the_long_run(home)
    with working(home, "worker", "--drain") as worker:
        with held_under_way(home) as runner:
            os.kill(runner, signal.SIGKILL)
        worker.communicate(timeout=60)
    reason = str(home.run(1).attempts[0].error)
    assert (
        "ended by SIGKILL (by another process, or perhaps out of memory: then use a smaller batch" in reason
    )


@pytest.mark.parametrize(
    ("line", "folder", "file"),
    [
        ("0::/user/job", "user/job", "memory.events"),
        ("0::/", "unified", "memory.events"),
        ("4:memory:/box", "memory/box", "memory.oom_control"),
        ("4:cpu,memory:/box", "memory/box", "memory.oom_control"),
    ],
)
def test_kills_of_the_kernel_are_counted_for_the_group_and_the_machine(
    tmp_path: Path, line: str, folder: str, file: str
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (groups / folder).mkdir(parents=True)
    assert oom_kills(proc, groups) == OomKills(0, 0)
    (proc / "self" / "cgroup").write_text(f"1:name=systemd:/other\n{line}\n")
    (proc / "vmstat").write_text("pgfault 7\noom_kill 5\n")
    (groups / folder / file).write_text("low 0\noom 9\noom_kill 2\noom_group_kill 8\n")
    assert oom_kills(proc, groups) == OomKills(group=2, machine=5)


def test_what_the_counts_say_about_a_kill() -> None:
    before = OomKills(2, 5)
    assert OomKills(3, 6).since(before).startswith(" (out of memory")
    assert OomKills(2, 6).since(before).startswith(" (most likely out of memory")
    assert OomKills(2, 5).since(before).startswith(" (by another process")


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB\nmore"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error: Exception, *, is_memory: bool) -> None:
    line = out_of_memory(error)
    assert (line is not None) is is_memory
    assert "\n" not in str(line)
