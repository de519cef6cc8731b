"""Files below the home that nobody needs any more, and freeing them.

Not here: asking the user. Checkpoints of failed and cancelled runs are needed: `retry` goes on from them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from fsrun.checkpoint_files import CheckpointFiles, discard, own_checkpoint_files
from fsrun.object_store import listed
from fsrun.paths import Home
from store.checkpoints import CheckpointRow
from store.upkeep import active_runs, forget, known_files, live_workers

SETTLED_SECONDS = 3600.0
"""A file nobody knows is left alone for so long: its writer may be about to make it known."""

SILENT_SECONDS = 86400.0
"""A worker that has been silent for so long will not write to its log again."""


@dataclass(frozen=True)
class Garbage:
    """One file that can go, why, and how the database knows it, if it does.

    With a URL it is what is kept there, and the copy of it at the path, if there is one.
    """

    path: Path
    bytes: int
    why: str
    row: CheckpointRow | None = None
    url: str = ""

    @property
    def place(self) -> str:
        """Where it is kept, as it is shown."""
        return self.url or str(self.path)


def find_garbage(engine: Engine, home: Home, now: float) -> list[Garbage]:
    """Return what could be freed: unknown files, old backups, logs of dead workers, spare checkpoints.

    Those of which the database knows come last: forgetting them takes a little space on its disk.
    """
    files = own_checkpoint_files(engine, home, now)
    return [
        *_copies(engine, files),
        *_unknown_objects(engine, files, now),
        *_unknown_files(engine, files, now),
        *_old_backups(home),
        *_dead_logs(engine, home, now),
        *_spare_checkpoints(engine, files),
    ]


def free(engine: Engine, garbage: Garbage) -> None:
    """Remove one file, and what the database knows of it first: it must never name a file that is gone.

    Raises StorageUnavailable.
    """
    if garbage.row is not None:
        forget(engine, garbage.row)
    discard(garbage.path, garbage.url)


def _spare_checkpoints(engine: Engine, files: CheckpointFiles) -> Iterator[Garbage]:
    for known in known_files(engine):
        size = files.size(known.row) if known.spare and files.owns(known.row) else None
        if size is not None:
            why = f"run {known.row.run_id} is done and has a further checkpoint"
            yield Garbage(files.local(known.row), size, why, known.row, known.row.url)


def _copies(engine: Engine, files: CheckpointFiles) -> Iterator[Garbage]:
    """Yield copies of what the storage keeps, of runs that are not running."""
    active = active_runs(engine)
    for known in known_files(engine):
        path = files.local(known.row)
        if known.row.url and not known.spare and known.row.run_id not in active and path.is_file():
            yield Garbage(path, path.stat().st_size, "a copy of what the storage keeps")


def _unknown_objects(engine: Engine, files: CheckpointFiles, now: float) -> Iterator[Garbage]:
    if files.url is None:
        return
    active = {f"run-{run_id}" for run_id in active_runs(engine)}
    known = {each.row.url for each in known_files(engine)}
    for found in (each for own in sorted(files.own_objects) for each in listed(f"{files.url}/{own}")):
        settled = found.modified is not None and now - found.modified > SETTLED_SECONDS
        if settled and found.url not in known and found.url.split("/")[-2] not in active:
            path = files.folder.joinpath(*found.url.split("/")[-3:])
            yield Garbage(path, found.bytes, "no run knows it", url=found.url)


def _unknown_files(engine: Engine, files: CheckpointFiles, now: float) -> Iterator[Garbage]:
    active = {f"run-{run_id}" for run_id in active_runs(engine)}
    known = {files.local(each.row) for each in known_files(engine)}
    for path in sorted(path for own in files.own for path in (files.folder / own).glob("run-*/*")):
        if path not in known and path.parent.name not in active and path.is_file():
            facts = path.stat()
            if now - facts.st_mtime > SETTLED_SECONDS:
                yield Garbage(path, facts.st_size, "no run knows it")


def _old_backups(home: Home) -> Iterator[Garbage]:
    """Yield the backups made by upgrades, all but the newest."""
    backups = sorted(home.root.glob("fsrun.db.backup-*"), key=lambda path: path.stat().st_mtime)
    for path in backups[:-1]:
        yield Garbage(path, path.stat().st_size, "a newer backup is there")


def _dead_logs(engine: Engine, home: Home, now: float) -> Iterator[Garbage]:
    workers = live_workers(engine, now - SILENT_SECONDS)
    alive = {log for each in workers for log in (home.worker_log(each), home.supervisor_log(each))}
    for path in sorted([*home.logs.glob("worker-*.log"), *home.logs.glob("supervisor-*.log")]):
        facts = path.stat()
        if path not in alive and now - facts.st_mtime > SETTLED_SECONDS:
            yield Garbage(path, facts.st_size, "its worker has ended")
