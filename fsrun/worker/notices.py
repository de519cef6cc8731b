"""Notices of what has happened: a command at the end of a run, and messages through apprise.

Each is a process of its own, so that none holds up the worker. Not here: who looks (fsrun.cli.foreground).
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from sqlalchemy import Engine

from experiments.machine import python_command
from fsrun.errors import UsageError
from fsrun.liveness import MISSED_SECONDS, with_the_dead
from fsrun.words import count, newest_name, plain
from fsrun.worker.launcher import signal_name
from fsrun.worker.supervisor import LEASE_SECONDS, seconds_of
from store import queue
from store.jobs import JobStatus
from store.runs import ON_END, get_run
from store.snapshot import Snapshot
from store.views import RunRow, WorkerRow

ADDRESSES = "FSRUN_NOTIFY"
"""The environment variable with the URLs of apprise, separated by blanks."""

EVERY_SECONDS = 60.0  # between two messages at least
PATIENCE_SECONDS = 300.0  # that a command may take
LAST_SECONDS = 10.0  # that commands and messages may take once the worker has ended
AT_ONCE = 8  # commands
MOST_LINES = 20  # of a message


def check_addresses(addresses: str) -> None:
    """Raise UsageError where messages are wanted and cannot be sent."""
    if not addresses:
        return
    try:
        from apprise import Apprise
    except ImportError as error:
        raise UsageError(
            f"{ADDRESSES} needs apprise, which is not installed: pip install 'fsrun[notify]'"
        ) from error
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    for address in addresses.split():
        if not Apprise().add(address):  # not shown in full: it may hold a password
            kind = address.partition("://")[0] if "://" in address else "no URL"
            raise UsageError(f"{ADDRESSES} has an address that apprise does not take ({kind}): see its list")


@dataclass
class _Begun:
    running: "subprocess.Popen[bytes]"
    errors: IO[bytes]
    what: str
    began: float


@dataclass
class Notices:
    """Carries out `on_end` and each run's own command when a run ends, and gathers lines into messages."""

    engine: Engine
    say: Callable[[str], None]
    on_end: str = ""
    only: Collection[int] | None = None  # of which runs the end of the queue is told
    addresses: str = field(default_factory=lambda: os.environ.get(ADDRESSES, ""))
    every: float = EVERY_SECONDS
    patience: float = PATIENCE_SECONDS
    lease_seconds: float = field(default_factory=partial(seconds_of, "FSRUN_LEASE_SECONDS", LEASE_SECONDS))
    _news: deque[RunRow] = field(default_factory=deque)  # runs that have ended
    _asks: bool = False  # whether the queue is done
    _lines: list[str] = field(default_factory=list)  # of the next message
    _sent_at: float | None = None
    _ended: Counter[str] = field(default_factory=Counter)  # runs, since the queue was done
    _living: set[str] = field(default_factory=set)  # workers that gave a sign of life
    _waiting: deque[tuple[str, RunRow]] = field(default_factory=deque)
    _processes: list[_Begun] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)  # what has been said to fail

    def look(self, taken: Snapshot, ended: Sequence[RunRow], is_ours: Callable[[str | None], bool]) -> None:
        """Take in what these workers' runs have come to, and which workers are lost, by the store."""
        self._news += ended
        while self._news:
            row = self._news[0]
            commands = (self.on_end, get_run(self.engine, row.id).provenance.get(ON_END, ""))
            self._waiting += [(command, row) for command in dict.fromkeys(commands) if command]
            self._news.popleft()
            self._asks = True
            self._ended[row.status.value] += 1
            if row.status is JobStatus.FAILED:
                self._lines.append(f"Run {row.id}, {row.method} on {row.experiment}, failed: {row.error}")
        if self._asks and self._is_done(taken):
            came_to = ", ".join(f"{count(number, 'run')} {status}" for status, number in self._ended.items())
            self._lines.append(f"The queue is done: {came_to}.")
            self._ended.clear()
        self._asks = False
        self._look_for_lost_workers(with_the_dead(taken).workers, is_ours)
        self.tick()

    def tick(self) -> None:
        """Start what is due, and look at what was started."""
        self._processes = [each for each in self._processes if self._goes_on(each)]
        while self._waiting and len(self._processes) < AT_ONCE:
            command, row = self._waiting.popleft()
            self._start(["sh", "-c", command], f"the command of --on-end, {command!r},", variables(row))
        now = time.monotonic()
        if self._lines and self.addresses and (self._sent_at is None or now - self._sent_at >= self.every):
            self._sent_at = now
            self._start(
                python_command("-m", "fsrun.worker.notices"),
                "a message",
                {ADDRESSES: self.addresses},
                self._message(),
            )
        if not self.addresses:
            self._lines.clear()

    def tell(self, line: str) -> None:
        """Put a line into the next message."""
        self._lines.append(line)

    def close(self, hurries: Callable[[], bool]) -> None:
        """Send what is left, in the next minute unless one hurries, and let the last commands end."""
        if self._lines and self.addresses and self._sent_at is not None and not hurries():
            left = self.every - (time.monotonic() - self._sent_at)
            self.say(f"One more message, at most one a minute: in {max(left, 0):.0f} s, or Ctrl-C.")
        while self._lines and self.addresses and not hurries():
            self.tick()
            time.sleep(0.1)
        deadline = time.monotonic() + LAST_SECONDS
        self.tick()
        while (self._waiting or self._processes) and not hurries() and time.monotonic() < deadline:
            time.sleep(0.05)
            self.tick()
        if left := len(self._waiting) + len(self._processes):
            self.say(f"The worker ends before {count(left, 'notice')}; what still runs is left alone.")

    def _is_done(self, taken: Snapshot) -> bool:
        """Return whether nothing of the queue runs or can still run."""
        if taken.counts.get(JobStatus.RUNNING, 0) and self.only is None:
            return False
        outlook = queue.outlook(self.engine, taken.taken, self.only)
        return not (outlook.claimable or outlook.waiting or outlook.running)

    def _look_for_lost_workers(
        self, workers: Sequence[WorkerRow], is_ours: Callable[[str | None], bool]
    ) -> None:
        """Tell of workers that have fallen silent; of several that could tell, the oldest that lives does."""
        lost = [each for each in workers if each.died or each.heartbeat_age > self.lease_seconds]
        alive = [each for each in workers if each not in lost]
        new = [each for each in lost if each.id in self._living]
        self._living = {
            each.id for each in alive if each.id in self._living or each.heartbeat_age <= MISSED_SECONDS
        }
        if new and alive and is_ours(min(alive, key=lambda each: (each.started, each.id)).id):
            for each in new:
                held = f" with run {each.run_id}, which another worker takes over" if each.run_id else ""
                self._lines.append(f"Worker {each.id} was lost{held}.")

    def _message(self) -> str:
        lines, self._lines = self._lines, []
        more = [f"And {len(lines) - MOST_LINES} more."] if len(lines) > MOST_LINES else []
        return "\n".join(map(plain, [*lines[:MOST_LINES], *more]))

    def _start(self, words: list[str], what: str, settings: Mapping[str, str], text: str = "") -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed when the process has ended)
        given = tempfile.TemporaryFile()  # noqa: SIM115
        given.write(text.encode())
        given.seek(0)
        try:
            running = subprocess.Popen(
                words,
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=os.environ | dict(settings),
                start_new_session=True,  # Ctrl-C is for the worker
            )
        except OSError as error:
            self._complain(what, str(error))
            errors.close()
        else:
            self._processes.append(_Begun(running, errors, what, time.monotonic()))
        finally:
            given.close()

    def _goes_on(self, each: _Begun) -> bool:
        """Return whether a process still runs; say what it came to where it failed or takes too long."""
        code = each.running.poll()
        if code is None and time.monotonic() - each.began < self.patience:
            return True
        if code is None:
            with suppress(ProcessLookupError):
                os.killpg(each.running.pid, signal.SIGKILL)
            each.running.wait()
            self._complain(each.what, f"it was ended after {self.patience:.0f} s")
        elif code:
            each.errors.seek(0)
            said = each.errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            how = f"exit code {code}" if code > 0 else f"ended by {signal_name(-code)}"
            self._complain(each.what, f"{how}{f': {said}' if said else ''}")
        each.errors.close()
        return False

    def _complain(self, what: str, why: str) -> None:
        if what not in self._failed:
            self._failed.add(what)
            self.say(f"Failed: {what} {why}; this is said once.")


def variables(row: RunRow) -> dict[str, str]:
    """Return what a command finds in its environment about the run that has ended."""
    name = newest_name(row)
    value = row.results.get(name)
    return {
        "FSRUN_RUN": str(row.id),
        "FSRUN_STATUS": row.status.value,
        "FSRUN_METRIC": name if value is not None else "",
        "FSRUN_RESULT": "" if value is None else repr(value),
        "FSRUN_ERROR": row.error or "",
    }


def main() -> int:
    """Send standard input to the addresses; one line on standard error where that fails."""
    from apprise import Apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    service = Apprise()
    for address in os.environ.get(ADDRESSES, "").split():
        service.add(address)
    if service.notify(title=f"fsrun on {socket.gethostname()}", body=sys.stdin.read()):
        return 0
    sys.stderr.write(f"not every address of {ADDRESSES} took it\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
