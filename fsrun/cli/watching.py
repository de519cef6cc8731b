"""The command `watch`: one run in plain lines, for screen readers, pipes and logs.

Not here: the dashboard (fsrun.tui), and the picture a worker in the foreground draws (foreground.py).
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.cli import output
from fsrun.cli.options import open_database
from fsrun.cli.runs import RunId
from fsrun.errors import INTERRUPTED, FsrunError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.rows import RunRow

LOOK_SECONDS = 0.5


def watch(
    run_id: RunId,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two lines of progress.")] = 5.0,
) -> None:
    """Follow one run in plain lines until it is over; exit code 0 where it is done, else 1."""
    from fsrun.words import plain

    engine = open_database(create=False)
    try:
        row = _follow(engine, run_id, every, lambda line: typer.echo(plain(line)))
    except KeyboardInterrupt:
        typer.echo(f"Run {run_id} goes on; nobody watches it any more.")
        raise typer.Exit(INTERRUPTED) from None
    _say_result(engine, row)


def _follow(engine: "Engine", run_id: int, every: float, say: Callable[[str], object]) -> "RunRow":
    """Say a line when the status changes, and at most so often when anything else does; return the end."""
    from fsrun.liveness import Clock, Watcher
    from fsrun.words import status_word
    from store.jobs import JobStatus

    watcher, clock, said, said_at = Watcher(engine), Clock(engine), ("", ""), 0.0
    while True:
        row = watcher.look(run_id, clock())
        word, line = status_word(row), _line(row)
        if word != said[0] or (line != said[1] and time.monotonic() - said_at >= every):
            say(f"{datetime.now().astimezone():%H:%M:%S} run {run_id} {line}")
            said, said_at = (word, line), time.monotonic()
        output.end_if_unheard()
        if row.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
            return row
        time.sleep(LOOK_SECONDS)


def _line(row: "RunRow") -> str:
    """Say where the run stands: status, step, pace, what is left, and the newest values."""
    from fsrun.words import duration, number, status_word
    from store.jobs import JobStatus

    running = row.status is JobStatus.RUNNING
    parts = [_STATES.get(status_word(row), "{word}").format(word=status_word(row))]
    if row.waits_for:
        parts[0] += f" for run {', '.join(map(str, row.waits_for))}"
    if row.step:
        parts.append(f"step {row.step:,} of {row.total_steps:,}")
    if running and row.rate:
        parts.append(f"{row.rate:.3g} steps per second")
    if running and row.eta_seconds:
        parts.append(f"{duration(row.eta_seconds)} left")
    ends = (".low", ".high")
    values = {name: value for name, value in row.latest.items() if not name.endswith(ends)}
    parts += [f"{name} {number(name.rpartition('/')[2], value)}" for name, value in sorted(values.items())]
    return ", ".join(parts)


_STATES = {"lost": "lost its worker and waits for another to resume it", "waiting": "waits"}


def _say_result(engine: "Engine", row: "RunRow") -> None:
    """Say what the run measured. Raises FsrunError where it did not come to its end."""
    from fsrun.words import duration, is_at_chance, number, plain
    from store.jobs import JobStatus
    from store.runs import get_run

    if row.status is JobStatus.FAILED:
        raise FsrunError(f"run {row.id} failed: {row.error}; fsrun show {row.id} has the whole of it")
    if row.status is JobStatus.CANCELLED:
        raise FsrunError(f"run {row.id} was cancelled: fsrun retry {row.id} queues it again")
    chance = ", at chance" * is_at_chance(row)
    typer.echo(f"Run {row.id} is done after {duration(row.worked)}{chance}.")
    for result in get_run(engine, row.id).results:
        quantity = result.name.rpartition("/")[2]
        interval = "" if result.interval is None else f" ± {number(quantity, result.interval)}"
        typer.echo(plain(f"{result.name} {number(quantity, result.value)}{interval}"))
