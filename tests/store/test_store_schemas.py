"""Databases of every released schema, one small file each in schemas/, that this version must open.

Not here: how an upgrade goes wrong (test_store_engine).
"""

import shutil
from pathlib import Path

import pytest

from store import migrations
from store.engine import open_store, reading
from store.jobs import JobStatus
from store.metrics import read_curve
from store.queue import claim
from store.runs import get_run

SCHEMAS = Path(__file__).parent / "schemas"


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
    assert [row.step for row in run.checkpoints] == [400]
    with reading(engine) as connection:
        curve = read_curve(connection, 1, "train/loss_ratio", max_points=100)
    assert curve.steps == tuple(range(20, 401, 20))
    assert curve.last[-1] == 0.2
    queued = claim(engine, "w", now=2e9, lease_seconds=60)
    assert queued is not None
    assert queued.run_id == 2
    engine.dispose()
    assert path.with_name(f"fsrun.db.backup-{revision}").is_file()
