"""The runner as its supervisor sees it: started, spoken to by pipes, watched, and ended.

Not here: what the runner does (runner.py), and what follows from how it ends (supervisor.py).
"""

import json
import os
import select
import signal
import subprocess
from contextlib import suppress
from typing import IO, Any

from experiments.errors import unwritable
from fsrun.paths import Home
from fsrun.worker.launcher import command, signal_name
from fsrun.worker.memory import oom_kills
from store.queue import Claim

# The C allocator keeps freed memory instead of giving it back after every batch: convolutions on the CPU
# run about 1.6 times as fast without the page faults.
RUNNER_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(10**9), "MALLOC_TRIM_THRESHOLD_": str(10**9)}

_MEANINGS: dict[int, str] = {signal.SIGSEGV: " (segmentation fault)", signal.SIGABRT: " (aborted)"}

EXIT_SECONDS = 10.0  # a runner that ends by itself may take

MAX_TRACE = 8000
"""Characters of what a dying runner said that are kept with its job."""


class RunnerProcess:
    """The child that trains, kept warm between jobs because importing torch takes seconds.

    Raises StorageUnavailable where its log cannot be written.

    Where a job may have several processes, this one is their launcher, which dies as the first of them did.
    """

    def __init__(self, home: Home, worker_id: str, device: str, processes: int = 1) -> None:
        self.device: str | None = None  # what it really computes on, known once it is ready
        self.fault: str | None = None  # of this machine, by which the last job failed
        self.log = home.worker_log(worker_id)
        self._oom_kills = oom_kills()
        with self._opened_log() as errors:
            self._said_before = errors.tell()  # by runners before this one
            self.process = subprocess.Popen(
                command(processes, "fsrun.worker.runner", device),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                env=os.environ
                | RUNNER_ENVIRONMENT
                | {
                    "FSRUN_HOME": str(home.root),
                    "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR") or str(home.compiled),
                },
                start_new_session=True,  # Ctrl-C reaches the worker alone, which then asks politely
            )

    def _opened_log(self) -> IO[str]:
        """Return the worker's log, to be written to. Raises StorageUnavailable."""
        try:
            self.log.parent.mkdir(exist_ok=True)
            return self.log.open("a")
        except OSError as error:
            raise unwritable(str(self.log), error) from error

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout

    def ready(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds for the runner to say what it computes on."""
        ready, _, _ = select.select([self._pipes[1]], [], [], timeout)
        line = self._pipes[1].readline() if ready else ""
        if line:
            self.device = json.loads(line)["device"]
        return bool(line)

    def order(self, claim: Claim) -> None:
        """Tell the runner which job to execute; a runner that is already dead is noticed by `alive`."""
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        self._say({"run_id": claim.run_id, "attempt": claim.attempt})

    def _say(self, words: dict[str, Any]) -> None:
        try:
            self._pipes[0].write(json.dumps(words) + "\n")
        except BrokenPipeError:
            self.process.wait()

    def answered(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds; return whether the job is over.

        A runner that says it ends with this job is waited for.
        """
        ready, _, _ = select.select([self._pipes[1]], [], [], timeout)
        line = self._pipes[1].readline() if ready else ""
        if not line:
            return False
        words = json.loads(line)
        self.fault = words["fault"]
        if words["ends"]:
            self._wait_or_kill(EXIT_SECONDS)
        return True

    def alive(self) -> bool:
        """Say whether the process still runs."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Return why the process died, in one line, followed by the trace it left, if any."""
        code = self.process.wait()
        if code < 0:
            reason = f"the runner was ended by {signal_name(-code)}{self._hint(-code)}"
        else:
            reason = f"the runner exited with code {code}"
        return f"{reason}: see {self.log}\n{self._trace()}".rstrip()

    def _hint(self, number: int) -> str:
        """Return what the signal most likely means."""
        if number == signal.SIGKILL:
            return oom_kills().since(self._oom_kills)
        return _MEANINGS.get(number, "")

    def _trace(self) -> str:
        """Return what the runner said on its standard error since its last job began, the end of it."""
        try:
            with self.log.open("rb") as file:
                file.seek(self._said_before)
                said = file.read()[-MAX_TRACE:]
        except OSError:
            return ""
        return said.decode(errors="replace").replace("\0", "").strip()

    def ask_to_stop(self, claim: Claim) -> None:
        """Have this attempt of the job write a checkpoint and stop at the next chunk."""
        self._say({"stop": {"run_id": claim.run_id, "attempt": claim.attempt}})

    def kill(self) -> None:
        """End the process at once."""
        self.begin_to_kill()
        self.process.wait()

    def begin_to_kill(self) -> None:
        """Have the process end at once without a wait, which a handler of signals may have interrupted."""
        self.process.kill()

    def close(self, grace_seconds: float) -> None:
        """Let the process end by itself, or end it after the grace period."""
        with suppress(BrokenPipeError):  # what was said to a dead runner is still in the buffer
            self._pipes[0].close()
        self._wait_or_kill(grace_seconds)
        self._pipes[1].close()

    def _wait_or_kill(self, seconds: float) -> None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
