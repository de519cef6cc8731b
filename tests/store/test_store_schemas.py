"""Databases of every released schema, one small file each in schemas/, that this version must open.

Not here: how an upgrade goes wrong (test_store_engine).
"""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from store import migrations
from store.curves import read_curve
from store.engine import open_store, reading, writing
from store.jobs import JobStatus
from store.queue import claim
from store.runs import get_run, set_note

SCHEMAS = Path(__file__).parent / "schemas"
NOTES = {"0001": ""}  # of run 1, else CONVERGED
CONVERGED = "the first that converged"


def test_there_is_a_file_of_every_older_schema() -> None:
    assert sorted(path.stem for path in SCHEMAS.glob("*.db")) == list(migrations.REVISIONS[:-1])


@pytest.mark.parametrize("revision", migrations.REVISIONS[:-1])
def test_a_database_of_an_older_schema_keeps_its_runs_curves_and_queue(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "fsrun.db"
    shutil.copy(SCHEMAS / f"{revision}.db", path)
    engine = open_store(path)
    run = get_run(engine, 1)
    assert (run.status, run.step, run.spec.method) == (JobStatus.DONE, 400, "linear")
    assert [(row.name, row.value, row.episodes) for row in run.results] == [("test/loss_ratio", 0.25, 4)]
    folder = "0123456789ab/" if revision == "0004" else ""  # of the database; there was none before
    assert [(row.step, row.path) for row in run.checkpoints] == [
        (400, Path(f"{folder}run-1/step-000000400-attempt-1.safetensors"))
    ]
    assert run.note == NOTES.get(revision, CONVERGED)
    assert (run.tags, run.trashed, run.spec.variant) == ((), None, "")
    with reading(engine) as connection:
        curve = read_curve(connection, 1, "train/loss_ratio", max_points=100)
    assert curve.steps == tuple(range(20, 401, 20))
    assert curve.last[-1] == 0.2
    queued = claim(engine, "w", now=2e9, lease_seconds=60)
    assert queued is not None
    assert queued.run_id == 2
    set_note(engine, [1], "changed")
    assert get_run(engine, 1).note == "changed"
    engine.dispose()
    assert path.with_name(f"fsrun.db.backup-{revision}").is_file()


_RUN_OF_THEN = (
    "INSERT INTO run (id, experiment, method, preset, seed, config, config_hash, group_hash, total_steps,"
    " created, provenance, note) VALUES (:run, 'a', 'b', 'quick', 0, '{}', 'c', 'd', 9, 1, '{}', :note)"
)
_JOB_OF_THEN = (
    "INSERT INTO job (run_id, status, priority, attempt, step, queued, cancel_requested, crashes, crash_step)"
    " VALUES (:run, 'queued', 0, 0, 0, 1, false, 0, 0)"
)


_CHECKPOINT_OF_THEN = "INSERT INTO checkpoint VALUES (:run, 9, 1, :path, 'e', 1)"
PLACES = {1: "/home/x/checkpoints/0123456789ab/run-1/a", 2: "s3://b/checkpoints/0123456789ab/run-2/a"}


def test_notes_of_the_second_schema_move_out_of_the_run_and_paths_become_relative(
    empty_place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for revision in ("0001", "0002"):
        (found,) = migrations.VERSIONS.glob(f"{revision}*.py")
        shutil.copy(found, tmp_path)
    with monkeypatch.context() as yesterday:
        yesterday.setattr(migrations, "VERSIONS", tmp_path)
        yesterday.setattr(migrations, "REVISIONS", ("0001", "0002"))
        older = open_store(empty_place)
    with writing(older) as connection:
        for run, note in ((1, "kept"), (2, "")):
            connection.execute(text(_RUN_OF_THEN), {"run": run, "note": note})
            connection.execute(text(_JOB_OF_THEN), {"run": run})
            connection.execute(text(_CHECKPOINT_OF_THEN), {"run": run, "path": PLACES[run]})
    older.dispose()
    engine = open_store(empty_place)
    assert [get_run(engine, run).note for run in (1, 2)] == ["kept", ""]
    with reading(engine) as connection:
        assert connection.execute(text("SELECT run_id FROM remark")).scalars().all() == [1]
    files = [get_run(engine, run).checkpoints[0] for run in (1, 2)]
    assert [(file.path, file.url) for file in files] == [
        (Path("0123456789ab/run-1/a"), ""),
        (Path("0123456789ab/run-2/a"), PLACES[2]),
    ]
    engine.dispose()
