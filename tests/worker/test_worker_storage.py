"""Checkpoints kept at a URL: found by every machine, checked when read, and never another writer's."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.errors import CheckpointError, StorageUnavailable
from fsrun import object_store
from fsrun.checkpoint_files import checkpoint_files, prepare
from fsrun.worker.outage import Outage
from fsrun.worker.runner import execute
from fsrun.worker.sink import StoreSink
from store import queue
from store.errors import LeaseLost
from store.jobs import JobStatus
from store.results import ResultRow
from tests.cli.cli_cases import Case, Points, assert_refused, in_its_own_process
from tests.worker.s3_server import S3, make_bucket, s3_server
from tests.worker.worker_cases import (
    STEPS,
    after,
    ask_for_the_long_run,
    held_under_way,
    never,
    take,
    wait_until,
    working,
)

pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'fsrun[cloud]'")


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that FSRUN_STORAGE names by a URL."""
    monkeypatch.setenv("FSRUN_STORAGE", f"file://{tmp_path}/storage/lab/")
    return tmp_path / "storage" / "lab"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Case:
    """The home of another machine, with a worker; only the database is the same as of the first."""
    (tmp_path / "elsewhere").mkdir()
    case = Case(tmp_path / "elsewhere")
    prepare(case.engine(), case, 1.0)
    return case


def stored(storage: Path) -> list[Path]:
    return sorted(path for path in storage.rglob("*") if path.is_file() and path.name != object_store.MARK)


def test_a_run_goes_on_on_another_machine_with_the_same_numbers(
    home: Case, elsewhere: Case, storage: Path, undisturbed: tuple[tuple[ResultRow, ...], Points]
) -> None:
    run_id = ask_for_the_long_run(home)
    execute(home.engine(), home, run_id, take(home).attempt, "cpu", after(40))
    (kept,) = home.run(run_id).checkpoints
    assert kept.url == f"file://{storage}/checkpoints/{kept.path}"
    execute(home.engine(), elsewhere, run_id, take(home).attempt, "cpu", never)
    assert home.numbers(run_id) == undisturbed
    assert [attempt.from_step for attempt in home.run(run_id).attempts] == [0, kept.step]
    # The older one was given up; what is kept is what the database knows.
    assert [f"file://{path}" for path in stored(storage)] == sorted(
        row.url for row in home.run(run_id).checkpoints
    )


def a_checkpoint(home: Case) -> tuple[int, Path]:
    """Train a little, and return the run and the copy of its checkpoint in this home."""
    run_id = ask_for_the_long_run(home)
    execute(home.engine(), home, run_id, take(home).attempt, "cpu", after(5))
    return run_id, home.checkpoints / home.run(run_id).checkpoints[0].path


def test_what_is_read_is_checked_and_a_damaged_copy_is_fetched_anew(home: Case, storage: Path) -> None:
    run_id, copy = a_checkpoint(home)
    (row,) = home.run(run_id).checkpoints
    right = copy.read_bytes()
    for spoil in (lambda: copy.write_bytes(b"damaged"), copy.unlink):
        spoil()
        assert checkpoint_files(home).fetched(row).read_bytes() == right
    (kept,) = stored(storage)
    kept.write_bytes(right[:-1] + b"!")
    copy.unlink()
    with pytest.raises(CheckpointError, match=r"storage/lab/.* is damaged \(its sha256 differs\)"):
        checkpoint_files(home).fetched(row)
    kept.rename(kept.with_name("another"))
    with pytest.raises(CheckpointError, match="is gone"):
        checkpoint_files(home).fetched(row)
    kept.with_name("another").unlink()
    with pytest.raises(StorageUnavailable, match=r"no checkpoint is at .*: mount or restore it"):
        checkpoint_files(home).fetched(row)
    assert list(home.checkpoints.rglob("step-*")) == []


