"""The commands by which a user speaks of runs that exist: `note`, `tag`, `rm`.

Not here: what they do in the store (fsrun.orders), and freeing what was deleted (database.py).
"""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.cli.options import open_database, sentence, words
from fsrun.cli.selection import OfStatus, OfTag, RunList, Runs, names_runs, numbered_in, one_or_more
from fsrun.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine


def note(
    runs: Runs,
    text: Annotated[str, typer.Argument(help="The note; '' removes it.")],
) -> None:
    """Write a note on a run; it replaces the one before."""
    from fsrun import orders

    engine = open_database()
    _carry_out(engine, orders.note, run_ids=one_or_more(engine, [runs]), text=text)


def tag(
    asked: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] TAG...",
            help="Runs, as 3, 3-9 or 3,5-7, then tags, separated by spaces or commas. "
            "With --status or --tag no run need be named.",
        ),
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Remove these tags.")] = False,
    status: OfStatus = None,
    of_tag: OfTag = None,
) -> None:
    """Tag runs, to find them with fsrun ls --tag TAG."""
    from fsrun import orders

    first, *others = asked
    by_number = not (status or of_tag) or names_runs(first)
    tags = [part for each in (others if by_number else asked) for part in words(each)]
    if not tags:
        raise UsageError("name the tags after the runs: for example fsrun tag 3-9 paper baseline")
    engine = open_database()
    found = one_or_more(engine, [first] if by_number else None, status, of_tag)
    _carry_out(engine, orders.tag, run_ids=found, **{"remove" if remove else "add": tags})


def rm(
    runs: RunList = None,
    status: OfStatus = None,
    tag: OfTag = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring these runs back; without numbers, those deleted last.")
    ] = False,
) -> None:
    """Delete runs. They disappear at once, and fsrun gc removes them for good after 7 days."""
    from fsrun import orders
    from store.upkeep import trashed

    engine = open_database()
    if undo:
        deleted = numbered_in(runs or (), lambda: (each.run_id for each in trashed(engine, math.inf)))
        _carry_out(engine, orders.undo, run_ids=deleted)
    else:
        _carry_out(engine, orders.delete, run_ids=one_or_more(engine, runs, status, tag))


def _carry_out(engine: "Engine", order: Callable[..., str], **words: object) -> None:
    typer.echo(sentence(order(engine, time.time(), **words)))
