"""What produced a number: versions, commit, machine.

Not here: the config, which is stored with the run.
"""

import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from experiments.events import Cost
from experiments.machine import usable_cores

SECONDS_PER_EPISODE, PEAK_BYTES = "seconds per test episode", "bytes of the evaluation"
"""What a finished attempt adds: facts of the machine and the hour, which no result may depend on."""

PARAMETERS = "learned parameters"
"""What a finished attempt adds besides: how many numbers training changes by a gradient."""

PROCESSOR_SECONDS = "seconds of the processor"
"""What an attempt adds when it ends by itself: time that no other process on the machine takes part in."""

THREADS = "torch threads"
"""What an attempt adds when it begins; later attempts of the run use as many."""

PROCESSES = "processes"
"""What an attempt adds that trained on several: how many, and on what."""

SEEN = "test classes the backbone was trained on"
"""What an attempt on features adds when it begins: none, or why that is not known."""

REPAIRED = "times the features were repaired"
"""What it adds besides where images were added later that could not be read at first: another data set."""

PACKAGES = ("fsrun", "torch", "torchvision", "numpy")


@cache
def provenance() -> dict[str, str]:
    """Return versions, commit and machine as plain text; works without importing any of the packages."""
    facts = {name: _version(name) for name in PACKAGES}
    facts["python"] = platform.python_version()
    facts["platform"] = platform.platform()
    facts["processor"] = f"{_processor()}, {usable_cores()} cores"
    facts["commit"] = _commit(Path(__file__).parent)
    return facts


def facts_of(cost: Cost | None) -> dict[str, str]:
    """Return what a method and its evaluation cost, as an attempt's provenance keeps it."""
    if cost is None:
        return {}
    known = {PEAK_BYTES: cost.peak_bytes, PARAMETERS: cost.parameters}
    facts = {name: str(value) for name, value in known.items() if value is not None}
    return facts | {SECONDS_PER_EPISODE: f"{cost.seconds_per_episode:.3g}"}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """Return the processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )


def _commit(folder: Path) -> str:
    """Return the commit of the checkout fsrun runs from, marked where files differ from it.

    Where there is none it begins with "not ": not a checkout, or not known and why.
    """
    git = shutil.which("git")
    if git is None or not (folder.parent / ".git").exists():
        return "not a checkout"

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([git, "-C", str(folder), *words], capture_output=True, text=True, check=False)

    answer = ask("rev-parse", "HEAD")
    if answer.returncode:
        reason = answer.stderr.strip().partition("\n")[0].removeprefix("fatal: ")
        return f"not known ({reason})"
    commit = answer.stdout.strip()
    return f"{commit} with changes" if ask("status", "--porcelain").stdout.strip() else commit
