"""The log of a run in a pager: no control code of it reaches the terminal, whatever pager it is."""

import os
import stat
import sys
from pathlib import Path

import pexpect
import pytest
from textual.pilot import Pilot

from fsrun.errors import FsrunError
from fsrun.tui.pager import page, plain_copy
from tests.tui.tui_cases import Lab, shows, until, use

HOSTILE = b"\x1b]0;owned\x07\x1b[2J\x9b31m\xff step 1\r\n\ttwo \xe6\x97\xa5\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "run-1.log"
    path.write_bytes(HOSTILE)
    return path


def pager(folder: Path) -> Path:
    """Return a program that keeps what it was asked to show, and how."""
    path = folder / "pager"
    path.write_text(f'#!/bin/sh\nenv > {folder}/environment\ncp "$1" {folder}/shown\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_copy_is_private_and_holds_text_alone(log: Path) -> None:
    copy = plain_copy(1, log)
    assert copy.stat().st_mode & 0o077 == 0
    shown = copy.read_text(encoding="utf-8")
    assert shown.endswith(" step 1\n  two 日\n")
    assert not [char for char in shown if char != "\n" and (char < " " or "\x7f" <= char < "\xa0")]
    copy.unlink()


def test_of_a_very_long_log_the_end_is_copied(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsrun.tui.pager.MAX_BYTES", 1000)
    log.write_text("line\n" * 1000)
    copy = plain_copy(1, log)
    first, *rest = copy.read_text().splitlines()
    assert first.startswith("(the first 4,000 bytes of ")
    assert len(rest) == 200
    copy.unlink()


def test_the_pager_gets_the_copy_and_nothing_that_lets_codes_through(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", str(pager(tmp_path)))
    monkeypatch.setenv("LESS", "-R")
    monkeypatch.setenv("LESSOPEN", "|evil %s")
    copy = plain_copy(1, log)
    page(copy)
    assert not copy.exists()
    assert "step 1" in (tmp_path / "shown").read_text()
    environment = (tmp_path / "environment").read_text().splitlines()
    assert [line for line in environment if line.startswith("LESS")] == ["LESSSECURE=1"]


def test_a_pager_that_is_not_there_is_named(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "no-such-pager -x")
    copy = plain_copy(1, log)
    with pytest.raises(FsrunError, match="'no-such-pager': set PAGER"):
        page(copy)
    assert not copy.exists()


def test_a_run_without_a_log_here_is_named(lab: Lab) -> None:
    lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("l")
        await until(pilot, shows(pilot, "run 1 has no log on this machine"))

    use(lab.dashboard(), steps)


def test_a_screen_that_cannot_step_aside_says_so(lab: Lab) -> None:
    lab.ask("synthetic")
    lab.home.logs.mkdir()
    lab.home.log(1).write_bytes(HOSTILE)

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("l")
        await until(pilot, shows(pilot, "this terminal cannot show a pager"))

    use(lab.dashboard(), steps)


def test_in_a_real_terminal_the_dashboard_steps_aside_and_comes_back(lab: Lab, tmp_path: Path) -> None:
    lab.ask("synthetic")
    lab.home.logs.mkdir()
    lab.home.log(1).write_bytes(HOSTILE)
    environment = os.environ | {
        "FSRUN_HOME": str(lab.home.root),
        "PAGER": str(pager(tmp_path)),
        "TERM": "xterm-256color",
    }
    environment.pop("FSRUN_DB_URL", None)
    with pexpect.spawn(
        sys.executable, ["-m", "fsrun", "tui"], env=environment, dimensions=(24, 80), timeout=60
    ) as terminal:
        terminal.expect("waits for a worker")
        terminal.send("l")
        terminal.expect(r"\x1b\[\?1049l")  # the screen is the pager's
        terminal.expect(r"\x1b\[\?1049h")  # and the dashboard's again
        assert "step 1" in (tmp_path / "shown").read_text()
        terminal.send("q")
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 0
