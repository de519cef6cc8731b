"""The process that trains: takes jobs from its supervisor by pipe, one after another.

Not here: claiming and watching (supervisor.py). Everything it reports goes to the store.
"""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from sqlalchemy import Engine

from experiments.config import EmbeddedData, ImageRun, config_from_json
from experiments.datasets import folders_needed
from experiments.errors import ExperimentError, StorageUnavailable
from experiments.events import Finished, Measurement, Stopped
from experiments.features.index import read_feature_index
from experiments.features.novelty import novelty
from experiments.method import Resources
from experiments.own import code_facts, with_code
from experiments.run import run
from experiments.team import Team
from fsrun.checkpoint_files import own_checkpoint_files, remove_unfinished
from fsrun.paths import PRIVATE, Home
from fsrun.provenance import PROCESSES, PROCESSOR_SECONDS, REPAIRED, SEEN, THREADS, facts_of
from fsrun.shared_data import fetch
from fsrun.worker.devices import resolve_device, thread_count
from fsrun.worker.fetching import final_checkpoint, intact, patiently
from fsrun.worker.launcher import launched
from fsrun.worker.memory import out_of_memory
from fsrun.worker.nodes import is_of_the_device, machine_fault
from fsrun.worker.outage import RETRY_SECONDS, Outage
from fsrun.worker.peers import Share, spread, suits, team_of, together, work_along
from fsrun.worker.pipe import Orders, Replies
from fsrun.worker.sink import StoreSink
from store import queue as jobs
from store.engine import open_store
from store.errors import DatabaseUnavailable, LeaseLost
from store.jobs import add_provenance
from store.results import ResultRow
from store.runs import RunRecord, get_run
from store.upkeep import identity

logger = logging.getLogger("fsrun.runner")

T = TypeVar("T")


@dataclass(frozen=True)
class Aftermath:
    """Whether the process can take another job, and how this machine failed the one it had."""

    sound: bool = True
    fault: str | None = None


@dataclass(frozen=True)
class _Job:
    """One claimed job, whether it is to stop at the next chunk, and whether not to wait for the database."""

    engine: Engine
    home: Home
    run_id: int
    attempt: int
    should_stop: Callable[[], bool]
    gives_up: Callable[[], bool]
    outage: Outage
    team: Team | None = None  # of processes, where this worker has several for a job that can use them

    def persist(self, write: Callable[..., T], *values: Any) -> T:
        """Write about this attempt of the job, and wait for the database where it cannot be used."""
        return self.outage.persist(
            lambda: write(self.engine, self.run_id, self.attempt, *values, now=time.time()), self.gives_up
        )

    def note(self, facts: Mapping[str, str]) -> None:
        """Add facts to the provenance of this attempt."""
        self.outage.persist(
            lambda: add_provenance(self.engine, self.run_id, self.attempt, facts), self.gives_up
        )


def execute(
    engine: Engine,
    home: Home,
    run_id: int,
    attempt: int,
    device: str,
    should_stop: Callable[[], bool],
    gives_up: Callable[[], bool] = lambda: False,
    team: Team | None = None,
) -> Aftermath:
    """Run one claimed job to its end and bring the job to the status that belongs to it.

    The process can take no other once its memory ran out or its device failed, or a step of its team broke
    off, which leaves it in pieces.
    `gives_up` says that nobody is left for whom to wait while the database cannot be used; only then
    DatabaseUnavailable is raised.
    """
    outage = Outage(engine, logger.warning)
    job = _Job(engine, home, run_id, attempt, should_stop, gives_up, outage, team)
    with _logging_to(home, run_id):
        record = outage.persist(lambda: get_run(engine, run_id), gives_up)
        logger.info("run %d, attempt %d, on %s", run_id, attempt, device)
        try:
            return _end(job, record, device)
        except LeaseLost as error:
            logger.warning("%s", error)
            return Aftermath()


def _end(job: _Job, record: RunRecord, device: str) -> Aftermath:
    """Train, then store the results, the error, or where to go on from.

    Raises LeaseLost.
    """
    worked_before = time.process_time()
    try:
        outcome = _train(job, record, device)
    except (LeaseLost, DatabaseUnavailable):
        raise
    except StorageUnavailable as error:  # waited for until the job was to stop
        logger.warning("%s", error)
        job.persist(jobs.release)
    except ExperimentError as error:
        logger.error("%s", error)
        job.persist(jobs.fail, str(error))
        return Aftermath(fault=machine_fault(error))
    except Exception as error:
        # The boundary of a job: whatever it raised belongs to the run's record, not to the worker.
        logger.exception("run %d failed", record.id)
        short = out_of_memory(error)
        job.persist(jobs.fail, f"{short}\n{traceback.format_exc()}" if short else traceback.format_exc())
        sound = short is None and not is_of_the_device(error) and not (job.team and job.team.broken)
        return Aftermath(sound, None if short else machine_fault(error))
    else:
        job.note({PROCESSOR_SECONDS: f"{time.process_time() - worked_before:.1f}"})
        if isinstance(outcome, Finished):
            rows = [_row(measurement) for measurement in outcome.results]
            values = (f"{row.name} {row.value:.4f} ± {row.interval:.4f}" for row in rows)
            logger.info("done: %s", ", ".join(values))
            job.note(facts_of(outcome.cost))
            job.persist(jobs.finish, rows)
        else:
            logger.info("stopped at step %d", outcome.step)
            job.persist(jobs.release)
    return Aftermath()


