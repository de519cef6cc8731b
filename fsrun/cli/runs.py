"""The commands about runs that exist: `ls`, `show`, `logs`, `cancel`, `retry`, `priority`, `pause`, `resume`.

Not here: making runs (queueing.py).
"""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fsrun.cli import output
from fsrun.cli.options import open_database, sentence
from fsrun.errors import FsrunError, UsageError

HIGHEST = 1000  # priority

RunId = Annotated[int, typer.Argument(metavar="RUN", help="The number of a run, from fsrun ls.")]
RunIds = Annotated[list[int], typer.Argument(metavar="RUN...", help="Numbers of runs, from fsrun ls.")]
Level = Annotated[
    str, typer.Argument(metavar="N", help="From -1000 to 1000; higher runs first, 0 is the usual.")
]


def ls(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD]...",
            help="Only runs that meet all words: maml, variant:lr=0.01, task:20w1s, seed:0.",
        ),
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only queued, running, done, failed or cancelled runs.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only runs with this tag.")] = None,
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="By what, for example newest: the best first.")
    ] = "id",
    group: Annotated[
        bool, typer.Option("--group", help="One line for each config, with the mean over its seeds.")
    ] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many lines; 0 for all.")] = 50,
) -> None:
    """List runs, the newest first."""
    from fsrun.cli.tables import console, groups_table, runs_table
    from fsrun.liveness import Clock, with_the_dead
    from fsrun.tui.columns import COLUMNS, column
    from fsrun.tui.listing import GroupLine, View, entries_of, lines_of
    from fsrun.words import cut
    from store.jobs import JobStatus
    from store.snapshot import Which, snapshot

    _check_known("status", status, [each.value for each in JobStatus])
    _check_known("column", sort, [each.name for each in COLUMNS])
    engine = open_database()
    now = Clock(engine)()
    query = " ".join(words or ())
    which = Which(status=None if status is None else JobStatus(status), tag=tag or "")
    in_turn = sort == "id" and not (query or group or reverse)  # else all must be read to know the first
    taken = with_the_dead(snapshot(engine, now=now, limit=limit or None if in_turn else None, which=which))
    if taken.paused:
        typer.echo("The queue is paused: fsrun resume lets workers go on.")
    view = View(query, sort, descending=column(sort).descending != reverse, folded=group)
    lines = lines_of(entries_of(taken, frozenset()), view)
    if not lines:
        typer.echo(f"No runs{_that_would(status, tag, query)}")
        return
    page, shown = console(), lines[: limit or None]
    groups = [line.group for line in shown if isinstance(line, GroupLine)]
    runs = [line.row for line in shown]
    page.print(groups_table(groups, page.width) if group else runs_table(runs, now, page.width))
    found = taken.found if in_turn else len(lines)
    if found > len(shown):
        first = "newest" if sort == "id" and not reverse else "first"
        typer.echo(f"{cut(len(shown), found, first)}; --limit 0 for all")


def _check_known(kind: str, name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise UsageError(f"unknown {kind} {name!r}: choose from {', '.join(known)}")


def _that_would(status: str | None, tag: str | None, query: str) -> str:
    """Say of no runs what was asked of them."""
    from fsrun.words import plain

    asked = [f" are {status}"] if status else []
    asked += [f" have the tag {plain(tag)}"] if tag else []
    asked += [f" match {plain(query)}"] if query else []
    return " and".join(asked) + "." if asked else " yet: try fsrun queue synthetic --preset quick"


def show(run_id: RunId) -> None:
    """Show all about one run: config, attempts, results, where its numbers come from."""
    from fsrun.cli.details import details
    from fsrun.cli.tables import console
    from fsrun.report.repetition import told
    from store.runs import get_run

    page, engine = console(), open_database()
    run = get_run(engine, run_id)
    for part in details(run, told(engine, run)):
        page.print(part)


def logs(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")] = False,
    tail: Annotated[int, typer.Option(min=1, help="How many lines from the end.")] = 100,
) -> None:
    """Print the log of a run."""
    from fsrun.paths import find_home
    from fsrun.words import plain
    from store.runs import get_run

    engine = open_database()
    run = get_run(engine, run_id)
    path = find_home().log(run_id)
    if not path.exists() and not follow:
        raise FsrunError(
            f"run {run_id} is {run.status} and has no log on this machine yet: start fsrun worker"
        )
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


def cancel(run_ids: RunIds) -> None:
    """Cancel queued runs at once, running ones after a checkpoint. Exit code 1 where one cannot be."""
    from fsrun import orders
    from fsrun.liveness import Clock

    engine = open_database()
    typer.echo(sentence(orders.cancel(engine, Clock(engine)(), run_ids)))


def retry(run_ids: RunIds) -> None:
    """Queue failed or cancelled runs again; from their last checkpoints. Exit code 1 where one cannot."""
    from fsrun import orders

    typer.echo(sentence(orders.retry(open_database(), time.time(), run_ids)))


def priority(level: Level, run_ids: RunIds) -> None:
    """Give queued runs another priority, and what they wait for one at least as high."""
    from fsrun import orders

    wanted = list(dict.fromkeys(run_ids))
    typer.echo(sentence(orders.set_priority(open_database(), time.time(), wanted, _level(level))))


def _level(text: str) -> int:
    try:
        level = int(text)
    except ValueError:
        level = HIGHEST + 1
    if abs(level) > HIGHEST:
        raise UsageError(f"priority {text!r} is not a whole number from -{HIGHEST} to {HIGHEST}")
    return level


def pause() -> None:
    """Let no worker begin another job, in any process; running ones go on to their end."""
    from store.orders import pause as pause_queue

    new = pause_queue(open_database(), time.time())
    typer.echo(f"The queue is paused{'' if new else ' already'}: fsrun resume lets workers go on.")


def resume() -> None:
    """Let workers begin jobs again."""
    from store.orders import resume as resume_queue

    was_paused = resume_queue(open_database())
    typer.echo("Workers go on." if was_paused else "The queue was not paused.")
