"""The command `watch`: runs in plain lines, for screen readers, pipes and logs.

Not here: the dashboard (fsrun.tui), and the picture a worker in the foreground draws (foreground.py).
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.cli import output
from fsrun.cli.options import open_database
from fsrun.cli.selection import OfStatus, OfTag, RunList, one_or_more
from fsrun.errors import INTERRUPTED, FsrunError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.views import RunRow

LOOK_SECONDS = 0.5


def watch(
    runs: RunList = None,
    status: OfStatus = None,
    tag: OfTag = None,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two lines about a run.")] = 5.0,
) -> None:
    """Follow runs in plain lines until all are over. Exit code 0 if all are done, else 1."""
    from fsrun.words import plain

    engine = open_database(create=False)
    run_ids = one_or_more(engine, runs, status, tag)
    try:
        ended = _follow(engine, run_ids, every, lambda line: typer.echo(plain(line)))
    except KeyboardInterrupt:
        typer.echo(f"No longer watching; the {'run goes' if len(run_ids) == 1 else 'runs go'} on.")
        raise typer.Exit(INTERRUPTED) from None
    for row in ended:
        _say_result(engine, row)
    if faults := [fault for row in ended if (fault := _fault(row))]:
        raise FsrunError("; ".join(faults))


def _follow(
    engine: "Engine", run_ids: Sequence[int], every: float, say: Callable[[str], object]
) -> "list[RunRow]":
    """Say a line when a status changes, and at most so often when anything else does; return the ends."""
    from fsrun.liveness import Clock, Watcher
    from fsrun.words import status_word
    from store.jobs import JobStatus

    clock = Clock(engine)
    watchers = {run_id: Watcher(engine) for run_id in run_ids}
    said = dict.fromkeys(run_ids, ("", "", 0.0))  # of each run: status, line, and when
    ended: dict[int, RunRow] = {}
    while True:
        for run_id in [each for each in run_ids if each not in ended]:
            row = watchers[run_id].look(run_id, clock())
            word, line = status_word(row), _line(row)
            before, last, said_at = said[run_id]
            if word != before or (line != last and time.monotonic() - said_at >= every):
                say(f"{datetime.now().astimezone():%H:%M:%S} run {run_id} {line}")
                said[run_id] = (word, line, time.monotonic())
            if row.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
                ended[run_id] = row
        output.end_if_unheard()
        if len(ended) == len(run_ids):
            return [ended[run_id] for run_id in run_ids]
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


def _fault(row: "RunRow") -> str | None:
    """Return why a run was not done, and what to do; None for one that was."""
    from store.jobs import JobStatus

    if row.status is JobStatus.FAILED:
        return f"run {row.id} failed: {row.error}; fsrun show {row.id} has the whole of it"
    if row.status is JobStatus.CANCELLED:
        return f"run {row.id} was cancelled: fsrun retry {row.id} queues it again"
    return None


def _say_result(engine: "Engine", row: "RunRow") -> None:
    """Say what the run measured, where it is done."""
    from fsrun.words import duration, is_at_chance, number, plain
    from store.runs import get_run

    if _fault(row):
        return
    chance = ", at chance" * is_at_chance(row)
    typer.echo(f"Run {row.id} is done after {duration(row.worked)}{chance}.")
    for result in get_run(engine, row.id).results:
        quantity = result.name.rpartition("/")[2]
        interval = "" if result.interval is None else f" ± {number(quantity, result.interval)}"
        typer.echo(plain(f"{result.name} {number(quantity, result.value)}{interval}"))