def _train(job: _Job, record: RunRecord, device: str) -> Finished | Stopped:
    """Train, and have everything that was reported stored, also where training raises an error."""
    config = with_code(config_from_json(record.spec.config))
    job.note(code_facts(config))
    team = job.team if suits(config) else None
    threads = _set_threads(job, record, team)
    parents = job.outage.persist(
        lambda: [get_run(job.engine, parent) for parent in record.parents], job.gives_up
    )
    files = job.outage.persist(lambda: own_checkpoint_files(job.engine, job.home, time.time()), job.gives_up)
    patiently(job.should_stop, files.require)
    patiently(job.should_stop, lambda: fetch(job.home, folders_needed([config])))
    if isinstance(config, ImageRun) and isinstance(config.data, EmbeddedData):
        index = read_feature_index(job.home.data, config.data.features)
        repaired = {REPAIRED: str(index.repaired)} if index.repaired else {}
        job.note({SEEN: novelty(index), **repaired})
    resources = Resources(
        job.home.data,
        resolve_device(device),
        {parent.spec.config_hash: final_checkpoint(files, parent, job.should_stop) for parent in parents},
        team,
    )
    database = job.outage.persist(lambda: identity(job.engine, time.time()), job.gives_up)

    def checkpoint_path(step: int) -> Path:
        files.require()
        return job.home.checkpoint(database, job.run_id, job.attempt, step)

    remove_unfinished(checkpoint_path(0).parent)
    total = record.spec.total_steps
    sink = StoreSink(job.engine, job.run_id, job.attempt, job.outage, job.gives_up, files, total)
    try:
        with together(team, Share(record.spec.config, job.home.data, threads)):
            outcome = run(
                config,
                resources,
                sink,
                checkpoint_path,
                resume_from=intact(files, record.checkpoints, job.should_stop),
                should_stop=job.should_stop,
            )
        sink.flush()
        return outcome
    except ExperimentError:
        sink.flush()
        raise
    finally:
        sink.close()


def _set_threads(job: _Job, record: RunRecord, team: Team | None) -> int:
    """Compute with as many threads as the run did before: sums come out bit for bit the same only then.

    The same number of processes is needed for that too; those of a team share the cores.
    """
    shared = {PROCESSES: f"{team.size} on {spread(team)}"} if team else {}
    known = [attempt.provenance for attempt in record.attempts if THREADS in attempt.provenance]
    before = [facts[THREADS] for facts in known if facts.get(PROCESSES) == shared.get(PROCESSES)]
    processes = team.size if team else 1
    threads = int(before[0]) if before else thread_count(record.spec.experiment, processes)
    torch.set_num_threads(threads)
    job.note({THREADS: str(threads), **shared})
    return threads


def _row(measurement: Measurement) -> ResultRow:
    values = torch.tensor(measurement.episodes, dtype=torch.float32).numpy().tobytes()
    return ResultRow(
        measurement.name, measurement.value, measurement.interval, len(measurement.episodes), values
    )


class _logging_to:  # noqa: N801 (reads as a statement)
    """Send the log of this process to the log file of a run, for as long as the run lasts.

    A log that cannot be written, on a full disk, does not stop the run: it goes to the worker's log.
    """

    def __init__(self, home: Home, run_id: int) -> None:
        path = home.log(run_id)
        self.handler: logging.Handler = logging.StreamHandler()
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            self.handler = logging.FileHandler(path, encoding="utf-8")
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))

    def __enter__(self) -> None:
        logging.getLogger().addHandler(self.handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self.handler)
        with suppress(OSError):
            self.handler.close()


def _open_patiently(home: Home, orders: Orders) -> Engine:
    """Open the database as soon as it can be used, unless the supervisor has gone by then."""
    while True:
        try:
            return open_store(home.database, create=False)
        except DatabaseUnavailable:
            if orders.alone:
                raise
        time.sleep(RETRY_SECONDS)


def main(device: str) -> None:
    """Execute jobs until the supervisor closes the pipe; lead the others of its launcher, or follow."""
    place = launched()
    replies = Replies()
    faulthandler.enable()
    logging.getLogger().setLevel(logging.INFO)
    if place is None:
        # A service manager ends the whole group at once; the supervisor says by the pipe when to stop.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.umask(PRIVATE)
    with team_of(place, resolve_device(device)) as team:
        if team is None or team.leads:
            _take_orders(replies, device, team)
        else:
            work_along(team)


def _take_orders(replies: Replies, device: str, team: Team | None) -> None:
    home = Home(Path(os.environ["FSRUN_HOME"]))  # not made anew where it is gone
    orders = Orders()
    threading.Thread(target=orders.read, args=(sys.stdin,), daemon=True).start()
    engine = _open_patiently(home, orders)
    device = str(resolve_device(device))
    replies.say(device=device)
    while (order := orders.jobs.get()) is not None:
        stops = partial(orders.stops, order)
        left = execute(
            engine, home, **order, device=device, should_stop=stops, gives_up=lambda: orders.alone, team=team
        )
        replies.say(over=order["run_id"], ends=not left.sound, fault=left.fault)
        if not left.sound:
            if team is not None:
                os._exit(0)  # the others wait for what will not come, and end with this process
            return


if __name__ == "__main__":
    main(sys.argv[1])
