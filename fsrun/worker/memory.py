"""Whether memory has run out: in the process itself, or so that the kernel ended one.

Not here: what becomes of the job. Without torch, since the worker loads it too.
"""

from dataclasses import dataclass
from pathlib import Path

ADVICE = "use a smaller batch, fewer classes or a smaller model, or leave it more memory and fsrun retry it"

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "std::bad_alloc")
_GROUP_FILES = (("", "unified", "memory.events"), ("memory", "memory", "memory.oom_control"))
"""Controller as /proc/self/cgroup names it, folder where both versions lie, and the file that counts."""


def out_of_memory(error: BaseException) -> str | None:
    """Return one line for the user where the error says that memory has run out, None for any other."""
    said = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS):
        return f"out of memory: {ADVICE} ({type(error).__name__}{': ' if said else ''}{said})"
    return None


@dataclass(frozen=True)
class OomKills:
    """How many processes Linux has ended for want of memory: in this control group, and on the machine."""

    group: int
    machine: int

    def since(self, before: "OomKills") -> str:
        """Return what these numbers say about a process that was ended by SIGKILL in between."""
        if self.group > before.group:
            return f" (out of memory: {ADVICE})"
        if self.machine > before.machine:
            return f" (most likely out of memory: {ADVICE})"
        return f" (by another process, or perhaps out of memory: then {ADVICE})"


def oom_kills(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> OomKills:
    """Read both numbers; 0 where the system does not count."""
    found = [count for path in _group_files(proc, groups) if (count := _count(path))]
    return OomKills(max(found, default=0), _count(proc / "vmstat"))


def _group_files(proc: Path, groups: Path) -> list[Path]:
    """Return the files that may count the kills in this process's control group."""
    paths = []
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, group = line.split(":", 2)
        for controller, folder, name in _GROUP_FILES:
            if controller in controllers.split(","):
                paths += [root / group.strip("/") / name for root in (groups, groups / folder)]
    return paths


def _count(path: Path) -> int:
    counts = (int(line.split()[1]) for line in _lines(path) if line.startswith("oom_kill "))
    return next(counts, 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
