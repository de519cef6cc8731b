"""Several jobs at a time, on this machine or on those of a cluster, in the foreground.

Not here: the engines (fsrun.worker), and the words of the command (working.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from fsrun.cli.foreground import Watch, shown
from fsrun.errors import UsageError
from fsrun.paths import find_home
from fsrun.words import count
from fsrun.worker import local_engine, ray_engine
from fsrun.worker.fleet import Coordinator, Fleet
from fsrun.worker.nodes import is_file, new_fleet, ordered
from fsrun.worker.notices import Notices
from fsrun.worker.slurm_engine import SlurmFleet

STOPPING = "every job writes a checkpoint and goes back to the queue"


@dataclass(frozen=True)
class Asked:
    """What the command says of every engine; `gpus` is None where it leaves that to the cluster."""

    device: str
    drain: bool
    cpus: float
    gpus: float | None
    most: int | None
    quiet: bool = False
    on_end: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """What a job may compute with, where the user's environment does not say it."""
        return {"OMP_NUM_THREADS": str(max(int(self.cpus), 1))}


def serve_here(engine: Engine, asked: Asked) -> None:
    """Carry out several jobs at a time on this machine."""
    jobs = asked.most or 1
    gpus = local_engine.gpus_to_share(asked.device)
    cores = local_engine.threads_each(jobs)
    home = find_home()
    with ordered(home, new_fleet("local"), asked.device, {"OMP_NUM_THREADS": str(cores)}) as order:
        each = f"{count(len(gpus), 'GPU')} shared by" if gpus else f"{count(cores, 'core')} for each of"
        _serve(engine, asked, local_engine.LocalFleet(order, jobs, gpus), f"this machine, {each} {jobs} jobs")


def serve_on_ray(engine: Engine, asked: Asked, address: str) -> None:
    """Have the nodes of a Ray cluster carry out jobs. Raises FsrunError where there is none."""
    home = find_home()
    with (
        ray_engine.joined(address),
        ordered(home, new_fleet("ray"), asked.device, asked.settings) as order,
    ):
        gpus = asked.gpus if asked.gpus is not None else float(ray_engine.gpus_there_are())
        fleet = ray_engine.RayFleet(order, ray_engine.Share(asked.cpus, gpus))
        ray_engine.check_share(fleet)
        nodes, room = count(len(fleet.nodes()), "node"), count(fleet.room(), "job")
        _serve(engine, asked, fleet, f"{nodes} of Ray, with room for {room} at a time")


def serve_on_slurm(engine: Engine, asked: Asked, parameters: Sequence[str], cluster: str = "slurm") -> None:
    """Have Slurm's machines carry out jobs. Raises UsageError for what Slurm cannot be asked for."""
    gpus = asked.gpus or 0.0
    if asked.cpus % 1 or gpus % 1:
        raise UsageError("Slurm gives whole CPUs and GPUs: write whole numbers")
    home = find_home()
    with ordered(home, new_fleet("slurm"), asked.device, asked.settings) as order:
        fleet = SlurmFleet(
            order,
            home,
            cpus=int(asked.cpus),
            gpus=int(gpus),
            parameters=pairs_of(parameters),
            cluster=cluster,
            most=asked.most,
        )
        _serve(engine, asked, fleet, f"Slurm, at most {count(fleet.room(), 'job')} at a time")


def _serve(engine: Engine, asked: Asked, fleet: Fleet, where: str) -> None:
    watch = Watch(engine, None, fleet=fleet.name, quiet=asked.quiet)
    watch.notices = Notices(engine, watch.say, asked.on_end)
    coordinator = Coordinator(
        engine, fleet, asked.most, say=watch.say, on_tick=watch.tick, on_lost=watch.notices.tell
    )
    home = find_home()
    watch.log = home.supervisor_log(fleet.name)
    with shown(coordinator, watch, STOPPING):
        watch.say(f"Working as {fleet.name} on {where}.")
        if is_file(home.database) and not isinstance(fleet, local_engine.LocalFleet):
            watch.say("The database is a SQLite file: only nodes on this machine can work on it.")
        coordinator.work(drain=asked.drain)
        watch.tick(now=True)
        watch.say_what_is_left()


def pairs_of(parameters: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE as a mapping. Raises UsageError."""
    pairs = dict(each.partition("=")[::2] for each in parameters)
    for name, value in pairs.items():
        if not name or not value:
            raise UsageError(f"--slurm {name!r} is not NAME=VALUE: write for example --slurm partition=gpu")
    return pairs
