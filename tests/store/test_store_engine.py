"""Opening, migrating and refusing databases.

Not here: what is stored in them.
"""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlmodel import SQLModel

from store import migrations
from store.engine import open_store, reading, writing
from store.errors import DatabaseTooNew, DatabaseUnavailable, NumberTooLarge
from store.runs import get_run
from store.snapshot import snapshot
from tests.store.store_cases import ask, request


def test_new_database_has_exactly_the_tables_of_the_code(empty_place: str) -> None:
    engine = open_store(empty_place)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    engine.dispose()


def test_new_file_is_private_and_lets_readers_go_on_beside_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "home" / "fsrun.db"
    engine = open_store(path)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    engine.dispose()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.glob("**/*backup*"))


def test_revisions_known_to_the_code_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.VERSIONS.parent))
    config.set_main_option("path_separator", "os")
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == migrations.REVISIONS


def test_opening_an_up_to_date_database_does_not_load_alembic(place: str) -> None:
    open_store(place).dispose()
    program = """if True:
        import sys
        from store.engine import open_store
        open_store(sys.argv[1])
        print("alembic" in sys.modules)
    """
    command = [sys.executable, "-c", program, place]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    assert done.stdout.strip() == "False"


def test_processes_that_open_a_new_database_at_once_all_succeed(empty_place: str) -> None:
    program = "import sys; from store.engine import open_store; input(); open_store(sys.argv[1])"
    command = [sys.executable, "-c", program, empty_place]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=_ROOT) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait() for process in started] == [0, 0, 0, 0]


def test_older_schema_is_migrated_and_keeps_its_runs(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_store(place)
    (run_id,) = ask(engine, request())
    engine.dispose()
    _add_migration(tmp_path / "versions", monkeypatch)

    engine = open_store(place)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT mood FROM run")).scalar_one() == "good"
    assert get_run(engine, run_id).spec == request().spec
    engine.dispose()


def test_file_is_backed_up_before_it_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fsrun.db"
    engine = open_store(path)
    (run_id,) = ask(engine, request())
    engine.dispose()
    _add_migration(tmp_path / "versions", monkeypatch)
    open_store(path).dispose()
    backup = tmp_path / f"fsrun.db.backup-{_TODAY}"
    assert backup.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(backup)) as connection:
        assert "mood" not in [row[1] for row in connection.execute("PRAGMA table_info(run)")]
        assert connection.execute("SELECT id FROM run").fetchall() == [(run_id,)]


