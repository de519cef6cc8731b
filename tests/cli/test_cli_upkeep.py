import math
import os
import shutil
import sqlite3
import time
from contextlib import closing
from json import dumps
from pathlib import Path

import pytest

from fsrun import garbage
from store import checkpoints, queue
from store.curves import Point, write_points
from store.engine import open_store, reading
from store.jobs import JobStatus
from store.results import ResultRow
from store.upkeep import identity
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused, in_its_own_process

HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]x[/red][/nope]\x9b31m"


def test_pause_and_resume_say_what_they_did_and_ls_and_doctor_show_it(typed: Typed) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    assert typed("pause").out == "The queue is paused: fsrun resume lets workers go on.\n"
    assert "already" in typed("pause").out
    assert "The queue is paused" in typed("ls").out
    doctor = typed("doctor")
    assert doctor.code == 1
    assert "paused, no job is begun: fsrun resume" in doctor.words
    assert typed("resume").out == "Workers go on.\n"
    assert typed("resume").out == "The queue was not paused.\n"
    assert "paused" not in typed("ls").out


def test_everything_below_the_home_is_private(finished_home: Case) -> None:
    shared = [path for path in finished_home.root.rglob("*") if path.stat().st_mode & 0o077]
    assert shared == []
    assert finished_home.log(1).is_file()
    assert list(finished_home.checkpoints.rglob("*.safetensors"))


