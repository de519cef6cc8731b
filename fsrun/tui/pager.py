"""The log of a run in the user's pager, from a copy in which nothing can steer the terminal.

Not here: the end of a log on the screen itself (fsrun.tui.closely).
"""

import os
import shlex
import subprocess
from pathlib import Path
from tempfile import mkstemp

from fsrun.errors import FsrunError
from fsrun.words import plain

MAX_BYTES = 64 * 2**20
"""Of a longer log only so much of its end is copied."""

_CHUNK = 2**20


def plain_copy(run_id: int, log: Path) -> Path:
    """Return a new private file with the log's text and no control characters; raises FsrunError for none."""
    try:
        with log.open("rb") as source:
            size = log.stat().st_size
            source.seek(max(size - MAX_BYTES, 0))
            number, name = mkstemp(prefix=f"fsrun-run-{run_id}-", suffix=".log")
            with os.fdopen(number, "w", encoding="utf-8") as copy:
                if size > MAX_BYTES:
                    copy.write(f"(the first {size - MAX_BYTES:,} bytes of {plain(str(log))} are left out)\n")
                while line := source.readline(_CHUNK):
                    copy.write(plain(line.decode("utf-8", errors="replace").replace("\r\n", "\n")))
    except OSError as error:
        raise FsrunError(f"run {run_id} has no log on this machine ({error.strerror})") from error
    return Path(name)


def page(copy: Path) -> None:
    """Show a copy in $PAGER, less where there is none, and remove it; raises FsrunError without a pager.

    Takes the terminal as long as the user reads.
    """
    words = shlex.split(os.environ.get("PAGER", "")) or ["less"]
    options = ["+G"] if Path(words[0]).name == "less" else []
    # Without what may let less pass control codes on, run commands, or write files.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LESS")}
    try:
        subprocess.run([*words, *options, str(copy)], env=environment | {"LESSSECURE": "1"}, check=False)
    except OSError as error:
        raise FsrunError(f"cannot start the pager {words[0]!r}: set PAGER to one that is there") from error
    finally:
        copy.unlink(missing_ok=True)