def test_a_writer_whose_lease_is_gone_changes_nothing_that_is_kept(
    home: Case, elsewhere: Case, storage: Path
) -> None:
    run_id = ask_for_the_long_run(home)
    slept = take(home)
    outage = Outage(home.engine(), print)
    late = StoreSink(
        home.engine(), run_id, slept.attempt, outage, lambda: True, checkpoint_files(home), STEPS
    )
    late.started(0)
    queue.release(home.engine(), run_id, slept.attempt, now=1.0)
    execute(home.engine(), elsewhere, run_id, take(home).attempt, "cpu", after(5))
    before = {path: path.read_bytes() for path in stored(storage)}
    step = home.run(run_id).step
    path = home.checkpoint(home.run(run_id).checkpoints[0].path.parts[0], run_id, slept.attempt, step)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of the same step, by the late one")
    with pytest.raises(LeaseLost):
        late.checkpoint(step, path)
    late.close()
    assert {path: path.read_bytes() for path in stored(storage)} == before
    assert len(before) == 1
    assert not path.exists()


@pytest.mark.parametrize(
    "left_there",
    [
        pytest.param(Path.touch, id="a file"),  # nothing can be written there, by root neither
        pytest.param(Path.mkdir, id="an empty folder, as beneath a mount"),
        pytest.param(lambda _place: None, id="nothing"),
    ],
)
def test_training_outlives_a_storage_that_is_away_and_ends_once_it_is_back(
    home: Case, storage: Path, left_there: Callable[[Path], None]
) -> None:
    ask_for_the_long_run(home)
    storage.mkdir(parents=True)
    with working(home, "worker", "--drain"):
        with held_under_way(home):
            storage.rename(storage.with_name("away"))
            left_there(storage)
        wait_until(lambda: home.log(1).is_file() and "mount or restore it" in home.log(1).read_text())
        assert home.statuses() == [JobStatus.RUNNING]
        if storage.is_dir():
            storage.rmdir()  # which says that nothing was written there
        storage.unlink(missing_ok=True)
        storage.with_name("away").rename(storage)
    assert home.statuses() == [JobStatus.DONE]
    assert len(stored(storage)) == 1