def test_doctor_names_a_home_that_others_may_read_and_a_clock_that_was_set_back(
    typed: Typed, home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    home.root.chmod(0o755)
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
        ahead = time.time() + 7200
        database.execute("INSERT INTO worker VALUES ('w', 'h', 1, 'cpu', ?, ?, NULL, NULL)", (ahead, ahead))
    doctor = typed("doctor")
    assert f"chmod 700 {home.root}" in doctor.words
    assert "this clock was set back" in doctor.words


def test_db_check_says_that_the_database_is_sound_and_what_is_wrong(typed: Typed, home: Case) -> None:
    assert_refused(typed("db", "check"), "no database")
    assert typed("queue", "synthetic", *TINY).code == 0
    assert typed("db", "check").out.startswith("The database is sound, schema ")
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
        database.execute("DELETE FROM job")
    answer = typed("db", "check")
    assert answer.out == "run 1 has no job\n"
    assert_refused(answer, "1 faults", "restore a backup")


def test_db_backup_makes_a_copy_and_replaces_nothing(typed: Typed, home: Case, tmp_path: Path) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    target = tmp_path / "copy.db"
    assert typed("db", "backup", str(target)).out.startswith(f"Copied to {target}")
    assert_refused(typed("db", "backup", str(target)), "exists already")
    assert typed("db", "backup").code == 0
    assert len(list(home.root.glob("fsrun-*.db"))) == 1
    shutil.copy(target, home.root / "fsrun.db")
    assert home.statuses() == [JobStatus.QUEUED]


def test_db_restore_puts_a_backup_in_place_and_keeps_what_was_there(
    typed: Typed, home: Case, tmp_path: Path
) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    backup = tmp_path / "copy.db"
    assert f"fsrun db restore {backup}" in typed("db", "backup", str(backup)).words
    user = home.engine()
    assert typed("queue", "synthetic", *TINY, "--again").code == 0
    with reading(user):
        pass
    in_use = in_its_own_process(home, "db", "restore", str(backup))  # a lock holds between processes
    assert_refused(in_use, "in use", "stop all workers")
    assert len(home.statuses()) == 2
    user.dispose()
    assert_refused(typed("db", "restore", str(tmp_path / "none.db")), "not a backup")
    cut = tmp_path / "cut.db"
    cut.write_bytes(backup.read_bytes()[:20000])
    assert_refused(typed("db", "restore", str(cut)), "cut.db")
    assert len(home.statuses()) == 2
    (home.root / "fsrun.db-wal").write_bytes(b"what a killed process left")
    assert typed("db", "restore", str(backup)).out.startswith(f"Restored {backup}.\nWhat was there is ")
    assert len(home.statuses()) == 1
    (kept,) = home.root.glob("fsrun.db.replaced-*[0-9]")
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"what a killed process left"
    assert "sound" in typed("db", "check").out


def test_db_upgrade_brings_an_old_database_up_to_date(typed: Typed, home: Case) -> None:
    old = Path(__file__).parents[1] / "store" / "schemas" / "0001.db"
    home.root.mkdir(mode=0o700)
    shutil.copy(old, home.root / "fsrun.db")
    assert typed("db", "upgrade").out.startswith("Upgraded from schema 0001 to ")
    assert "is up to date" in typed("db", "upgrade").out
    assert home.statuses() == [JobStatus.DONE, JobStatus.QUEUED]


def old_file(path: Path) -> Path:
    """Make a file that nobody has touched for two days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    long_ago = time.time() - 2 * 86400
    os.utime(path, (long_ago, long_ago))
    return path


def test_gc_lists_and_frees_what_nobody_needs_and_nothing_else(typed: Typed, home: Case) -> None:
    assert typed("queue", "synthetic", *TINY, "--set", "slow_lr=0.001,0.002,0.003").code == 0
    engine = home.engine()
    mine = identity(engine, time.time())
    spare: list[Path] = []
    needed: list[Path] = []
    resumable: list[Path] = []
    for run_id in (1, 2, 3):
        claim = queue.claim(engine, "w", now=time.time(), lease_seconds=60, only=[run_id])
        assert claim is not None
        for step in (100, 200):
            path = old_file(home.checkpoint(mine, run_id, 1, step))
            checkpoints.add(
                engine,
                run_id,
                1,
                step=step,
                place=str(path.relative_to(home.checkpoints)),
                sha256="0",
                now=1.0,
            )
            {1: spare if step == 100 else needed}.get(run_id, resumable).append(path)
    queue.finish(engine, 1, 1, [], now=time.time())
    queue.fail(engine, 2, 1, "boom", now=time.time())
    orphans = [old_file(home.checkpoint(mine, 1, 1, 50)), old_file(home.checkpoint(mine, 9, 1, 5))]
    being_written = [old_file(home.checkpoint(mine, 3, 1, 300))]  # run 3 is running
    fresh = home.checkpoint(mine, 2, 1, 300)
    fresh.write_bytes(b"x")
    backups = [old_file(home.root / "fsrun.db.backup-0001")]
    kept_backup = home.root / "fsrun.db.backup-0002"
    kept_backup.write_bytes(b"x")
    logs = [old_file(home.worker_log("box-1")), old_file(home.supervisor_log("box-1"))]
    run_log = old_file(home.log(1))

    listed = typed("gc")
    going = [*spare, *orphans, *backups, *logs]
    staying = [*needed, *resumable, *being_written, fresh, kept_backup, run_log]
    assert f"in {len(going)} files could be freed" in listed.out
    assert all(path.exists() for path in [*going, *staying])
    assert f"Freed 0.0 MB in {len(going)} files." in typed("gc", "--yes").out
    assert [path for path in going if path.exists()] == []
    assert [path for path in staying if not path.exists()] == []
    assert typed("gc").out == "Nothing to free.\n"
    assert [row.step for row in home.run(1).checkpoints] == [200]


def test_a_home_that_was_moved_keeps_its_checkpoints_and_doctor_says_what_is_gone(
    typed: Typed, home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    engine = home.engine()
    mine = identity(engine, time.time())
    queue.claim(engine, "w", now=time.time(), lease_seconds=60)
    path = old_file(home.checkpoint(mine, 1, 1, 100))
    checkpoints.add(
        engine, 1, 1, step=100, place=str(path.relative_to(home.checkpoints)), sha256="0", now=1.0
    )
    queue.finish(engine, 1, 1, [], now=time.time())
    engine.dispose()
    moved = Case(home.root.rename(tmp_path / "moved"))
    assert garbage.find_garbage(moved.engine(), moved, time.time()) == []
    monkeypatch.setenv("FSRUN_HOME", str(moved.root))
    assert "ok checkpoint the newest of 1 runs" in typed("doctor").words
    file = moved.checkpoints / path.relative_to(home.checkpoints)
    file.unlink()
    wrong = typed("doctor")
    assert wrong.code == 1
    assert f"wrong checkpoint {file} is gone, and with it the newest checkpoint of 1 of 1 runs" in wrong.words


def test_gc_leaves_the_checkpoints_of_other_databases_in_the_home_alone(
    typed: Typed, home: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Path] = []
    for name in ("fsrun.db", "second.db"):
        monkeypatch.setenv("FSRUN_DB_URL", f"sqlite:///{home.root / name}")
        assert typed("queue", "synthetic", *TINY).code == 0
        engine = open_store(home.root / name)
        claim = queue.claim(engine, "w", now=time.time(), lease_seconds=60)
        assert claim is not None
        path = old_file(home.checkpoint(identity(engine, 1.0), claim.run_id, 1, 100))
        checkpoints.add(
            engine,
            claim.run_id,
            1,
            step=100,
            place=str(path.relative_to(home.checkpoints)),
            sha256="0",
            now=1.0,
        )
        queue.fail(engine, claim.run_id, 1, "boom", now=time.time())
        kept.append(path)
        engine.dispose()
    assert kept[0].parent != kept[1].parent  # both are the checkpoint of a run 1
    assert typed("db", "backup", str(home.root / "copy.db")).code == 0
    since_the_copy = old_file(kept[1].with_name("step-000000200-attempt-1.safetensors"))
    before_folders = old_file(home.checkpoints / "run-7" / "step-000000100-attempt-1.safetensors")
    for name in ("fsrun.db", "copy.db"):
        monkeypatch.setenv("FSRUN_DB_URL", f"sqlite:///{home.root / name}")
        assert typed("gc", "--yes").out == "Nothing to free.\n"
    assert all(path.exists() for path in (*kept, since_the_copy, before_folders))
    monkeypatch.setenv("FSRUN_DB_URL", f"sqlite:///{home.root / 'second.db'}")
    assert "in 1 files" in typed("gc", "--yes").out
    assert [path.exists() for path in (*kept, since_the_copy)] == [True, True, False]


def test_hostile_texts_reach_no_terminal_as_control_codes_or_markup(
    typed: Typed, home: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    engine = home.engine()
    queue.claim(engine, HOSTILE, now=time.time(), lease_seconds=60)
    queue.fail(engine, 1, 1, HOSTILE, now=time.time())
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
        database.execute(
            "UPDATE run SET experiment = :x, preset = :x, method = :x, provenance = :p",
            {"x": HOSTILE, "p": '{"commit": "\\u001b[31m[/x]"}'},
        )
        database.execute("INSERT INTO remark VALUES (1, ?, ?, NULL)", (HOSTILE, dumps([HOSTILE])))
        database.execute(
            "INSERT INTO result VALUES (1, :x, 0.5, 0.1, 3, 1.0, NULL)", {"x": f"test/{HOSTILE}"}
        )
        database.execute("INSERT INTO worker VALUES (:x, :x, 1, :x, 1, 9e9, NULL, NULL)", {"x": HOSTILE})
    home.logs.mkdir(exist_ok=True)
    home.log(1).write_text(HOSTILE)
    for words in ("ls", "show 1", "logs 1", "doctor", "worker --drain", "db check", "gc", "report --table2"):
        answer = typed(*words.split())
        said = answer.out + answer.err
        assert not [char for char in said if char != "\n" and (char < " " or "\x7f" <= char < "\xa0")], words
        assert "unexpected" not in said, words
    assert "[red]x[/red][/nope]" in typed("ls").out + typed("show", "1").out


def test_hostile_words_typed_come_back_harmless(typed: Typed) -> None:
    answer = typed("queue", f"omni{HOSTILE}")
    assert_refused(answer, "unknown experiment")
    assert "\x1b" not in answer.err
    assert "\x07" not in answer.err


def test_values_that_are_no_numbers_are_shown_as_what_they_are(typed: Typed, home: Case) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    engine = home.engine()
    queue.claim(engine, "w", now=time.time(), lease_seconds=60)
    points = [Point("val/loss_ratio", 20, math.inf, 1.0), Point("train/loss_ratio", 20, math.nan, 1.0)]
    write_points(engine, 1, 1, points, step=20, rate=None, now=time.time())
    assert "L1/L0 inf" in typed("ls").out
    queue.finish(engine, 1, 1, [ResultRow("test/loss_ratio", math.nan, math.inf, 3)], now=time.time())
    assert "L1/L0 nan" in typed("ls").out
    assert "nan ± inf, 3 episodes" in typed("show", "1").out
    assert typed("report", "--figure4").code == 0


@pytest.mark.parametrize("name", ["FSRUN_LEASE_SECONDS", "FSRUN_GRACE_SECONDS"])
@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan", "86400"])
def test_times_that_cannot_be_are_refused(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert_refused(typed("worker", "--drain"), name, repr(value), "up to 3600", f"{name}=60")
