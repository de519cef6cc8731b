"""What a command says, where nobody can read it, the disk is full, or the encoding lacks a character."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from store.jobs import JobStatus
from tests.cli.cli_cases import TINY, Answer, Case, environment
from tests.worker.worker_cases import ask_for_the_long_run

SECONDS = 60
SAMPLE = ("synthetic", "--method", "linear", *TINY)


def spoken_into(output: int | None, home: Case, *words: str, **settings: str) -> Answer:
    """Type a command whose standard output is this file, None: closed."""
    line = 'exec "$@" >&-' if output is None else 'exec "$@"'
    done = subprocess.run(
        ["/bin/sh", "-c", line, "sh", sys.executable, "-m", "fsrun", *words],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        env=environment(home) | settings,
        check=False,
    )
    return Answer(done.returncode, "", done.stderr)


def unheard(home: Case, *words: str) -> Answer:
    """Type a command into a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return spoken_into(writer, home, *words)
    finally:
        os.close(writer)


@pytest.mark.parametrize("words", ["--help", "ls", "show 1", "report --table2"])
def test_a_reader_who_has_seen_enough_is_no_error(finished_home: Case, words: str) -> None:
    answer = unheard(finished_home, *words.split())
    assert (answer.code, answer.err) == (0, "")


def test_a_command_that_changes_something_does_so_also_where_nobody_listens(home: Case) -> None:
    answer = unheard(home, "queue", *SAMPLE)
    assert (answer.code, answer.err) == (0, "")
    assert home.statuses() == [JobStatus.QUEUED]


@pytest.mark.parametrize("words", ["watch 1", "logs 1 --follow"])
def test_what_only_follows_a_run_ends_with_its_reader(home: Case, words: str) -> None:
    ask_for_the_long_run(home)
    answer = unheard(home, *words.split())
    assert (answer.code, answer.err) == (0, "")
    assert home.statuses() == [JobStatus.QUEUED]


def test_standard_output_that_is_closed_is_no_error(finished_home: Case) -> None:
    assert spoken_into(None, finished_home, "ls") == Answer(0, "", "")


def test_a_full_disk_under_standard_output_is_told_in_one_line(finished_home: Case) -> None:
    with Path("/dev/full").open("w") as full:
        answer = spoken_into(full.fileno(), finished_home, "ls")
    assert answer.code == 1
    assert answer.err.startswith("fsrun: standard output cannot be written (No space left on device)")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(("encoding", "mark"), [("ascii", b"?"), ("latin-1", b"\xb1")])
def test_characters_that_the_encoding_lacks_are_replaced(
    finished_home: Case, tmp_path: Path, encoding: str, mark: bytes
) -> None:
    path = tmp_path / "said"
    with path.open("wb") as said:
        answer = spoken_into(said.fileno(), finished_home, "show", "1", PYTHONIOENCODING=encoding)
    assert (answer.code, answer.err) == (0, "")
    result = next(line for line in path.read_bytes().splitlines() if line.startswith(b"test/loss_ratio"))
    assert result.split()[2] == mark


@pytest.mark.parametrize("program", [["-m", "fsrun"], ["-c", "from fsrun.cli import main; main()"]])
def test_ctrl_c_while_the_command_is_still_loading_ends_it_without_a_traceback(
    home: Case, tmp_path: Path, program: list[str]
) -> None:
    slow = "import time\nprint('loading', flush=True)\ntime.sleep(60)\n"
    (tmp_path / "typer.py").write_text(slow)
    with subprocess.Popen(
        [sys.executable, *program, "ls"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home) | {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=SECONDS)
    assert (process.returncode, error) == (130, "")
