"""The dashboard in a real terminal: what a person sees, types, and is left with."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte

from store.jobs import JobStatus
from store.runs import get_run
from tests.tui.tui_cases import Lab

LINES, COLUMNS = 30, 100
PATIENCE = 60.0  # seconds


class Terminal:
    """A shell in a terminal, and what its screen shows."""

    def __init__(self, command: str, home: Path) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
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
            dimensions=(LINES, COLUMNS),
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
    for mode in ("1049", "1000", "1003", "2004"):  # other screen, mouse, pasting
        assert terminal.said.rfind(f"\x1b[?{mode}l") > terminal.said.rfind(f"\x1b[?{mode}h") > 0
    assert terminal.said.rfind("\x1b[?25h") > terminal.said.rfind("\x1b[?25l") > 0  # the cursor


def test_a_terminal_that_goes_away_ends_the_dashboard(lab: Lab) -> None:
    lab.ask("synthetic")
    terminal = Terminal(f"exec {sys.executable} -m fsrun tui", lab.path.parent)
    terminal.until(terminal.shows("1 queued", "Quit"))
    terminal.child.close(force=False)
    deadline = time.monotonic() + PATIENCE
    while terminal.child.isalive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not terminal.child.isalive()
