"""The commands `note`, `tag`, `rm`, and `gc` of what was deleted."""

import os
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest
from sqlalchemy import Engine

from store import checkpoints, queue
from store.curves import Point, write_points
from store.upkeep import identity
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused

DAY = 86400.0


def queued(typed: Typed, *values: str) -> None:
    """Queue a synthetic run for each value of slow_lr."""
    assert typed("queue", "synthetic", *TINY, "--set", f"slow_lr={','.join(values)}").code == 0


def trained(home: Case, engine: Engine, run_id: int) -> list[Path]:
    """Carry a queued run out; return its files: a checkpoint, and the log."""
    claim = queue.claim(engine, "w", now=time.time(), lease_seconds=60, only=[run_id])
    assert claim is not None
    path = home.checkpoint(identity(engine, time.time()), run_id, 1, 100)
    for file in (path, home.log(run_id)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1000)
    write_points(engine, run_id, 1, [Point("a/b", 1, 1.0, 1.0)], step=100, rate=None, now=1.0)
    checkpoints.add(
        engine, run_id, 1, step=100, place=str(path.relative_to(home.checkpoints)), sha256="0", now=1.0
    )
    queue.finish(engine, run_id, 1, [], now=time.time())
    return [path, home.log(run_id)]


def deleted_days_ago(home: Case, days: float) -> None:
    with closing(connect(home.root / "fsrun.db")) as database, database:
        database.execute("UPDATE remark SET trashed = trashed - ?", (days * DAY,))


def test_a_home_may_have_a_name_that_is_no_text(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(b"caf\xe9")
    monkeypatch.setenv("FSRUN_HOME", str(tmp_path / name))
    assert typed("queue", "synthetic", *TINY).code == 0
    assert typed("note", "1", name).code == 0
    assert "caf?" in typed("show", "1").out
    assert f"{tmp_path}/caf·/fsrun.db, 1 runs" in typed("doctor").words


def test_notes_and_tags_are_kept_shown_and_found_again(typed: Typed, home: Case) -> None:
    queued(typed, "0.001", "0.002")
    assert typed("note", "2", "diverges [bold]soon[/]").out == "The note of run 2 is kept.\n"
    assert typed("tag", "2", "paper,x").out == "Run 2 is tagged paper, x.\n"
    assert "#paper #x diverges [bold]soon[/]" in typed("ls").out
    assert "tags paper x note diverges [bold]soon[/]" in typed("show", "2").words
    listed = typed("ls", "--tag", "paper").out.splitlines()
    assert [line.split()[0] for line in listed] == ["run", "2"]
    assert typed("tag", "2", "paper", "--remove").out == "Run 2 is no longer tagged paper.\n"
    assert typed("ls", "--tag", "paper").out == "No runs have the tag paper.\n"
    assert typed("note", "2", "").out == "The note of run 2 is taken away.\n"
    assert (home.run(2).note, home.run(2).tags) == ("", ("x",))


def test_a_narrow_list_leaves_remarks_out(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    queued(typed, "0.001")
    typed("tag", "1", "paper")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("fsrun.cli.tables.PIPE_WIDTH", 80)
    assert "paper" not in typed("ls").out


def test_what_cannot_be_noted_tagged_or_deleted_is_refused_in_one_line(typed: Typed) -> None:
    queued(typed, "0.001")
    assert_refused(typed("note", "9", "x"), "there is no run 9")
    assert_refused(typed("note", "1", "x" * 3000), "3,000 characters", "shorten")
    assert_refused(typed("tag", "1", "two words"), "'two words'", "at most 40 letters")
    assert_refused(typed("rm", "1"), "run 1 is queued or running", "fsrun cancel 1")
    assert_refused(typed("rm"), "name the runs", "3-9")
    assert_refused(typed("rm", "--undo"), "the trash is empty")
    assert_refused(typed("rm", "7"), "there is no run 7")


def test_deleted_runs_are_out_of_sight_and_come_back(typed: Typed) -> None:
    queued(typed, "0.001", "0.002", "0.003")
    typed("cancel", "1", "2")
    assert typed("rm", "1", "2").out == "Runs 1, 2 are deleted; undo brings them back.\n"
    assert [line.split()[0] for line in typed("ls").out.splitlines()] == ["run", "3"]
    assert "fsrun rm --undo 1 brings it back" in typed("show", "1").words
    assert_refused(typed("retry", "1"), "run 1 is in the trash", "fsrun rm --undo 1")
    assert typed("rm", "--undo").out == "Runs 1, 2 are back.\n"
    assert typed("rm", "2").code == 0
    assert typed("rm", "--undo", "2").out == "Run 2 is back.\n"


def test_gc_frees_what_was_deleted_a_week_ago_and_says_so(typed: Typed, home: Case) -> None:
    queued(typed, "0.001", "0.002", "0.003")
    engine = home.engine()
    files = {run_id: trained(home, engine, run_id) for run_id in (1, 2, 3)}
    typed("rm", "1")
    deleted_days_ago(home, 8)
    typed("rm", "2")
    listed = typed("gc").out
    assert "run 1, Linear fast/slow on synthetic  (deleted 8 days ago; 1 point, 1 file)" in listed
    assert "0.0 MB in 1 files and 1 deleted run could be freed" in listed
    assert home.run(1).trashed is not None
    home.log(1).touch()  # written to since: by a run 1 of another database
    assert "Freed 0.0 MB in 1 files and 1 deleted run." in typed("gc", "--yes").out
    assert_refused(typed("show", "1"), "there is no run 1")
    assert [path.exists() for path in files[1]] == [False, True]
    assert all(path.exists() for path in files[2] + files[3])
    assert typed("gc").out == "Nothing to free.\n"
    assert "run 2" in typed("gc", "--trash-days", "0").out
    assert typed("db", "check").out.startswith("The database is sound")
    engine.dispose()


def test_a_copy_of_a_database_frees_no_file_of_the_original(
    typed: Typed, home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(typed, "0.001")
    engine = home.engine()
    (checkpoint, _log) = trained(home, engine, 1)
    engine.dispose()
    assert typed("db", "backup", str(home.root / "copy.db")).code == 0
    monkeypatch.setenv("FSRUN_DB_URL", f"sqlite:///{home.root / 'copy.db'}")
    typed("rm", "1")
    assert "1 deleted run" in typed("gc", "--yes", "--trash-days", "0").out
    assert_refused(typed("show", "1"), "there is no run 1")
    assert checkpoint.exists()
