"""Starts a module in several processes of this machine by torchrun's elastic agent, and ends as they end.

Not here: what the processes do (runner.py, fsrun.cli.embedding_processes), and how they compute together
(experiments.parallel). They meet in a private folder, and no port is opened but on the loopback.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.machine import python_command

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

_LAUNCHER, _MEETING = "FSRUN_LAUNCHER", "FSRUN_MEETING"
_FOR_EVER = 10**7  # seconds; between two signs of life to an agent of another machine, of which there is none
_LOOK_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1  # of prctl
_FAILED = 1


@dataclass(frozen=True)
class Place:
    """Which of the processes this one is, and the file by which they find each other."""

    rank: int
    size: int
    meeting: Path


def command(processes: int, module: str, *words: str) -> list[str]:
    """Return the command line that runs a module, in so many processes; one alone needs no launcher."""
    launcher = ["fsrun.worker.launcher", str(processes)] if processes > 1 else []
    return python_command("-m", *launcher, module, *words)


def signal_name(number: int) -> str:
    """Return the name of a signal; most real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def launched() -> Place | None:
    """Return this process's place among those that were started together, None where it is alone.

    From now on it ends when its launcher says so or dies; any other SIGTERM it leaves unheeded. To be called
    before other threads begin.
    """
    if _LAUNCHER not in os.environ:
        return None
    launcher = int(os.environ[_LAUNCHER])
    with suppress(OSError, AttributeError):  # where Linux is
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it died before this could notice
        os._exit(_FAILED)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_end_when_told, args=(launcher,), daemon=True).start()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return Place(rank, size, Path(os.environ[_MEETING]))


def _end_when_told(launcher: int) -> None:
    """Tell the launcher's SIGTERM from that of a service manager, which ends the whole group at once."""
    if hasattr(signal, "sigwaitinfo"):
        while signal.sigwaitinfo([signal.SIGTERM]).si_pid != launcher:
            pass
    else:  # macOS says neither who sent it nor, as prctl does on Linux, that the launcher died
        while os.getppid() == launcher and signal.SIGTERM not in signal.sigpending():
            time.sleep(_LOOK_SECONDS)
    os._exit(_FAILED)


def main(processes: int, words: Sequence[str]) -> int:
    """Run a module with its words in so many processes; return 0 once all have ended well.

    Where one does not, all are ended, and this process dies as that one did.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.ERROR)  # what the agent says on the way; what matters is said below
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever started us says by a pipe when to stop
    with tempfile.TemporaryDirectory(prefix="fsrun-") as folder:
        _tell_the_processes(Path(folder))
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id="fsrun",
            rdzv_backend="c10d",
            rdzv_endpoint=f"{folder}/agent",
            rdzv_configs={"store_type": "file", "keep_alive_interval": _FOR_EVER},
            local_addr="127.0.0.1",
            max_restarts=0,  # the supervisor starts anew, from the last checkpoint
            signals_to_handle="SIGINT",
        )
        try:
            program, *options = python_command("-m", *words)
            elastic_launch(config, program)(*options)
            return 0
        except ChildFailedError as error:
            code = _how_it_ended(error, processes)
    if code < 0:
        with suppress(OSError):  # SIGKILL, and the two that the C library keeps, cannot be handled anyway
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return abs(code) or _FAILED


def _tell_the_processes(folder: Path) -> None:
    """Put into the environment where they meet, and that nothing of it is for the network."""
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    os.environ |= {
        _LAUNCHER: str(os.getpid()),
        _MEETING: str(folder / "processes"),
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_IFNAME": loopback,
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }


def _how_it_ended(error: "ChildFailedError", processes: int) -> int:
    """Say which process ended first and how, and return its exit code, below 0 for a signal."""
    # Those that only miss another one fail with an exit code, within the same look of the agent.
    rank, failure = min(error.failures.items(), key=lambda each: (each[1].exitcode > 0, each[1].timestamp))
    code = int(failure.exitcode)
    how = f"was ended by {signal_name(-code)}" if code < 0 else f"exited with code {code}"
    sys.stderr.write(f"process {rank} of {processes}, counted from 0, {how}: all were ended\n")
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
