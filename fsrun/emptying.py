"""Runs that have been in the trash for long, and freeing them with their files.

Not here: putting them there and taking them out (store.upkeep), and files that nobody needs (fsrun.garbage).
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from fsrun.checkpoint_files import CheckpointFiles, own_checkpoint_files
from fsrun.paths import Home
from fsrun.words import method_title, plain
from store.checkpoints import CheckpointRow
from store.upkeep import TrashedRun, purge, trashed

DAY = 86400.0


@dataclass(frozen=True)
class Deleted:
    """A run that can be freed for good, with the files that go with it and are there."""

    run: TrashedRun
    checkpoints: tuple[CheckpointRow, ...]
    files: tuple[Path, ...]  # besides
    bytes: int  # of the files

    @property
    def count(self) -> int:
        """How many files go with it."""
        return len(self.checkpoints) + len(self.files)

    def line(self, now: float) -> str:
        """Say what would be freed."""
        run = self.run
        days = int((now - run.trashed) / DAY)
        what = f"run {run.run_id}, {method_title(run.method)} on {plain(run.experiment)}"
        parts = [f"{run.points:,} point{'s' * (run.points > 1)}"] if run.points else []
        parts += [f"{self.count} file{'s' * (self.count > 1)}"] if self.count else []
        return f"{what}  (deleted {days} days ago; {', '.join(parts) or 'it never began'})"


def long_deleted(engine: Engine, home: Home, now: float, days: float) -> list[Deleted]:
    """Return the runs that have been in the trash for so many days, each before what it starts from."""
    files = own_checkpoint_files(engine, home, now)
    return [_deleted(run, home, files) for run in trashed(engine, now - days * DAY)]


def free_deleted(engine: Engine, home: Home, deleted: Deleted, now: float) -> bool:
    """Free one run and its files; return whether it was freed: somebody may just have brought it back.

    The database goes first: it must never name a file that is gone. Raises StorageUnavailable.
    """
    if not purge(engine, deleted.run.run_id, deleted.run.trashed):
        return False
    for path in deleted.files:
        path.unlink(missing_ok=True)
    files = own_checkpoint_files(engine, home, now)
    for row in deleted.checkpoints:
        files.remove(row)
    return True


def _deleted(run: TrashedRun, home: Home, kept: CheckpointFiles) -> Deleted:
    own = [row for row in run.checkpoints if kept.owns(row)]
    sizes = {row: size for row in own if (size := kept.size(row)) is not None}
    files = []
    log = home.log(run.run_id)
    # One written to since is that of another database's run in this home.
    if log.is_file() and log.stat().st_mtime <= run.trashed:
        files.append(log)
    total = sum(sizes.values()) + sum(path.stat().st_size for path in files)
    return Deleted(run, tuple(sizes), tuple(files), total)
