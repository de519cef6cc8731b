"""The command `doctor`, which says whether everything is in place.

Not here: mending; each line says what to do.
"""

import os
import shutil
import time
from collections.abc import Callable

import typer

from experiments.errors import ExperimentError
from fsrun.errors import FsrunError
from store.errors import StoreError

LITTLE_SPACE = 2 * 10**9  # bytes


def doctor() -> None:
    """Check versions, home, database, data and devices; exit code 1 if something is wrong."""
    wrong = 0
    for name, check in CHECKS.items():
        try:
            typer.echo(f"ok     {name:9} {check()}")
        except (FsrunError, StoreError, ExperimentError, OSError) as error:
            wrong += 1
            typer.echo(f"wrong  {name:9} {error}")
    if wrong:
        raise FsrunError(f"{wrong} of {len(CHECKS)} checks found something wrong: see the lines above")


def _versions() -> str:
    from fsrun.provenance import PACKAGES, provenance

    facts = provenance()
    missing = [name for name in PACKAGES if facts[name] == "not installed"]
    if missing:
        raise FsrunError(f"{', '.join(missing)} not installed: install fsrun again")
    return (
        ", ".join(f"{name} {facts[name]}" for name in (*PACKAGES, "python")) + f", commit {facts['commit']}"
    )


def _home() -> str:
    from fsrun.paths import find_home

    root = find_home().root
    if not os.access(root, os.W_OK):
        raise FsrunError(f"{root} cannot be written: set FSRUN_HOME to a folder you may write")
    free = shutil.disk_usage(root).free
    if free < LITTLE_SPACE:
        raise FsrunError(f"{root} has only {free / 1e9:.1f} GB free: make space before a long sweep")
    return f"{root}, {free / 1e9:.0f} GB free"


def _database() -> str:
    from fsrun.cli.options import open_database
    from store.snapshot import snapshot

    engine = open_database()
    taken = snapshot(engine, now=time.time())
    return f"{engine.url.render_as_string(hide_password=True)}, {len(taken.runs)} runs, schema up to date"


def _workers() -> str:
    from fsrun.cli.options import open_database
    from fsrun.words import LOST_AFTER, duration, is_lost
    from store.snapshot import snapshot

    taken = snapshot(open_database(), now=time.time())
    lost = [row for row in taken.runs if is_lost(row)]
    if lost:
        named = ", ".join(f"run {row.id}" for row in lost)
        raise FsrunError(
            f"{named} lost its worker: start fsrun worker, which goes on from the last checkpoint"
        )
    alive = [worker for worker in taken.workers if worker.heartbeat_age <= LOST_AFTER]
    heard = ", ".join(f"{worker.id} ({duration(worker.heartbeat_age)} ago)" for worker in alive)
    return heard or "none is running; start one with fsrun worker"


def _data() -> str:
    from experiments.data.omniglot import is_imported, verify_omniglot
    from fsrun.paths import find_home

    data_dir = find_home().data
    if not is_imported(data_dir):
        return "Omniglot is not imported (only omniglot runs need it): fsrun data import omniglot PATH"
    return f"Omniglot, {verify_omniglot(data_dir).images:,} images, checksum right"


def _devices() -> str:
    import torch

    cores = len(os.sched_getaffinity(0))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ", ".join(f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(gpus))
    return f"cpu with {cores} cores" + (f"; {names}" if names else "; no GPU")


CHECKS: dict[str, Callable[[], str]] = {
    "versions": _versions,
    "home": _home,
    "database": _database,
    "workers": _workers,
    "data": _data,
    "devices": _devices,
}
