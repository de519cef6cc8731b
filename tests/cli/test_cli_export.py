"""Runs leave for other programs with every point, and those programs read what was logged."""

import csv
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from store.curves import metric_names, read_curve
from store.engine import reading
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused, environment, in_its_own_process

Logged = dict[tuple[str, int], float]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A home with one finished synthetic run."""
    case = Case(tmp_path_factory.mktemp("measured"))
    answer = in_its_own_process(case, "run", "synthetic", *TINY, "--set", "log_every=10")
    assert answer.code == 0, answer.err
    return case


@pytest.fixture
def using(measured: Case, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("FSRUN_HOME", str(measured.root))
    return typed


@pytest.fixture(scope="module")
def logged(measured: Case) -> Logged:
    """What the database holds of run 1: a value for each metric and step."""
    found: Logged = {}
    with reading(measured.engine()) as connection:
        for name in metric_names(connection, 1):
            curve = read_curve(connection, 1, name, max_points=1_000_000)
            found |= {(name, step): value for step, value in zip(curve.steps, curve.last, strict=True)}
    assert len(found) > 100
    return found


def assert_same(found: Mapping[tuple[str, int], float], logged: Logged, tolerance: float = 0.0) -> None:
    assert found.keys() == logged.keys()
    for key, value in logged.items():
        assert found[key] == pytest.approx(value, rel=tolerance, nan_ok=True), key


def test_csv_holds_every_point_and_a_line_for_the_run(using: Typed, logged: Logged, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = using("export", "1", "--format", "csv", "--out", str(out))
    assert f"Exported 1 run with {len(logged):,} points" in answer.words, answer.err
    with (out / "points.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    assert_same({(row["metric"], int(row["step"])): float(row["value"]) for row in points}, logged)
    with (out / "runs.csv").open(newline="") as file:
        (run,) = csv.DictReader(file)
    assert (run["run"], run["method"], run["status"]) == ("1", "linear", "done")
    assert json.loads(run["config"])["experiment"] == "synthetic"
    assert math.isfinite(float(run["test/loss_ratio"]))


def test_parquet_holds_the_same(using: Typed, logged: Logged, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    out = tmp_path / "out"
    assert using("export", "--format", "parquet", "--out", str(out)).code == 0
    rows = parquet.read_table(out / "points.parquet").to_pylist()
    assert_same({(row["metric"], row["step"]): row["value"] for row in rows}, logged)
    (run,) = parquet.read_table(out / "runs.parquet").to_pylist()
    assert (run["run"], run["preset"]) == (1, "quick")


def test_tensorboard_reads_the_curves(using: Typed, logged: Logged, tmp_path: Path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    out = tmp_path / "out"
    assert using("export", "--format", "tensorboard", "--out", str(out)).code == 0
    (folder,) = out.iterdir()
    events = reader.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    names = [name for name in events.Tags()["scalars"] if not name.startswith("results/")]
    found = {(name, each.step): each.value for name in names for each in events.Scalars(name)}
    assert_same(found, logged, tolerance=1e-6)  # it keeps float32
    assert "results/test/loss_ratio" in events.Tags()["scalars"]


def test_trackio_reads_the_curves(measured: Case, logged: Logged, tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="trackio is not installed")
    out = tmp_path / "out"
    done = in_its_own_process(measured, "export", "--format", "trackio", "--out", str(out))
    assert done.code == 0, done.err
    script = (
        "import json; from trackio.sqlite_storage import SQLiteStorage as S; (run,) = S.get_runs('fsrun'); "
        "print(json.dumps([S.get_logs('fsrun', run), S.get_run_config('fsrun', run)]))"
    )
    environ = environment(measured) | {"TRACKIO_DIR": str(out)}
    said = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    rows, config = json.loads(said.stdout)
    found = {
        (name, row["step"]): value
        for row in rows
        for name, value in row.items()
        if name.startswith(("train/", "val/", "test/"))
    }
    assert_same(found, logged)
    assert config["experiment"] == "synthetic"


def records_of(file: Path) -> Iterator[bytes]:
    """Yield the records of a .wandb file, which is a log as LevelDB writes it, in blocks of 32 KiB."""
    data, place, parts = file.read_bytes(), 7, []
    while place + 7 <= len(data):
        left = 32_768 - place % 32_768
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        if left < 7 or not kind:
            place += left
            continue
        parts.append(data[place + 7 : place + 7 + size])
        place += 7 + size
        if kind in (1, 4):  # whole, or the last of several parts
            yield b"".join(parts)
            parts = []


def test_weights_and_biases_holds_the_curves(measured: Case, logged: Logged, tmp_path: Path) -> None:
    messages = pytest.importorskip("wandb.proto.wandb_internal_pb2", reason="wandb is not installed")
    out = tmp_path / "out"
    done = in_its_own_process(measured, "export", "--format", "wandb-offline", "--out", str(out))
    assert done.code == 0, done.err
    assert [each.name for each in out.iterdir()] == ["wandb"]
    (file,) = out.glob("wandb/offline-run-*/run-*.wandb")
    found: Logged = {}
    for data in records_of(file):
        record = messages.Record()
        record.ParseFromString(data)
        items = {each.key or each.nested_key[0]: json.loads(each.value_json) for each in record.history.item}
        names = [name for name in items if not name.startswith("_")]
        found |= {(name, items["_step"]): float(items[name]) for name in names}
    assert_same(found, logged)


def test_a_folder_that_is_there_is_refused_and_left_alone(using: Typed, tmp_path: Path) -> None:
    answer = using("export", "--format", "csv", "--out", str(tmp_path))
    assert_refused(answer, "is there already")
    assert list(tmp_path.iterdir()) == []
    assert_refused(
        using("export", "7", "--format", "csv", "--out", str(tmp_path / "out")), "there is no run 7"
    )
    assert_refused(using("export", "--format", "hdf5", "--out", str(tmp_path / "out")), "'hdf5'", "parquet")
