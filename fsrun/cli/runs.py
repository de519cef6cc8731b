"""The commands about runs that exist: `ls`, `show`, `logs`, `cancel`, `retry`, `priority`, `pause`, `resume`.

Not here: making runs (queueing.py).
"""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.cli import output
from fsrun.cli.options import open_database, sentence
from fsrun.cli.scripts import Csv, Json, record_facts, run_facts, say_csv, say_json
from fsrun.cli.selection import (
    OfStatus,
    OfTag,
    RunId,
    RunList,
    none_found,
    one_or_more,
)
from fsrun.errors import FsrunError, UsageError

if TYPE_CHECKING:
    from fsrun.tui.listing import Line

HIGHEST = 1000  # priority

Level = Annotated[
    str,
    typer.Argument(
        metavar="N", help="The priority, from -1000 to 1000; 0 is the default. Higher priorities run first."
    ),
]


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[WORD]...", help="Only runs that match all words: maml, variant:lr=0.01, task:20w1s, seed:0."
    ),
]
Sort = Annotated[str, typer.Option(metavar="COLUMN", help="Sort by this column; newest puts the best first.")]
Group = Annotated[
    bool, typer.Option("--group", help="Print one line for each config, with the mean over its seeds.")
]
Reverse = Annotated[bool, typer.Option("--reverse", help="Reverse the order.")]
Limit = Annotated[int, typer.Option(min=0, help="The number of lines; 0 for all.")]


def ls(
    words: Words = None,
    status: OfStatus = None,
    tag: OfTag = None,
    sort: Sort = "id",
    group: Group = False,
    reverse: Reverse = False,
    limit: Limit = 50,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """List runs, the newest first."""
    from fsrun.choosing import of_status, which_runs
    from fsrun.liveness import Clock
    from fsrun.tui.columns import COLUMNS, column
    from fsrun.tui.listing import View, entries_of, lines_of
    from fsrun.words import cut
    from store.snapshot import snapshot

    if as_json + as_csv + group > 1:
        raise UsageError("--json, --csv and --group are three forms of the list: choose one")
    which = which_runs(status, tag)
    if sort not in (columns := [each.name for each in COLUMNS]):
        raise UsageError(f"unknown column {sort!r}: choose from {', '.join(columns)}")
    engine = open_database()
    now = Clock(engine)()
    query = " ".join(words or ())
    # Else all must be read to know the first: the store does not know who is lost.
    in_turn = sort == "id" and not (query or group or reverse) and which.status in (None, status)
    most = limit or None
    taken = of_status(snapshot(engine, now=now, limit=most if in_turn else None, which=which), status)
    view = View(query, sort, descending=column(sort).descending != reverse, folded=group)
    lines = lines_of(entries_of(taken, frozenset()), view)
    found = taken.found if in_turn else len(lines)
    rows = [line.row for line in lines[:most]]
    if as_csv:
        say_csv(rows)
    elif as_json:
        say_json("runs/1", paused=taken.paused, found=found, runs=[run_facts(row) for row in rows])
    else:
        if taken.paused:
            typer.echo("The queue is paused: fsrun resume lets workers go on.")
        _print(lines[:most], now, none_found(status, tag, query))
        if found > len(rows):
            first = "newest" if sort == "id" and not reverse else "first"
            typer.echo(f"{cut(len(rows), found, first)}; --limit 0 for all")


def _print(lines: "Sequence[Line]", now: float, otherwise: str) -> None:
    """Print runs or groups as a table, or what to say where there are none."""
    from fsrun.cli.tables import console, groups_table, runs_table
    from fsrun.tui.listing import GroupLine

    page = console()
    groups = [line.group for line in lines if isinstance(line, GroupLine)]
    if groups:
        page.print(groups_table(groups, page.width))
    elif lines:
        page.print(runs_table([line.row for line in lines], now, page.width))
    else:
        typer.echo(otherwise)


def show(run_id: RunId, as_json: Json = False) -> None:
    """Show all about one run. Its config, attempts, results, and where its numbers come from."""
    from fsrun.cli.details import details
    from fsrun.cli.tables import console
    from fsrun.report.repetition import told
    from store.runs import get_run

    page, engine = console(), open_database()
    run = get_run(engine, run_id)
    if as_json:
        say_json("run/1", **record_facts(run))
        return
    for part in details(run, told(engine, run)):
        page.print(part)


def logs(
    run_id: RunId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the log until the run ends.")
    ] = False,
    tail: Annotated[int, typer.Option(min=1, help="The number of lines from the end.")] = 100,
) -> None:
    """Print the log of a run."""
    from fsrun.paths import find_home
    from fsrun.words import plain
    from store.results import IMPORTED_FROM
    from store.runs import get_run

    engine = open_database()
    run = get_run(engine, run_id)
    path = find_home().log(run_id)
    if not path.exists() and any(IMPORTED_FROM in each.provenance for each in run.attempts):
        raise FsrunError(f"run {run_id} was imported; its log is on the machine it ran on")
    if not path.exists() and not follow:
        remedy = "its log is on the machine it ran on" if run.attempts else "start `fsrun worker`"
        raise FsrunError(f"run {run_id} is {run.status} and has no log on this machine: {remedy}")
    place = _print_tail(path, tail)
    while follow and get_run(engine, run_id).finished is None:
        time.sleep(0.5)
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(place)
                typer.echo(plain(file.read()), nl=False)
                place = file.tell()
        output.end_if_unheard()


def _print_tail(path: Path, lines: int) -> int:
    """Print the last lines of a log and return where it ends."""
    from fsrun.words import plain

    if not path.exists():
        return 0
    with path.open(encoding="utf-8", errors="replace") as file:
        typer.echo(plain("".join(deque(file, lines))), nl=False)
        return file.tell()


def cancel(runs: RunList = None, status: OfStatus = None, tag: OfTag = None) -> None:
    """Cancel runs. Running ones stop after a checkpoint. Exit code 1 if one cannot be cancelled."""
    from fsrun import orders
    from fsrun.liveness import Clock

    engine = open_database()
    typer.echo(sentence(orders.cancel(engine, Clock(engine)(), one_or_more(engine, runs, status, tag))))


def retry(runs: RunList = None, status: OfStatus = None, tag: OfTag = None) -> None:
    """Queue failed or cancelled runs again. They go on from their last checkpoints."""
    from fsrun import orders

    engine = open_database()
    typer.echo(sentence(orders.retry(engine, time.time(), one_or_more(engine, runs, status, tag))))


def priority(level: Level, runs: RunList = None, status: OfStatus = None, tag: OfTag = None) -> None:
    """Set the priority of queued runs. The runs that they wait for get at least the same."""
    from fsrun import orders

    engine = open_database()
    wanted = one_or_more(engine, runs, status, tag)
    typer.echo(sentence(orders.set_priority(engine, time.time(), wanted, _level(level))))


def _level(text: str) -> int:
    try:
        level = int(text)
    except ValueError:
        level = HIGHEST + 1
    if abs(level) > HIGHEST:
        raise UsageError(f"priority {text!r} is not a whole number from -{HIGHEST} to {HIGHEST}")
    return level


def pause() -> None:
    """Pause the queue: workers start no new job. Running jobs go on."""
    from store.queue import pause as pause_queue

    new = pause_queue(open_database(), time.time())
    typer.echo(f"The queue is paused{'' if new else ' already'}: fsrun resume lets workers go on.")


def resume() -> None:
    """Resume the queue: workers start jobs again."""
    from store.queue import resume as resume_queue

    was_paused = resume_queue(open_database())
    typer.echo("Workers go on." if was_paused else "The queue was not paused.")
