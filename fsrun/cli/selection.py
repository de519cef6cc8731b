"""Which runs a command is about: numbers and ranges, or all of a status or with a tag."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

RunId = Annotated[int, typer.Argument(metavar="RUN", help="A run's number, from fsrun ls.")]
Runs = Annotated[
    str, typer.Argument(metavar="RUN", help="Runs: 3, 3-9 or 3,5-7, with numbers from fsrun ls.")
]
RunList = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Runs: 3, 3-9 or 3,5-7, with numbers from fsrun ls."),
]
OfStatus = Annotated[
    str | None,
    typer.Option("--status", metavar="STATUS", help="Only runs of this status, for example failed or lost."),
]
OfTag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only runs with this tag.")]


def chosen(
    engine: "Engine", asked: Sequence[str] | None, status: str | None = None, tag: str | None = None
) -> list[int]:
    """Return the runs meant, each once, in the order asked for; all of a status or tag where none is named.

    A range stands for those of its numbers that exist. Raises UsageError where nothing is asked for.
    """
    from fsrun.choosing import runs_of
    from fsrun.liveness import Clock

    if not (asked or status or tag):
        raise UsageError("name the runs: 3, 3-9 or 3,5-7; or choose them by --status or --tag")
    if not (status or tag):
        return numbered_in(asked or (), lambda: (row.id for row in runs_of(engine, Clock(engine)())))
    known = sorted(row.id for row in runs_of(engine, Clock(engine)(), status, tag))
    return [run_id for run_id in numbered_in(asked, lambda: known) if run_id in known] if asked else known


def numbered_in(asked: Sequence[str], known: Callable[[], Iterable[int]]) -> list[int]:
    """Return the runs named, each once; a range stands for the known runs in it."""
    parts = [part for text in asked for part in _parts(text)]
    there = sorted(known()) if any(len(part) > 1 for part in parts) else []
    meant = (part if len(part) == 1 else [each for each in there if each in part] for part in parts)
    return list(dict.fromkeys(chain.from_iterable(meant)))


def one_or_more(
    engine: "Engine", asked: Sequence[str] | None, status: str | None = None, tag: str | None = None
) -> list[int]:
    """Return the runs meant; end the command with a word and exit code 0 where there are none."""
    found = chosen(engine, asked, status, tag)
    if not found:
        typer.echo(none_found(status, tag, " ".join(asked or ())))
        raise typer.Exit
    return found


def none_found(status: str | None, tag: str | None, query: str) -> str:
    """Return the sentence for an empty list of runs, which says what was asked of them."""
    from fsrun.words import plain

    asked = [f" are {status}"] if status else []
    asked += [f" have the tag {plain(tag)}"] if tag else []
    asked += [f" match {plain(query)}"] if query else []
    return f"No runs{' and'.join(asked) + '.' if asked else ' yet: try fsrun queue synthetic --preset quick'}"


def names_runs(word: str) -> bool:
    """Return whether a word stands for runs: digits, commas and dashes alone."""
    return re.fullmatch(r"[\d,-]*\d[\d,-]*", word) is not None


def _parts(text: str) -> Iterator[range]:
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isdecimal() and int(end) > 0 for end in ends) or int(ends[0]) > int(ends[1]):
            raise UsageError(f"{part!r} is not a run: write 3, 3-9 or 3,5-7, with numbers from `fsrun ls`")
        yield range(int(ends[0]), int(ends[1]) + 1)
