"""The command `doctor`, which says whether everything is in place here.

Not here: mending; each line says what to do. The nodes of a cluster are looked at in cluster_doctor.py.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from experiments.errors import ExperimentError
from experiments.machine import usable_cores
from fsrun.cli.scripts import Json, say_json
from fsrun.errors import FsrunError, UsageError
from store.errors import StoreError

LITTLE_SPACE = 2 * 10**9  # bytes
QUICKLY_READ = 5 * 10**8  # bytes of a database that are checked on the way


def doctor(
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Check every node of a cluster, or every machine with a worker.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(help="With --cluster: ray or slurm. Default: the machines of running workers."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="With --cluster: the address of the Ray cluster, HOST:PORT or auto.")
    ] = None,
    slurm: Annotated[
        list[str] | None, typer.Option(help="With --cluster: an option of sbatch as NAME=VALUE; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check versions, home, database, data and devices. Exit code 1 if something is wrong.

    With --cluster, check the versions, home, database, clock and device of each node.
    """
    if cluster and as_json:
        raise UsageError("--json is for this machine: leave out --cluster")
    if cluster:
        from fsrun.cli.cluster_doctor import check_cluster

        check_cluster(engine, address, slurm or [])
    elif engine or address or slurm:
        raise UsageError("--engine, --address and --slurm are for the nodes of a cluster: add --cluster")
    else:
        check_here(as_json=as_json)


def check_here(*, as_json: bool = False) -> None:
    """Say of each thing on this machine whether it is in place. Raises FsrunError where one is not."""
    from fsrun.words import plain  # loads the store

    checks: list[dict[str, str | bool]] = []
    for name, check in CHECKS.items():
        wrong = [each["name"] for each in checks if not each["ok"]]
        if "database" in wrong and name in OF_THE_DATABASE:
            continue  # it would only say the same again
        try:
            found, ok = check(), True
        except (FsrunError, StoreError, ExperimentError, OSError) as error:
            found, ok = str(error), False
        checks.append({"name": name, "ok": ok, "found": found})
        if not as_json:
            typer.echo(plain(f"{'ok' if ok else 'wrong':5}  {name:10} {found}"))
    if as_json:
        say_json("doctor/1", checks=checks)
    wrong = [each["name"] for each in checks if not each["ok"]]
    if wrong:
        raise FsrunError(f"{len(wrong)} of {len(CHECKS)} checks found something wrong: see the lines above")


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
        raise FsrunError(
            f"{root} has only {free / 1e9:.1f} GB free: make space before a long sweep, fsrun gc may help"
        )
    if root.stat().st_mode & 0o077:
        raise FsrunError(f"{root} is open to other users of this machine: chmod 700 {root}")
    return f"{root}, {free / 1e9:.0f} GB free"


def _storage() -> str:
    from fsrun.object_store import check
    from fsrun.paths import find_home

    home = find_home()
    if home.storage is None:
        return f"{home.root}: checkpoints and data sets are files of the home"
    check(home.storage, make=False)
    return f"{home.storage} can be written, read and emptied"


def _database() -> str:
    from fsrun.cli.options import open_database
    from store.engine import check_writable
    from store.snapshot import snapshot
    from store.upkeep import problems, revision

    engine = open_database()
    check_writable(engine)
    on_file = engine.url.get_backend_name() == "sqlite"  # whose name may be no UTF-8, which no URL can hold
    place = engine.url.database if on_file else engine.url.render_as_string(hide_password=True)
    small = engine.url.database is None or not _size(engine.url.database) > QUICKLY_READ
    found = problems(engine) if small else []
    if found:
        raise FsrunError(f"{place}: {found[0]}; see fsrun db check")
    unread = "" if small else ", too large to be read here: fsrun db check"
    count = sum(snapshot(engine, now=time.time(), limit=1).counts.values())
    return f"{place}, {count} runs, schema {revision(engine)}, up to date{unread}"


def _size(path: str) -> int:
    return Path(path).stat().st_size if Path(path).exists() else 0


