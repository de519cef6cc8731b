"""A job on several processes of a worker: the first is its runner, the others follow it from job to job.

Not here: starting and ending them (launcher.py), and how they compute together (experiments.parallel).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from experiments.config import RunConfig, config_from_json, training_steps
from experiments.errors import ExperimentError
from experiments.method import Resources, build
from experiments.parallel import OVER, follow
from experiments.team import Team, joined
from fsrun.worker.devices import device_of
from fsrun.worker.launcher import Place
from store.errors import DatabaseUnavailable, LeaseLost

LEAVE = ("leave",)
"""The order to those that follow after which there is no other job."""

BLAME_SECONDS = 3.0
"""How long the first process, whose step failed, waits to be ended: it may only miss one that has died."""


@dataclass(frozen=True)
class Share:
    """What the others need of a job."""

    config: str
    data_dir: Path
    threads: int


@contextmanager
def team_of(place: Place | None, device: torch.device) -> Iterator[Team | None]:
    """Give the processes that were started together, once all are there; None for one that is alone."""
    if place is None:
        yield None
        return
    with joined(place.rank, place.size, device_of(place.rank, device), place.meeting) as team:
        yield team
        if team.leads:
            team.tell(LEAVE)


def work_along(team: Team) -> None:
    """Be one of those that follow, until the first leaves."""
    while (share := team.heard()) != LEAVE:
        torch.set_num_threads(share.threads)
        resources = Resources(share.data_dir, team.device, team=team)
        follow(partial(build, config_from_json(share.config), resources), team)
        if team.device.type == "cuda":
            torch.cuda.empty_cache()


def spread(team: Team) -> str:
    """Say what the processes of a team compute on."""
    return f"cuda:0 to cuda:{team.size - 1}" if team.device.type == "cuda" else str(team.device)


def suits(config: RunConfig) -> bool:
    """Say whether several processes can share a run."""
    return config.method.on_several and training_steps(config) > 0


@contextmanager
def together(team: Team | None, share: Share) -> Iterator[None]:
    """Have the others do their share of a run inside the block.

    They hear that it is over wherever it can end while they wait for an order; any other error breaks the
    team. It may only say that another process has died, and then the launcher ends this one meanwhile.
    """
    if team is None:
        yield
        return
    team.tell(share)
    try:
        yield
    except (ExperimentError, LeaseLost, DatabaseUnavailable):
        team.tell(OVER)
        raise
    except Exception:
        time.sleep(BLAME_SECONDS)
        team.broken = True
        raise
    team.tell(OVER)
