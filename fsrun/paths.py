"""Where things lie: everything fsrun writes is below FSRUN_HOME.

Not here: what the files hold.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from fsrun.errors import FsrunError

PRIVATE = 0o077
"""The umask under which everything below the home is made: for its owner's eyes alone."""


@dataclass(frozen=True)
class Home:
    """The folder of one fsrun: database, data sets, checkpoints and logs."""

    root: Path

    @property
    def database(self) -> str | Path:
        """The database: FSRUN_DB_URL where it is set, else a SQLite file."""
        return os.environ.get("FSRUN_DB_URL") or self.root / "fsrun.db"

    @property
    def data(self) -> Path:
        """Imported and drawn data sets."""
        return self.root / "data"

    @property
    def storage(self) -> str | None:
        """The URL at which checkpoints and data sets are kept for all machines: FSRUN_STORAGE, if set."""
        return (os.environ.get("FSRUN_STORAGE") or "").rstrip("/") or None

    @property
    def kept_checkpoints(self) -> str | None:
        """The URL of the checkpoints, of which those below the home are copies, None where there is none."""
        return f"{self.storage}/checkpoints" if self.storage else None

    @property
    def checkpoints(self) -> Path:
        """The checkpoints of all databases that this home has had, a folder each, and in it one a run."""
        return self.root / "checkpoints"

    @property
    def compiled(self) -> Path:
        """What numba has compiled; the folder of the installation may not be writable."""
        return self.root / "cache" / "numba"

    @property
    def logs(self) -> Path:
        """The logs of runs and of workers."""
        return self.root / "logs"

    def log(self, run_id: int) -> Path:
        """The log of a run, all attempts one after another."""
        return self.logs / f"run-{run_id}.log"

    def supervisor_log(self, worker_id: str) -> Path:
        """What a worker, or a command that has a cluster work, says of its work."""
        return self.logs / f"supervisor-{worker_id}.log"

    def worker_log(self, worker_id: str) -> Path:
        """What a worker's runner process says on its standard error."""
        return self.logs / f"worker-{worker_id}.log"

    def checkpoint(self, database: str, run_id: int, attempt: int, step: int) -> Path:
        """The checkpoint of one attempt of a run at a step, below the identity of the run's database."""
        return (
            self.checkpoints / database / f"run-{run_id}" / f"step-{step:09d}-attempt-{attempt}.safetensors"
        )


def find_home() -> Home:
    """Return the home: FSRUN_HOME where it is set, else the user's data folder; created private."""
    home = place_of_home()
    try:
        home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FsrunError(
            f"FSRUN_HOME {home.root} cannot be created ({error.strerror}): set it to a folder you may write"
        ) from error
    return home


def place_of_home() -> Home:
    """Return the home without creating it, for what only looks."""
    named = os.environ.get("FSRUN_HOME")
    try:
        if named:
            root = Path(named).expanduser().absolute()
        else:
            from platformdirs import user_data_path  # only where it is needed

            root = user_data_path("fsrun").expanduser()
    except RuntimeError as error:  # as in a container whose user is a bare number
        unknown = f"FSRUN_HOME {named} names a user who has" if named else "this user has"
        raise FsrunError(f"{unknown} no home folder: set FSRUN_HOME to a folder you may write") from error
    return Home(root)
