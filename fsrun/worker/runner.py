"""The process that trains: takes jobs from its supervisor by pipe, one after another.

Not here: claiming and watching (supervisor.py). Everything it reports goes to the store.
"""

import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import torch
from sqlalchemy import Engine

from experiments.config import config_from_json
from experiments.errors import CheckpointError, ExperimentError
from experiments.events import Finished, Measurement
from experiments.method import Resources
from experiments.run import run
from fsrun.paths import Home, find_home
from fsrun.worker.devices import resolve_device, thread_count
from fsrun.worker.sink import StoreSink, sha256_of
from store import queue as jobs
from store.checkpoints import CheckpointRow
from store.engine import open_store
from store.errors import LeaseLost
from store.results import ResultRow
from store.runs import RunRecord, get_run

logger = logging.getLogger("fsrun.runner")

Order = dict[str, int]  # run_id and attempt


def execute(
    engine: Engine, home: Home, run_id: int, attempt: int, device: str, should_stop: Callable[[], bool]
) -> None:
    """Run one claimed job to its end and bring the job to the status that belongs to it."""
    record = get_run(engine, run_id)
    with _logging_to(home, run_id):
        logger.info("run %d, attempt %d, on %s", run_id, attempt, device)
        try:
            _train(engine, home, record, attempt, device, should_stop)
        except LeaseLost as error:
            logger.warning("%s", error)
        except ExperimentError as error:
            logger.error("%s", error)
            jobs.fail(engine, run_id, attempt, str(error), now=time.time())
        except Exception:
            # The boundary of a job: whatever it raised belongs to the run's record, not to the worker.
            logger.exception("run %d failed", run_id)
            jobs.fail(engine, run_id, attempt, traceback.format_exc(), now=time.time())


def _train(
    engine: Engine, home: Home, record: RunRecord, attempt: int, device: str, should_stop: Callable[[], bool]
) -> None:
    """Train, then store the results or hand the job back."""
    config = config_from_json(record.spec.config)
    torch.set_num_threads(thread_count(config.experiment))
    parents = [get_run(engine, parent) for parent in record.parents]
    resources = Resources(
        home.data,
        resolve_device(device),
        {parent.spec.config_hash: _final_checkpoint(parent) for parent in parents},
    )
    sink = StoreSink(engine, record.id, attempt)
    outcome = run(
        config,
        resources,
        sink,
        lambda step: home.checkpoint(record.id, attempt, step),
        resume_from=list(_intact(record.checkpoints)),
        should_stop=should_stop,
    )
    if isinstance(outcome, Finished):
        rows = [_row(measurement) for measurement in outcome.results]
        logger.info("done: %s", ", ".join(f"{row.name} {row.value:.4f} ± {row.interval:.4f}" for row in rows))
        jobs.finish(engine, record.id, attempt, rows, now=time.time())
    else:
        logger.info("stopped at step %d", outcome.step)
        jobs.release(engine, record.id, attempt, now=time.time())


def _final_checkpoint(parent: RunRecord) -> Path:
    """Return the file a finished run left for those that start from it; CheckpointError where it is gone."""
    path = next(_intact(parent.checkpoints[:1]), None)
    if path is None or not path.is_file():
        raise CheckpointError(
            f"run {parent.id}, which this run starts from, has no intact checkpoint: queue it again with "
            f"fsrun queue {parent.spec.experiment} --method {parent.spec.method}"
        )
    return path


def _intact(checkpoints: Iterable[CheckpointRow]) -> Iterator[Path]:
    """Yield the files that are what was written; whether one is there at all is for the run to find out."""
    for row in checkpoints:
        if row.path.is_file() and sha256_of(row.path) != row.sha256:
            logger.warning("checkpoint %s is damaged (its sha256 differs): trying an older one", row.path)
        else:
            yield row.path


def _row(measurement: Measurement) -> ResultRow:
    values = torch.tensor(measurement.episodes, dtype=torch.float32).numpy().tobytes()
    return ResultRow(
        measurement.name, measurement.value, measurement.interval, len(measurement.episodes), values
    )


class _logging_to:  # noqa: N801 (reads as a statement)
    """Send the log of this process to the log file of a run, for as long as the run lasts."""

    def __init__(self, home: Home, run_id: int) -> None:
        path = home.log(run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.handler = logging.FileHandler(path, encoding="utf-8")
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))

    def __enter__(self) -> None:
        logging.getLogger().addHandler(self.handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self.handler)
        self.handler.close()


class Orders:
    """What the supervisor says, read by a thread: one job after another, and which of them to stop."""

    def __init__(self) -> None:
        self.jobs: queue.Queue[Order | None] = queue.Queue()
        self.to_stop: Order | None = None
        self.alone = False

    def read(self, lines: Iterable[str]) -> None:
        """Take in each line; where they end the supervisor is gone."""
        for line in lines:
            said = json.loads(line)
            if "stop" in said:
                self.to_stop = said["stop"]
            else:
                self.jobs.put(said)
        self.alone = True
        self.jobs.put(None)

    def stops(self, order: Order) -> bool:
        """Say whether this attempt of a job is to stop; one asked for earlier stops no later one."""
        return self.alone or self.to_stop == order


def _private_stdout() -> IO[str]:
    """Return the pipe to the supervisor and send everything else that prints to standard error."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def main(device: str) -> None:
    """Execute jobs until the supervisor closes the pipe."""
    replies = _private_stdout()
    faulthandler.enable()
    logging.getLogger().setLevel(logging.INFO)
    # A service manager ends the whole group at once; the supervisor says by the pipe when to stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    home = find_home()
    engine = open_store(home.database, create=False)
    orders = Orders()
    device = str(resolve_device(device))
    print(json.dumps({"device": device}), file=replies)
    threading.Thread(target=orders.read, args=(sys.stdin,), daemon=True).start()
    while (order := orders.jobs.get()) is not None:
        execute(engine, home, **order, device=device, should_stop=partial(orders.stops, order))
        print(json.dumps({"over": order["run_id"]}), file=replies)


if __name__ == "__main__":
    main(sys.argv[1])
