"""Ways to log scalars, each opened as its documentation says, and one loop that is the same for all of them.

Run by whichever Python has the package, one process for each measurement; prints one line of JSON.

Not here: medians and comparisons (metrics.py). Nothing but the standard library is imported up here.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the checkout, not this folder, whose queue.py would hide Python's own
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

NAMES = tuple(f"train/quantity-{number}" for number in range(5))
FLUSH_SECONDS = 0.5  # plain sqlite3 commits as often as fsrun does
MOST_STEPS = 200_000  # a bound on memory

Log = Callable[[int, Mapping[str, float]], object]


@dataclass(frozen=True)
class Logger:
    """`log` takes one step with a value of each name; `close` returns when all is in the files."""

    log: Log
    close: Callable[[], object]


def _sink(folder: Path) -> Any:
    """Return the sink of a run that has just been claimed, as a runner has it."""
    sink = import_module("fsrun.worker.sink")
    queue, engine_of = import_module("store.queue"), import_module("store.engine")
    runs = import_module("store.runs")
    empty_jobs = import_module("benchmarks.queue").empty_jobs
    engine = engine_of.open_store(folder / "fsrun.db")
    runs.enqueue(engine, empty_jobs(1), now=time.time(), provenance={})
    claim = queue.claim(engine, "benchmark", now=time.time(), lease_seconds=3600.0)
    outage = import_module("fsrun.worker.outage").Outage(engine, print)
    home = import_module("fsrun.paths").Home(folder)
    files = import_module("fsrun.checkpoint_files").checkpoint_files(home)
    made = sink.StoreSink(engine, claim.run_id, claim.attempt, outage, lambda: True, files, 1)
    made.started(0)
    return made


def _close(sink: Any) -> None:
    sink.flush()
    sink.close()
    sink.engine.dispose()


def fsrun(folder: Path) -> Logger:
    """Give the sink one step at a time."""
    sink = _sink(folder)

    def log(step: int, values: Mapping[str, float]) -> None:
        sink.metrics([step], {name: [value] for name, value in values.items()})

    return Logger(log, partial(_close, sink))


def fsrun_chunks(folder: Path) -> Logger:
    """Give the sink ten steps at a time, as the training loop does."""
    sink = _sink(folder)
    steps: list[int] = []
    chunk: dict[str, list[float]] = {name: [] for name in NAMES}

    def log(step: int, values: Mapping[str, float]) -> None:
        steps.append(step)
        for name, value in values.items():
            chunk[name].append(value)
        if len(steps) == 10:
            hand_over()

    def hand_over() -> None:
        sink.metrics(steps, chunk)
        for numbers in chunk.values():
            numbers.clear()
        steps.clear()

    def close() -> None:
        if steps:
            hand_over()
        _close(sink)

    return Logger(log, close)


def plain_sqlite3(folder: Path) -> Logger:
    """Collect rows and insert them in one transaction twice a second; no summaries, no lease."""
    database = sqlite3.connect(folder / "plain.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(
        "CREATE TABLE point (name TEXT, step INTEGER, value REAL, time REAL, PRIMARY KEY (name, step))"
        " WITHOUT ROWID"
    )
    rows: list[tuple[str, int, float, float]] = []
    flushed_at = time.monotonic()

    def flush() -> None:
        nonlocal flushed_at
        with database:
            database.executemany("INSERT INTO point VALUES (?, ?, ?, ?)", rows)
        rows.clear()
        flushed_at = time.monotonic()

    def log(step: int, values: Mapping[str, float]) -> None:
        now = time.time()
        rows.extend((name, step, value, now) for name, value in values.items())
        if time.monotonic() - flushed_at > FLUSH_SECONDS:
            flush()

    def close() -> None:
        flush()
        database.close()

    return Logger(log, close)


def trackio(folder: Path) -> Logger:
    """`trackio.init`, `trackio.log`, `trackio.finish`."""
    os.environ["TRACKIO_DIR"] = str(folder)
    library = import_module("trackio")
    library.init(project="benchmark", name="run")
    return Logger(lambda step, values: library.log(dict(values), step=step), library.finish)


def tensorboard(folder: Path) -> Logger:
    """`SummaryWriter.add_scalar` of torch."""
    writer = import_module("torch.utils.tensorboard").SummaryWriter(log_dir=str(folder))

    def log(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return Logger(log, writer.close)


def mlflow(folder: Path) -> Logger:
    """`mlflow.log_metrics` into a SQLite file, which is where mlflow 3 writes by default."""
    library = import_module("mlflow")
    library.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    library.set_experiment("benchmark")
    library.start_run()
    return Logger(lambda step, values: library.log_metrics(dict(values), step=step), library.end_run)


def aim(folder: Path) -> Logger:
    """`aim.Run.track` into a repository in the folder."""
    run = import_module("aim").Run(
        repo=str(folder), system_tracking_interval=None, capture_terminal_logs=False
    )
    return Logger(lambda step, values: run.track(dict(values), step=step), run.close)


CANDIDATES: dict[str, tuple[Callable[[Path], Logger], str | None]] = {  # and the package it needs
    "fsrun": (fsrun_chunks, None),
    "fsrun, one step a call": (fsrun, None),
    "sqlite3, batched": (plain_sqlite3, None),
    "trackio": (trackio, "trackio"),
    "tensorboard": (tensorboard, "tensorboard"),
    "mlflow": (mlflow, "mlflow"),
    "aim": (aim, "aim"),
}


@dataclass(frozen=True)
class Cost:
    """What one loop found: microseconds a scalar inside the loop and until all is filed; bytes a scalar.

    `cpu` is the processor time of the whole process in microseconds a scalar, other threads and the loop
    around the logging included: work that is moved to a thread does not disappear.
    """

    version: str
    scalars: int
    loop: float
    in_all: float
    cpu: float
    bytes_each: float


def measure(open_logger: Callable[[Path], Logger], folder: Path, *, seconds: float, pace: float) -> Cost:
    """Log for so many seconds, a step every `pace` seconds, or as fast as it goes where that is 0."""
    logger = open_logger(folder)
    logger.log(0, dict.fromkeys(NAMES, 0.0))  # the first one may open files
    before = _size(folder)
    began, worked = time.perf_counter(), time.process_time()
    inside, step = 0.0, 0
    while time.perf_counter() - began < seconds and step < MOST_STEPS:
        step += 1
        values = {name: math.sin(step + place) for place, name in enumerate(NAMES)}
        entered = time.perf_counter()
        logger.log(step, values)
        inside += time.perf_counter() - entered
        if pace:
            time.sleep(max(began + step * pace - time.perf_counter(), 0.0))
    entered = time.perf_counter()
    logger.close()
    closing = time.perf_counter() - entered
    scalars = step * len(NAMES)
    return Cost(
        version="",
        scalars=scalars,
        loop=1e6 * inside / scalars,
        in_all=1e6 * (inside + closing) / scalars,
        cpu=1e6 * (time.process_time() - worked) / scalars,
        bytes_each=(_size(folder) - before) / scalars,
    )


def _size(folder: Path) -> int:
    """Return the bytes of all files but SQLite's passing ones, which `close` folds into the database."""
    files = (path for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    return sum(path.stat().st_size for path in files if path.is_file())


def main(name: str, folder: str, seconds: str, pace: str) -> None:
    """Measure one candidate; whatever it prints itself goes to standard error."""
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    open_logger, package = CANDIDATES[name]
    cost = measure(open_logger, Path(folder), seconds=float(seconds), pace=float(pace))
    named = version(package) if package else ""
    print(json.dumps(asdict(cost) | {"version": named}), file=answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