def test_migration_that_fails_leaves_the_old_schema(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add_migration(tmp_path / "versions", monkeypatch, "raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        open_store(engine.url.render_as_string(hide_password=False))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [(_TODAY,)]
        assert "mood" not in [column["name"] for column in inspect(connection).get_columns("run")]


def test_older_schema_is_not_touched_by_a_reader(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(place).dispose()
    _add_migration(tmp_path / "versions", monkeypatch)
    with pytest.raises(DatabaseUnavailable, match="older schema: open it once for writing"):
        open_store(place, read_only=True)


def test_database_of_a_newer_version_is_refused(place: str, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match=r"database .* has schema '9999', newer .* upgrade"):
        open_store(place)


def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="is a folder: name a file in it"):
        open_store(tmp_path)


def test_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnavailable, match="choose a place that can be written"):
        open_store(tmp_path / "file" / "fsrun.db")


def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "fsrun.db"
    path.write_text("a diary\n" * 1000)
    with pytest.raises(DatabaseUnavailable, match=r"fsrun.db: file is not a database; .* move it away"):
        open_store(path)
    assert path.read_text() == "a diary\n" * 1000


def test_database_of_another_program_is_refused(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(DatabaseUnavailable, match="belongs to another program"):
        open_store(engine.url.render_as_string(hide_password=False))


def test_missing_database_is_not_made_for_a_reader(tmp_path: Path) -> None:
    for choice in ({"create": False}, {"read_only": True}):
        with pytest.raises(DatabaseUnavailable, match="there is no database at"):
            open_store(tmp_path / "fsrun.db", **choice)
    assert not (tmp_path / "fsrun.db").exists()


def test_reader_sees_runs_and_cannot_write(place: str, engine: Engine) -> None:
    (run_id,) = ask(engine, request())
    reader = open_store(place, read_only=True)
    assert get_run(reader, run_id).spec == request().spec
    with pytest.raises(DatabaseUnavailable, match=r"read-?only"):
        ask(reader, request())
    reader.dispose()


@pytest.mark.parametrize("folder", ["runs #3", "why?mode=memory", "100%41"])
def test_reader_opens_the_file_of_that_name_whatever_the_name_means_in_an_address(
    tmp_path: Path, folder: str
) -> None:
    writer = open_store(tmp_path / folder / "fsrun.db")
    ask(writer, request())
    reader = open_store(tmp_path / folder / "fsrun.db", read_only=True)
    assert get_run(reader, 1).spec.method == "protonet"
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    for each in (writer, reader):
        each.dispose()


@pytest.fixture
def two_views(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """One folder under two names; below the second one nothing can be written."""
    whole, only_read = tmp_path / "whole", tmp_path / "only-read"
    whole.mkdir()
    only_read.mkdir()
    bind = ["mount", "--bind", str(whole), str(only_read)]
    if os.geteuid() != 0 or subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a folder a second time")
    subprocess.run(["mount", "-o", "remount,bind,ro", str(only_read)], check=True)
    yield whole / "fsrun.db", only_read / "fsrun.db"
    subprocess.run(["umount", "--lazy", str(only_read)], check=True)


def test_database_on_a_disk_that_can_only_be_read_is_read_and_refuses_a_change(
    two_views: tuple[Path, Path],
) -> None:
    whole, only_read = two_views
    writer = open_store(whole)
    ask(writer, request())
    writer.dispose()
    reader = open_store(only_read)
    assert get_run(reader, 1).spec.method == "protonet"
    with pytest.raises(DatabaseUnavailable):
        ask(reader, request("b"))
    reader.dispose()


def test_what_is_written_where_the_same_disk_can_be_written_is_seen_where_it_can_only_be_read(
    two_views: tuple[Path, Path],
) -> None:
    whole, only_read = two_views
    open_store(whole).dispose()
    reader = open_store(only_read, read_only=True)
    assert snapshot(reader, now=0.0).runs == ()
    writer = open_store(whole)
    ask(writer, request())
    assert [row.id for row in snapshot(reader, now=0.0).runs] == [1]  # from the log of the writer
    ask(writer, request("b"))
    writer.dispose()
    assert [row.id for row in snapshot(reader, now=0.0).runs] == [2, 1]
    reader.dispose()


def test_what_a_writer_that_was_killed_left_in_the_log_is_seen_on_a_disk_that_can_only_be_read(
    two_views: tuple[Path, Path],
) -> None:
    whole, only_read = two_views
    program = """if True:
        import os, signal, sys
        from store.engine import open_store
        from tests.store.store_cases import ask, request
        ask(open_store(sys.argv[1]), request())
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", program, str(whole)], check=False)
    assert whole.with_name("fsrun.db-wal").stat().st_size > 0
    reader = open_store(only_read)
    assert [row.id for row in snapshot(reader, now=0.0).runs] == [1]
    reader.dispose()


def test_number_too_large_for_the_database_is_told_from_an_outage(engine: Engine) -> None:
    with pytest.raises(NumberTooLarge):
        get_run(engine, 2**63)


def test_place_in_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(DatabaseUnavailable, match="~nosuchuser"):
        open_store("~nosuchuser/fsrun.db")


def test_database_that_another_process_holds_too_long_is_reported(
    place: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.engine.BUSY_SECONDS", 0.05)
    waiter = open_store(place)
    with writing(engine), pytest.raises(DatabaseUnavailable, match=r"lock.*; another process has held it"):
        ask(waiter, request())
    waiter.dispose()


def test_url_of_an_sqlite_file_means_the_file(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path}/fsrun.db")
    assert len(ask(engine, request())) == 1
    engine.dispose()
    assert (tmp_path / "fsrun.db").is_file()


def test_url_that_cannot_be_used_is_refused_without_its_password() -> None:
    for kind in ("nosuchdatabase", "postgresql+pg8000", "no such"):
        with pytest.raises(DatabaseUnavailable) as caught:
            open_store(f"{kind}://me:secret@host/fsrun")
        assert "secret" not in str(caught.value)


def test_writing_is_rolled_back_by_an_error(engine: Engine) -> None:
    def stumble() -> None:
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO worker VALUES ('w', 'h', 1, 'cpu', 0, 0, NULL, NULL)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM worker")).scalar_one() == 0


_ROOT = Path(migrations.__file__).parents[2]
_TODAY = migrations.REVISIONS[-1]

_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "tomorrow"
down_revision = "{today}"


def upgrade():
    with op.batch_alter_table("run") as run:
        run.add_column(sa.Column("mood", sa.String(), nullable=False, server_default="good"))
    {then}
"""


def _add_migration(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str = "pass") -> None:
    """Make this the program of tomorrow, whose schema has one column more."""
    folder.mkdir()
    for version in migrations.VERSIONS.glob("0*.py"):
        (folder / version.name).write_text(version.read_text())
    (folder / "tomorrow.py").write_text(_MIGRATION.format(today=_TODAY, then=then))
    monkeypatch.setattr(migrations, "VERSIONS", folder)
    monkeypatch.setattr(migrations, "REVISIONS", (*migrations.REVISIONS, "tomorrow"))


def test_a_reading_within_a_reading_sees_the_same_state(place: str) -> None:
    engine, other = open_store(place), open_store(place)
    with reading(engine) as outer:
        before = outer.execute(text("SELECT count(*) FROM run")).scalar_one()
        ask(other, request())
        with reading(engine) as inner:
            assert inner.execute(text("SELECT count(*) FROM run")).scalar_one() == before == 0
        assert not outer.closed
    with reading(engine) as afterwards:
        assert afterwards.execute(text("SELECT count(*) FROM run")).scalar_one() == 1
    engine.dispose()
    other.dispose()
