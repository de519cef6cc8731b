"""The commands that hold runs against each other: `compare`, and `rerun`, which repeats one.

Not here: comparing (fsrun.report), and what a repeat is (fsrun.repeating).
"""

import time
from typing import Annotated

import typer

from fsrun.cli.options import numbers, open_database, sentence
from fsrun.cli.reporting import Out, Output, format_of, give, json_or, page_of
from fsrun.cli.scripts import Json
from fsrun.cli.selection import RunList, chosen
from fsrun.errors import FsrunError

A = Annotated[
    str, typer.Argument(metavar="A", help="A run, or the seeds of one config, separated by commas: 3,4,5.")
]
B = Annotated[str, typer.Argument(metavar="B", help="The run or seeds to compare it with.")]


def compare(a: A, b: B, output: Output = None, as_json: Json = False, out: Out = None) -> None:
    """Compare two runs, episode by episode. Prints the difference, its interval, a sentence for a paper."""
    from fsrun.report.comparison_report import comparison_report
    from fsrun.report.report import written

    form = format_of(json_or(output, as_json), out)
    sides = (tuple(dict.fromkeys(numbers(each, "run", "fsrun compare 3 5,6"))) for each in (a, b))
    give(written(comparison_report(open_database(), *sides), form, **page_of(out)), out)


def rerun(
    runs: RunList = None,
    check: Annotated[
        bool, typer.Option("--check", help="Queue nothing; say whether the repeats have the same numbers.")
    ] = False,
    priority: Annotated[int, typer.Option(help="The priority; higher ones run first.")] = 0,
) -> None:
    """Repeat finished runs from their stored configs. --check says whether the numbers are the same."""
    run_ids = chosen(open_database(), runs)
    if check:
        raise typer.Exit(max((_check(run_id) for run_id in run_ids), default=0))
    _queue(run_ids, priority)


def _queue(run_ids: list[int], priority: int) -> None:
    from fsrun.paths import find_home
    from fsrun.planning import queued_line, require_data
    from fsrun.repeating import enqueue_again, plan_again
    from store.runs import get_run

    engine = open_database()
    plans = [plan_again(get_run(engine, run_id)) for run_id in run_ids]
    require_data([each.planned for each in plans], find_home(), stored=True)
    for each in plans:
        if each.warning:
            typer.echo(f"Warning: {each.warning}.", err=True)
        queued = enqueue_again(engine, each, now=time.time(), priority=priority)
        typer.echo(sentence(f"{queued_line([queued])}; it repeats run {each.run.id}"))
    named = " ".join(map(str, run_ids))
    typer.echo(f"Next:  fsrun worker --drain, then fsrun rerun {named} --check")


def _check(run_id: int) -> int:
    """Print how close the newest repeat came, and return 1 where the numbers are not the same."""
    from fsrun.cli.tables import console
    from fsrun.report.comparison_report import repetition_report
    from fsrun.report.formats import Format
    from fsrun.report.repetition import Match, original_of, repeats, repetition
    from fsrun.report.report import written
    from store.jobs import JobStatus
    from store.runs import get_run

    engine = open_database()
    run = get_run(engine, run_id)
    found = repeats(engine, run)
    original = None if found else original_of(engine, run)
    if original is not None:
        found, run = (run,), get_run(engine, original)
    done = [each for each in found if each.status is JobStatus.DONE]
    if not found:
        raise FsrunError(f"run {run_id} has no repeat yet: fsrun rerun {run_id}")
    if not done:
        status = found[-1].status.value
        remedy = f"fsrun show {found[-1].id}" if status in ("failed", "cancelled") else "fsrun worker --drain"
        raise FsrunError(f"run {found[-1].id}, which repeats run {run.id}, is {status}: {remedy}")
    came_to = repetition(engine, run, done[-1])
    typer.echo(written(repetition_report(engine, came_to), Format.TEXT, width=console().width))
    return int(came_to.match is Match.APART)
