"""The dashboard in a real terminal: what a person sees, types, and is left with."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte
import pytest

from store.jobs import JobStatus
from store.runs import get_run
from tests.cli.cli_cases import environment
from tests.tui.tui_cases import Lab

LINES, COLUMNS = 30, 100
PATIENCE = 60.0  # seconds


class Terminal:
    """A shell in a terminal, and what its screen shows."""

    def __init__(self, command: str, home: Path, columns: int = COLUMNS, lines: int = LINES) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)
        self.said = ""
        self.child = pexpect.spawn(
            "/bin/sh",
            ["-c", command],
            env={
                "FSRUN_HOME": str(home),
                "TERM": "xterm-256color",
                "PATH": "/usr/bin:/bin",
                "HOME": str(home),
            },
            dimensions=(lines, columns),
            encoding="utf-8",
            timeout=PATIENCE,
        )

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.screen.display)
            self._read()

    def shows(self, *words: str) -> Callable[[], bool]:
        return lambda: all(any(word in line for line in self.screen.display) for word in words)

    def end(self) -> int | None:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        self.child.close()
        code: int | None = self.child.exitstatus
        return code

    def assert_restored(self) -> None:
        for mode in ("1049", "1000", "1003", "2004"):  # other screen, mouse, pasting
            assert self.said.rfind(f"\x1b[?{mode}l") > self.said.rfind(f"\x1b[?{mode}h") >= 0
        assert self.said.rfind("\x1b[?25h") > self.said.rfind("\x1b[?25l") > 0  # the cursor

    def _read(self) -> bool:
        try:
            part = self.child.read_nonblocking(65_536, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.said += part
        # Asking for the keyboard's protocol is a kind of sequence that pyte would print.
        self._stream.feed(re.sub(r"\x1b\[[<>=?][0-9;]*u", "", part))
        return True


def test_the_dashboard_is_read_and_typed_into_and_leaves_the_terminal_as_it_was(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    command = f"stty -g; {sys.executable} -m fsrun tui; echo code $?; stty -g"
    terminal = Terminal(command, lab.path.parent)
    terminal.until(terminal.shows("1 queued", f"#{run_id} Linear fast/slow on synthetic", "Quit"))
    terminal.child.send("c")
    terminal.until(terminal.shows("Cancel run 1, Linear fast/slow"))
    terminal.child.send("y")
    terminal.until(terminal.shows("– cancelled", "1 cancelled"))
    assert get_run(lab.engine, run_id).status is JobStatus.CANCELLED
    terminal.child.send("q")
    terminal.until(terminal.shows("code 0"))
    assert terminal.end() == 0
    before, after = re.findall(r"^[0-9a-f]+(?::[0-9a-f]+){5,}", terminal.said, re.MULTILINE)
    assert before == after  # echo, line editing, signals
    terminal.assert_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_dashboard_and_leaves_the_terminal_as_it_was(
    lab: Lab, number: signal.Signals
) -> None:
    lab.ask("synthetic")
    terminal = Terminal(f"exec {sys.executable} -m fsrun tui", lab.path.parent)
    terminal.until(terminal.shows("1 queued", "Quit"))
    terminal.child.kill(number)
    assert terminal.end() == 128 + number
    terminal.assert_restored()
    assert "Traceback" not in terminal.said


def test_q_quits_where_the_terminal_is_too_small(lab: Lab) -> None:
    terminal = Terminal(f"exec {sys.executable} -m fsrun tui", lab.path.parent, columns=50, lines=15)
    terminal.until(terminal.shows("50x15 is too small"))
    terminal.child.send("q")
    assert terminal.end() == 0
    terminal.assert_restored()


def test_without_a_terminal_on_both_ends_the_dashboard_says_so_in_one_line(lab: Lab) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fsrun", "tui"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(lab.home),
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fsrun: the dashboard reads and draws in a terminal")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("before", ["", "trap '' HUP; "], ids=["hung-up", "under-nohup"])
def test_a_terminal_that_goes_away_ends_the_dashboard(lab: Lab, before: str) -> None:
    lab.ask("synthetic")
    terminal = Terminal(f"{before}exec {sys.executable} -m fsrun tui", lab.path.parent)
    terminal.until(terminal.shows("1 queued", "Quit"))
    terminal.child.ptyproc.fileobj.close()  # the terminal goes away; nobody sends a signal
    deadline = time.monotonic() + PATIENCE
    while terminal.child.isalive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not terminal.child.isalive()
