"""Slots as elements of Slurm job arrays, through submitit; requeued by themselves after a preemption.

Not here: when slots are wanted (fleet.py), and what they do (slot.py). The only file that knows submitit.
"""

import shlex
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from experiments.machine import python_command
from fsrun.errors import FsrunError, UsageError
from fsrun.paths import Home
from fsrun.worker.examination import Examination, examine
from fsrun.worker.fleet import Ended
from fsrun.worker.nodes import Order
from fsrun.worker.slot import Report, Slot
from fsrun.worker.supervisor import GRACE_SECONDS, seconds_of
from store.jobs import telling_line

UNLIMITED = 10**6
"""How often an element may run out of time and go on: as often as there is work."""

ROOM = 64
"""How many elements are asked for at most where the command does not say."""

MINUTES = 240
"""What an element asks for where the command does not say; one that has used it up goes on in another."""

LOOK_SECONDS = 10.0  # between two looks at Slurm's own list
MISSES = 2
"""Looks in a row without the slot in the list, and without its result, after which it is dead."""

UNUSABLE = ("down", "drain", "fail", "maint", "unknown", "power", "reboot", "not_responding", "*")
"""Words of Slurm about a node that takes no job now; the asterisk is of one that does not respond."""

SPARE_SECONDS = 30.0  # beyond the grace period, between Slurm's warning and its end


class SlurmFleet:
    """The slots of one command in Slurm's queue; with cluster "local" in processes of this machine."""

    def __init__(
        self,
        order: Order,
        home: Home,
        *,
        cpus: int,
        gpus: int,
        parameters: Mapping[str, str],
        cluster: str = "slurm",
        most: int | None = None,
    ) -> None:
        self.name = order.fleet
        self._order = order
        self._most = ROOM if most is None else most
        self._jobs: dict[str, Any] = {}
        self._avoided: set[str] = set()
        self._withdrawn: set[str] = set()
        self._missed: Counter[str] = Counter()
        self._looked_at = time.monotonic()
        self._executor = _executor(home, cluster)
        warned = int(seconds_of("FSRUN_GRACE_SECONDS", GRACE_SECONDS) + SPARE_SECONDS)
        _update(
            self._executor,
            name=self.name,
            timeout_min=MINUTES,
            cpus_per_task=cpus,
            slurm_signal_delay_s=warned,
            slurm_array_parallelism=self._most,
            **({"gpus_per_node": gpus} if gpus else {}),
            **_typed(parameters),
        )

    def room(self) -> int:
        """Return how many slots the command may ask for; how many there are is for Slurm to say."""
        return self._most

    def in_flight(self) -> Collection[str]:
        """Return the slots that were started and have not been told as ended."""
        return list(self._jobs)

    def start(self, slots: Collection[str]) -> None:
        """Submit one array with an element for each slot."""
        with _explained(), self._executor.batch():
            jobs = [self._executor.submit(Element(self._order, slot)) for slot in slots]
        self._jobs.update(zip(slots, jobs, strict=True))

    def ended(self) -> list[Ended]:
        """Return the slots that ended since the last call."""
        self._look_for_the_missing()
        over = [
            slot
            for slot, job in self._jobs.items()
            if job.paths.result_pickle.exists()
            or self._missed[slot] > (0 if slot in self._withdrawn else MISSES)
        ]
        return [self._end_of(slot, self._jobs.pop(slot)) for slot in over]

    def withdraw(self, slots: Collection[str]) -> None:
        """Take back what was asked for and has not begun, each slot once."""
        fresh = set(slots) - self._withdrawn
        if self._cancel(fresh):
            self._withdrawn |= fresh

    def kill(self) -> None:
        """End all slots at once."""
        self._cancel(self._jobs)

    def _cancel(self, slots: Collection[str]) -> bool:
        """Cancel the slots by one command; return whether Slurm has taken it."""
        jobs = [self._jobs[slot] for slot in slots]
        if self._executor.cluster != "slurm":
            for job in jobs:
                job.cancel(check=False)
        elif jobs:
            words = ["scancel", *(job.job_id for job in jobs)]
            try:
                subprocess.run(words, capture_output=True, timeout=LOOK_SECONDS, check=True)
            except (OSError, subprocess.SubprocessError):
                return False
        return True

    def _look_for_the_missing(self) -> None:
        """Count, about every ten seconds, in how many looks in a row Slurm no longer knew a slot."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        known = _known_to_slurm() if self._executor.cluster == "slurm" else self._alive_here()
        if known is not None:
            for slot, job in self._jobs.items():
                self._missed[slot] = 0 if job.job_id in known else self._missed[slot] + 1

    def _alive_here(self) -> set[str]:
        return {job.job_id for job in self._jobs.values() if job.state == "RUNNING"}

    def _end_of(self, slot: str, job: Any) -> Ended:
        if slot in self._withdrawn:
            return Ended(slot)
        if not job.paths.result_pickle.exists():
            return Ended(slot, died=f"its element ended without a word, see {job.paths.stderr}")
        error = job.exception()
        if error is not None:
            return Ended(slot, died=telling_line(str(error)) or type(error).__name__)
        report: Report = job.result()
        if report.fault is not None:
            self._avoided.add(report.node)
            _update(self._executor, slurm_exclude=",".join(sorted(self._avoided)))
        return Ended(slot, report)


class Element:
    """A slot as an element of an array: called by submitit, which asks it for a checkpoint before its end."""

    def __init__(self, order: Order, slot: str) -> None:
        self.order = order
        self.slot = slot
        self._running: tuple[Slot, threading.Thread] | None = None

    def __call__(self) -> Report:
        """Be a slot, on a thread: the signal is handled on this one."""
        slot, reports = Slot(self.order, self.slot), list[Report | BaseException]()
        thread = threading.Thread(target=_kept(slot, reports))
        self._running = (slot, thread)
        thread.start()
        thread.join()
        (report,) = reports
        if isinstance(report, BaseException):
            raise report
        return report

    def checkpoint(self) -> Any:
        """Hand the job back after a checkpoint, and ask to be started again: what is left is in the store."""
        import submitit

        if self._running is not None:
            slot, thread = self._running
            slot.stop()
            thread.join()
        return submitit.helpers.DelayedSubmission(Element(self.order, self.slot))


def examinations(
    order: Order, home: Home, parameters: Mapping[str, str], patience: float, cluster: str = "slurm"
) -> dict[str, Examination | str]:
    """Return what each node says of itself, by its name, or in one line why it says nothing.

    Every node that is up is sent a small job of its own, which waits at most `patience` seconds for room.
    Raises UsageError for what Slurm cannot be asked for.
    """
    executor = _executor(home, cluster)
    states = _states(parameters) if cluster == "slurm" else {socket.gethostname(): "idle"}
    jobs = {}
    for name, state in states.items():
        if not any(word in state for word in UNUSABLE):
            only = {"slurm_additional_parameters": {"nodelist": name}}
            _update(executor, name=order.fleet, timeout_min=5, cpus_per_task=1, **_typed(parameters), **only)
            with _explained():
                jobs[name] = executor.submit(examine, order, name)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not all(map(_has_answered, jobs.values())):
        time.sleep(0.2)
    unusable = {name: f"Slurm says it is {state}: see sinfo -R" for name, state in states.items()}
    return unusable | {name: _examination(job, patience) for name, job in jobs.items()}


def _states(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the nodes, of the partition that is asked for if one is, with what Slurm says of each."""
    words = ["sinfo", "--Node", "--noheader", "--format=%N %T"]
    if "partition" in parameters:
        words.append(f"--partition={parameters['partition']}")
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=LOOK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise FsrunError(f"Slurm does not say which nodes it has ({error}): see sinfo --Node") from error
    states = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if " " in line)
    if not states:
        raise FsrunError("Slurm names no node (sinfo --Node is empty): see --slurm partition=NAME")
    return states


