"""The commands by which a user speaks of runs that exist: `note`, `tag`, `rm`.

Not here: what they do in the store (fsrun.orders), and freeing what was deleted (database.py).
"""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from fsrun.cli.options import open_database, sentence
from fsrun.cli.runs import RunId
from fsrun.errors import UsageError


def note(
    run_id: RunId,
    text: Annotated[str, typer.Argument(help="What to note; '' takes the note away.")],
) -> None:
    """Put a note to a run, in the place of the one it had."""
    from fsrun import orders

    _carry_out(orders.note, run_ids=[run_id], text=text)


def tag(
    run_id: RunId,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Words without blanks.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take these tags away.")] = False,
) -> None:
    """Give tags to a run, to find it by: fsrun ls --tag TAG."""
    from fsrun import orders

    _carry_out(orders.tag, run_ids=[run_id], **{"remove" if remove else "add": tags})


def rm(
    run_ids: Annotated[
        list[int] | None, typer.Argument(metavar="RUN...", help="Numbers of runs, from fsrun ls.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring these back; without numbers, what was deleted last.")
    ] = False,
) -> None:
    """Delete runs: they are out of sight at once, and gone for good after 7 days, with fsrun gc."""
    from fsrun import orders

    if undo:
        _carry_out(orders.undo, run_ids=run_ids or [])
        return
    if not run_ids:
        raise UsageError("name the runs to delete: fsrun rm RUN..., with numbers from fsrun ls")
    _carry_out(orders.delete, run_ids=run_ids)


def _carry_out(order: Callable[..., str], **words: object) -> None:
    typer.echo(sentence(order(open_database(), time.time(), **words)))