def _queue() -> str:
    from fsrun.cli.options import open_database
    from store.snapshot import snapshot

    taken = snapshot(open_database(), now=time.time(), limit=1)
    if taken.paused:
        raise FsrunError("it is paused, no job is begun: fsrun resume")
    return ", ".join(f"{count} {status}" for status, count in taken.counts.items()) or "empty"


def _clock() -> str:
    from fsrun.cli.options import open_database
    from fsrun.liveness import CLOCK_SLACK, Clock, difference, differing_clocks
    from fsrun.words import duration
    from store.engine import reading
    from store.snapshot import read_workers

    engine = open_database()
    differing = differing_clocks(engine)
    if differing:
        raise FsrunError("; ".join(difference(name, ahead) for name, ahead in differing.items()))
    with reading(engine) as connection:
        workers = read_workers(connection, Clock(engine)())
    ahead = max((-worker.heartbeat_age for worker in workers), default=0.0)
    if ahead > CLOCK_SLACK:
        raise FsrunError(
            f"a worker was heard of {duration(ahead)} from now: this clock was set back, or another "
            "machine's is wrong; have NTP set both"
        )
    return "no other clock differs from this machine's"


def _checkpoints() -> str:
    from fsrun.checkpoint_files import checkpoint_files
    from fsrun.cli.options import open_database
    from fsrun.paths import find_home
    from store.jobs import JobStatus
    from store.upkeep import known_files

    newest = {each.row.run_id: each for each in reversed(known_files(open_database()))}
    files = checkpoint_files(find_home())
    gone = [each for each in newest.values() if files.size(each.row) is None]
    if gone:
        first = gone[0].row
        done = sum(each.status is JobStatus.DONE for each in gone)
        raise FsrunError(
            f"{first.url or files.local(first)} is gone, and with it the newest checkpoint of {len(gone)} "
            f"of {len(newest)} runs: put them back, or {len(gone) - done} unfinished runs go on from an "
            f"older one and {done} finished runs can neither be exported nor started from"
        )
    return f"the newest of {len(newest)} runs"


def _workers() -> str:
    from fsrun.cli.options import open_database
    from fsrun.liveness import Clock, with_the_dead
    from fsrun.words import LOST_AFTER, duration, is_lost
    from store.jobs import JobStatus
    from store.snapshot import Which, snapshot

    running = Which(status=JobStatus.RUNNING)
    engine = open_database()
    taken = with_the_dead(snapshot(engine, now=Clock(engine)(), limit=None, which=running))
    lost = [row for row in taken.runs if is_lost(row)]
    if lost:
        named = ", ".join(f"run {row.id}" for row in lost)
        raise FsrunError(
            f"{named} lost its worker: start fsrun worker, which goes on from the last checkpoint"
        )
    alive = [worker for worker in taken.workers if not worker.died and worker.heartbeat_age <= LOST_AFTER]
    heard = ", ".join(
        f"{worker.id} on {worker.device} ({duration(worker.heartbeat_age)} ago)" for worker in alive
    )
    return heard or "none is running; start one with fsrun worker"


def _data() -> str:
    from experiments.datasets import IMPORTED
    from fsrun.paths import find_home

    data_dir = find_home().data
    return "; ".join(
        f"{each.title}, {each.verify(data_dir).images:,} images, checksum right"
        if each.is_here(data_dir)
        else f"{each.title} is not imported (only {name} runs need it): {each.how}"
        for name, each in IMPORTED.items()
    )


def _devices() -> str:
    import torch

    from fsrun.worker.devices import has_bfloat16

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ", ".join(f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(gpus))
    if torch.backends.mps.is_available():
        names = "mps"
    half = ", fast in bfloat16 (try --set precision=bf16)" if has_bfloat16() else ""
    return f"cpu with {usable_cores()} cores{half}" + (f"; {names}" if names else "; no GPU")


CHECKS: dict[str, Callable[[], str]] = {
    "versions": _versions,
    "home": _home,
    "storage": _storage,
    "database": _database,
    "queue": _queue,
    "workers": _workers,
    "clock": _clock,
    "checkpoint": _checkpoints,
    "data": _data,
    "devices": _devices,
}

OF_THE_DATABASE = ("queue", "workers", "clock", "checkpoint")