def test_a_job_waits_for_a_storage_that_is_away_instead_of_beginning_anew(
    home: Case, elsewhere: Case, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsrun.worker.fetching.RETRY_SECONDS", 0.01)
    run_id, _ = a_checkpoint(home)
    step, attempt = home.run(run_id).step, take(home).attempt
    storage.rename(storage.with_name("away"))
    storage.touch()
    execute(home.engine(), elsewhere, run_id, attempt, "cpu", after(3))
    assert home.run(run_id).status is JobStatus.QUEUED
    assert elsewhere.log(run_id).read_text().count("trying again") == 1
    storage.unlink()
    storage.with_name("away").rename(storage)
    execute(home.engine(), elsewhere, run_id, take(home).attempt, "cpu", after(3))
    assert [attempt.from_step for attempt in home.run(run_id).attempts] == [0, 0, step]


def test_gc_frees_copies_and_orphans_and_rm_what_is_kept(home: Case, storage: Path) -> None:
    run_id, copy = a_checkpoint(home)
    (kept,) = stored(storage)
    orphan = kept.with_name("step-000000001-attempt-7.safetensors")
    orphan.write_bytes(b"nobody knows it")
    os.utime(orphan, (1.0, 1.0))
    listed = in_its_own_process(home, "gc")
    assert "a copy of what the storage keeps" in listed.out
    assert f"file://{orphan}  (no run knows it)" in listed.out
    assert in_its_own_process(home, "gc", "--yes").code == 0
    assert stored(storage) == [kept]
    assert not copy.exists()
    assert checkpoint_files(home).fetched(home.run(run_id).checkpoints[0]) == copy
    for words in (("cancel", "1"), ("rm", "1"), ("gc", "--yes", "--trash-days", "0")):
        assert in_its_own_process(home, *words).code == 0
    assert stored(storage) == []
    assert not copy.exists()


@pytest.mark.parametrize(
    ("url", "code", "parts"),
    [
        (
            "nope://lab/fsrun",
            2,
            ("FSRUN_STORAGE nope://lab/fsrun", "Protocol not known", "use file://, s3://"),
        ),
        ("/mnt/lab", 2, ("'/mnt/lab' is not the URL", "s3://bucket/fsrun")),
        ("memory://lab", 2, ("memory ends with its process",)),
        ("file:///proc/lab", 1, ("cannot be written", "make the bucket or folder, or name another")),
    ],
)
def test_a_storage_that_cannot_be_used_is_refused_before_anything_is_queued(
    home: Case, monkeypatch: pytest.MonkeyPatch, url: str, code: int, parts: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FSRUN_STORAGE", url)
    for words in (("run", "synthetic", "--preset", "quick"), ("worker", "--drain")):
        answer = in_its_own_process(home, *words)
        assert_refused(answer, *parts)
        assert answer.code == code
    assert home.statuses() == []
    doctor = in_its_own_process(home, "doctor")
    assert "wrong  storage" in doctor.out


def test_without_the_extra_the_command_says_what_to_install(home: Case) -> None:
    script = "import sys; sys.modules['s3fs'] = None\nfrom fsrun.cli import main\nmain()"
    answer = in_its_own_process(
        home, "worker", program=("-c", script), settings={"FSRUN_STORAGE": "s3://lab/fsrun"}
    )
    assert answer.code == 2
    assert_refused(answer, "s3fs", "pip install 'fsrun[cloud]'")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'fsrun[cloud]'")
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'fsrun[test]'")
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        make_bucket(server)
        yield server


@pytest.mark.slow
def test_a_bucket_keeps_what_one_home_trains_and_another_uses(home: Case, s3: S3, tmp_path: Path) -> None:
    settings = s3.environment | {"FSRUN_STORAGE": s3.url}
    words = ("--preset", "quick", "--set", "alphabets=10", "--set", "characters=12", "--set", "episodes=20")
    method = ("--method", "protonet", "--set", "filters=8", "--set", "protonet.steps=5")
    trained = in_its_own_process(home, "run", "glyphs", *words, *method, settings=settings, seconds=240)
    assert trained.code == 0, trained.err
    (row,) = home.run(1).checkpoints
    assert row.url.startswith(f"{s3.url}/checkpoints/")
    (home.checkpoints / row.path).unlink()
    assert "ok     storage" in in_its_own_process(home, "doctor", settings=settings).out
    fetched = in_its_own_process(home, "export", "1", "--out", str(tmp_path / "model"), settings=settings)
    assert fetched.code == 0, fetched.err
    assert (tmp_path / "model" / "model.safetensors").is_file()

    (home.checkpoints / row.path).unlink()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        object_store.put_text("damaged", row.url)
        assert [found.url for found in object_store.listed(s3.url)] == [row.url]
    damaged = in_its_own_process(home, "export", "1", "--out", str(tmp_path / "again"), settings=settings)
    assert_refused(damaged, f"checkpoint {row.url} is damaged", "queue the run again")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"FSRUN_STORAGE": "s3://another/fsrun"}, ("does not exist", "make the bucket")),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            ("http://127.0.0.1:9", "see that this machine reaches it"),
        ),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"},
            ("give this machine",),
        ),
    ],
)
def test_a_bucket_that_cannot_be_used_is_named_with_what_to_do(
    home: Case, s3: S3, changes: dict[str, str], parts: tuple[str, ...]
) -> None:
    settings = s3.environment | {"FSRUN_STORAGE": s3.url} | changes
    answer = in_its_own_process(home, "worker", "--drain", settings=settings)
    assert_refused(answer, *parts)
    assert answer.code == 1


@pytest.mark.slow
def test_a_bucket_without_rights_is_named_with_what_to_do(home: Case, tmp_path: Path) -> None:
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'fsrun[test]'")
    with s3_server(tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="1") as server:
        make_bucket(server)  # whoever comes later must be known to the server
        settings = server.environment | {"FSRUN_STORAGE": server.url}
        answer = in_its_own_process(home, "worker", "--drain", settings=settings)
    assert_refused(answer, "cannot be written", "give this machine's credentials the right")
