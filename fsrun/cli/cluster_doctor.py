"""`doctor --cluster`: what each node has, one row a node, and a line for everything that is wrong.

Not here: looking at a node (fsrun.worker.examination), and at this machine (doctor.py).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from fsrun.cli.clusters import pairs_of
from fsrun.cli.options import open_database
from fsrun.cli.tables import console
from fsrun.errors import FsrunError, UsageError
from fsrun.liveness import Clock, difference, differing_clocks, with_the_dead
from fsrun.paths import Home, find_home
from fsrun.provenance import provenance
from fsrun.sweep_table import empty_table
from fsrun.words import LOST_AFTER, count, plain
from fsrun.worker import ray_engine, slurm_engine
from fsrun.worker.examination import Examination, looked_back
from fsrun.worker.nodes import Fault, differing, new_fleet, ordered
from store import workers
from store.snapshot import snapshot
from store.views import WorkerRow

COLUMNS = ("", "node", "python", "torch", "fsrun", "commit", "home", "database", "device")
WIDTH = 120
"""A narrower terminal wraps the rows, so that nothing of them is cut."""

PATIENCE = 120.0  # seconds: Ray starts a process on the node, Slurm finds room, torch is loaded


@dataclass(frozen=True)
class Row:
    """What the table says of one node; what is not known is empty."""

    node: str
    facts: Mapping[str, str]
    device: str
    database: str
    faults: tuple[Fault, ...]


def check_cluster(engine: str | None, address: str | None, slurm: Sequence[str]) -> None:
    """Print a row for each node and what is wrong with it. Raises FsrunError where anything is."""
    if engine not in (None, "ray", "slurm"):
        raise UsageError(f"--engine {engine!r} is neither ray nor slurm: use one of them")
    if (address and engine == "slurm") or (slurm and engine == "ray") or (address and slurm):
        raise UsageError("--address is of Ray and --slurm is of Slurm: give the one of the engine you mean")
    database = open_database()
    if engine == "ray" or address:
        what, rows = "node", _on_ray(address or "auto")
    elif engine == "slurm" or slurm:
        what, rows = "node", _on_slurm(slurm)
    else:
        what, rows = "running worker", _of_workers(database)
    _say(what, rows)


def _on_ray(address: str) -> list[Row]:
    home, asked_at = find_home(), time.time()
    with ray_engine.joined(address), ordered(home, new_fleet("ray"), "auto", {}) as order:
        found = ray_engine.examinations(order, PATIENCE)
        return [
            _silent(node, each)
            if isinstance(each, str)
            else _examined(looked_back(order, home, each, asked_at))
            for node, each in found.items()
        ]


def _on_slurm(parameters: Sequence[str], cluster: str = "slurm") -> list[Row]:
    home, asked_at = find_home(), time.time()
    with ordered(home, new_fleet("slurm"), "auto", {}) as order:
        found = slurm_engine.examinations(order, home, pairs_of(parameters), PATIENCE, cluster)
        return [
            _silent(node, each)
            if isinstance(each, str)
            else _examined(looked_back(order, home, each, asked_at))
            for node, each in found.items()
        ]


def _silent(node: str, reason: str) -> Row:
    return Row(node, {}, "", "", (Fault("answer", reason),))


def _examined(found: Examination) -> Row:
    device = found.device
    parts = [count(device.cores, "core"), f"{device.memory / 2**30:.0f} GiB", *_grouped(device.gpus)]
    schema = f"schema {found.schema}" if found.schema else ""
    return Row(found.node, found.facts, ", ".join(parts), schema, found.faults)


def _grouped(gpus: Sequence[str]) -> Iterator[str]:
    """Yield the GPUs by name, 8 x NVIDIA H200; that there are none is said, too."""
    if not gpus:
        yield "no GPU"
    for name in dict.fromkeys(gpus):
        yield name if gpus.count(name) == 1 else f"{gpus.count(name)} x {name}"


def _of_workers(engine: Engine) -> list[Row]:
    """Return what the database and the home know of the workers that are running."""
    home = find_home()
    differing = differing_clocks(engine)
    taken = with_the_dead(snapshot(engine, now=Clock(engine)(), limit=1))
    recent = [each for each in taken.workers if not each.died and each.heartbeat_age <= LOST_AFTER]
    alive = recent + [each for each in taken.workers if each.id in differing and each not in recent]
    if not alive:
        raise FsrunError(
            "no worker is running, and no engine is named: start fsrun worker on the machines, or add "
            "--engine ray or --engine slurm"
        )
    known = workers.made_with(engine, [each.id for each in alive])
    return [_of_worker(each, known.get(each.id, {}), home, differing.get(each.id)) for each in alive]


def _of_worker(worker: WorkerRow, facts: Mapping[str, str], home: Home, ahead: float | None) -> Row:
    faults = [Fault("versions", line) for line in differing(provenance(), facts)] if facts else []
    log = home.worker_log(worker.id)
    if not log.is_file():
        faults.append(
            Fault(
                "home",
                f"its log {log} is not here, so its FSRUN_HOME is another folder: set FSRUN_HOME to a folder "
                "that all machines see under the same path, and start it again",
            )
        )
    if ahead is not None:
        faults.append(Fault("clock", difference(worker.id, ahead)))
    device = ", ".join(each for each in (worker.device, facts.get("processor", "")) if each)
    return Row(worker.id, facts, device, "in use", tuple(faults))


def _say(what: str, rows: Sequence[Row]) -> None:
    """Print the table, then the faults. Raises FsrunError where there are any."""
    table = empty_table(*COLUMNS)
    table.add_row("", "(here)", *_versions(provenance()))
    for row in rows:
        about = {fault.about for fault in row.faults}
        heard = "answer" not in about
        table.add_row(
            "wrong" if row.faults else "ok",
            plain(row.node),
            *_versions(row.facts),
            "" if not heard else "not shared" if "home" in about else "shared",
            "out of reach" if "database" in about else row.database,
            plain(row.device),
        )
    out, home = console(), find_home()
    out.width = max(out.width, WIDTH)
    out.print(table)
    wrong = [row for row in rows if row.faults]
    for row in wrong:
        for fault in row.faults:
            out.print(plain(f"wrong  {row.node}: {fault.line}"), soft_wrap=True)
    for row in rows:
        if not row.facts and row not in wrong:
            out.print(plain(f"{row.node} has run nothing yet: its versions are known once it has."))
    out.print(plain(f"Compared with home {home.root}, storage {home.storage or 'in it'}."), soft_wrap=True)
    if wrong:
        raise FsrunError(f"{len(wrong)} of {count(len(rows), what)} unfit to work: see the lines above")


def _versions(facts: Mapping[str, str]) -> tuple[str, ...]:
    commit, changed, _ = facts.get("commit", "").partition(" with changes")
    short = commit[:8] if len(commit) == 40 else commit
    marked = "+" if changed else ""
    return (*(facts.get(name, "") for name in ("python", "torch", "fsrun")), short + marked)
