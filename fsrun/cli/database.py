"""The commands about the database and the files it knows: `db check|backup|restore|upgrade`, `gc`.

Not here: what is checked (store.upkeep) and what can go (fsrun.garbage, fsrun.emptying).
"""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.machine import expanded
from fsrun.cli.options import open_database
from fsrun.errors import FsrunError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fsrun.emptying import Deleted
    from fsrun.garbage import Garbage

app = typer.Typer(
    help="The database: check it, copy it, bring it up to date.",
    epilog="Example:  fsrun db backup",
    rich_markup_mode=None,
)


@app.command("check", epilog="Example:  fsrun db check")
def check() -> None:
    """Check the whole database. Exit code 1 if it is damaged."""
    from fsrun.words import plain
    from store.upkeep import problems, revision

    engine = open_database(create=False)
    found = problems(engine)
    for line in found:
        typer.echo(plain(line))
    if found:
        raise FsrunError(
            f"the database has {len(found)} faults: stop all workers and restore a backup (fsrun db restore)"
        )
    typer.echo(f"The database is sound, schema {revision(engine)}.")


@app.command("backup", epilog="Example:  fsrun db backup ~/fsrun-before-the-sweep.db")
def backup(
    path: Annotated[Path | None, typer.Argument(help="The new file. Default: beside the database.")] = None,
) -> None:
    """Copy the database to a new file. Workers may go on meanwhile."""
    from fsrun.paths import find_home
    from store.upkeep import back_up

    engine = open_database(create=False)
    moment = datetime.fromtimestamp(time.time()).strftime("%Y%m%d-%H%M%S")
    target = expanded(path or find_home().root / f"fsrun-{moment}.db").absolute()
    if target.exists():
        raise UsageError(f"{target} exists already: name a new file")
    back_up(engine, target)
    typer.echo(
        f"Copied to {target}, {target.stat().st_size / 1e6:.1f} MB. To go back: fsrun db restore {target}"
    )


@app.command("restore", epilog="Example:  fsrun db restore ~/fsrun-before-the-sweep.db")
def restore(path: Annotated[Path, typer.Argument(help="A file that fsrun db backup made.")]) -> None:
    """Restore a backup. The database before it is kept beside it. Stop all workers first."""
    from fsrun.paths import find_home
    from store import upkeep

    database = find_home().database
    if not isinstance(database, Path):
        raise UsageError("FSRUN_DB_URL is set: only the file in FSRUN_HOME is replaced here")
    now = time.time()
    moment = datetime.fromtimestamp(now).strftime("%Y%m%d-%H%M%S")
    aside = database.with_name(f"{database.name}{upkeep.ASIDE}{moment}")
    upkeep.restore(database, expanded(path).absolute(), aside, now)
    typer.echo(f"Restored {path}.")
    if aside.exists():
        typer.echo(f"What was there is {aside}: fsrun gc frees its checkpoints once you have removed it.")


@app.command("upgrade", epilog="Example:  fsrun db upgrade")
def upgrade() -> None:
    """Upgrade the database to this version, after a backup. Every command does it by itself."""
    from fsrun.paths import find_home
    from store.engine import schema_of
    from store.upkeep import revision

    before = schema_of(find_home().database)
    after = revision(open_database(create=False))
    changed = before is not None and before != after
    typer.echo(f"Upgraded from schema {before} to {after}." if changed else f"Schema {after} is up to date.")


def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Free what is listed.")] = False,
    trash_days: Annotated[
        float, typer.Option(min=0, help="Free runs that were deleted so many days ago.")
    ] = 7.0,
) -> None:
    """List what can be freed. That is files nothing needs, and runs deleted long ago; --yes frees them."""
    from fsrun.emptying import long_deleted
    from fsrun.garbage import find_garbage
    from fsrun.paths import find_home
    from store.engine import open_store
    from store.errors import DatabaseAway

    home, now = find_home(), time.time()
    try:
        engine = open_database(create=False)
    except DatabaseAway:
        engine = open_store(home.database, create=False, alone=True)
    # On a full disk what the database does not know makes the space for changing it.
    found = find_garbage(engine, home, now)
    total = _free_garbage(engine, found, yes=yes)
    deleted = long_deleted(engine, home, now, trash_days)
    total += _free_deleted(engine, deleted, now, yes=yes)
    if not found and not deleted:
        typer.echo("Nothing to free.")
        return
    count = len(found) + sum(each.count for each in deleted)
    runs = f" and {len(deleted)} deleted run{'s' * (len(deleted) > 1)}" if deleted else ""
    summary = f"{total / 1e6:.1f} MB in {count} files{runs}"
    typer.echo(f"Freed {summary}." if yes else f"{summary} could be freed: fsrun gc --yes")


def _free_deleted(engine: "Engine", deleted: "Sequence[Deleted]", now: float, *, yes: bool) -> int:
    """List runs deleted long ago, or free them; return the bytes of their files."""
    from fsrun.emptying import free_deleted
    from fsrun.paths import find_home

    total = 0
    for each in deleted:
        if yes and not free_deleted(engine, find_home(), each, now):
            typer.echo(f"run {each.run.run_id} was brought back meanwhile and stays")
            continue
        typer.echo(f"{each.bytes / 1e6:8.1f} MB  {each.line(now)}")
        total += each.bytes
    return total


def _free_garbage(engine: "Engine", found: "Sequence[Garbage]", *, yes: bool) -> int:
    """List files nobody needs, or free them; return their bytes."""
    from fsrun.garbage import free
    from fsrun.words import plain

    for each in found:
        typer.echo(plain(f"{each.bytes / 1e6:8.1f} MB  {each.place}  ({each.why})"))
        if yes:
            free(engine, each)
    return sum(each.bytes for each in found)