def _has_answered(job: Any) -> bool:
    return bool(job.paths.result_pickle.exists())


def _examination(job: Any, patience: float) -> Examination | str:
    if not _has_answered(job):
        job.cancel(check=False)
        return f"it had no room for a job, or did not answer, within {patience:.0f} s: see squeue"
    error = job.exception()
    if error is not None:
        said = telling_line(str(error)) or type(error).__name__
        return f"it cannot be examined ({said}): install the same fsrun on every node"
    examined: Examination = job.result()
    return examined


def _typed(parameters: Mapping[str, str]) -> dict[str, Any]:
    return {f"slurm_{name}": int(text) if text.isdecimal() else text for name, text in parameters.items()}


def _update(executor: Any, **parameters: Any) -> None:
    try:
        executor.update_parameters(**parameters)
    except (ValueError, NameError, TypeError) as error:
        raise UsageError(
            f"--slurm: submitit refuses it ({str(error).splitlines()[0]}): write for example "
            "--slurm partition=gpu --slurm time=240"
        ) from error


def _known_to_slurm() -> set[str] | None:
    """Return the jobs and elements of this user that wait or run; None where Slurm does not answer now.

    Its accounting (sacct) would know more, but not every cluster keeps any.
    """
    words = ["squeue", "--me", "--array", "--noheader", "--format=%i"]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=LOOK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(answer.stdout.split())


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise FsrunError(f"Slurm takes no job ({str(error).splitlines()[0]}): see --slurm") from error


def _kept(slot: Slot, reports: list[Report | BaseException]) -> Callable[[], None]:
    def work() -> None:
        try:
            reports.append(slot.work())
        except BaseException as error:  # noqa: BLE001 (raised again by the thread that waits)
            reports.append(error)

    return work


def _executor(home: Home, cluster: str) -> Any:
    try:
        import submitit  # an extra
    except ImportError as error:
        raise UsageError("submitit is not installed: pip install 'fsrun[slurm]'") from error
    try:
        python = shlex.join(python_command())
        return submitit.AutoExecutor(
            home.root / "fleets" / "slurm",
            cluster=cluster,
            slurm_max_num_timeout=UNLIMITED,
            slurm_python=python,
            local_python=python,
        )
    except RuntimeError as error:
        raise FsrunError(
            f"no Slurm here ({error}): type the command where sbatch works, such as a login node"
        ) from error
