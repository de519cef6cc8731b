import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.cli_cases import TINY, Case, Typed, assert_refused, in_its_own_process

TYPED_WRONG = {
    "experiment": ("queue omnigot", "unknown experiment 'omnigot'", "did you mean 'omniglot'"),
    "experiment-run": ("run syntetic", "did you mean 'synthetic'"),
    "method": ("queue omniglot --method prototnet", "'prototnet'", "did you mean 'protonet'"),
    "second-method": ("queue omniglot --method pixel-knn,fastslo", "did you mean 'fastslow'"),
    "method-of-another-experiment": ("queue synthetic --method protonet", "'protonet'", "linear"),
    "preset": ("queue synthetic --preset quik", "unknown preset 'quik'", "did you mean 'quick'"),
    "setting": ("queue omniglot --set slow_rl=0.1", "'slow_rl'", "did you mean 'slow_lr'"),
    "setting-of-another-method": ("queue omniglot --method pixel-knn --set slow_lr=0.1", "'slow_lr'"),
    "setting-without-equals": ("queue synthetic --set slow_lr", "is not name=value", "--set slow_lr=0.01"),
    "setting-without-value": ("queue synthetic --set slow_lr=", "is not name=value"),
    "setting-no-number": ("queue synthetic --set slow_lr=fast", "slow_lr", "'fast'", "number"),
    "setting-out-of-bounds": ("queue synthetic --set slow_lr=-1", "slow_lr", "-1", "greater than 0"),
    "setting-infinite": ("queue synthetic --set slow_lr=Infinity", "slow_lr", "finite"),
    "setting-half-a-step": ("queue synthetic --set steps=2.5", "steps", "2.5"),
    "second-of-a-list": ("queue synthetic --set slow_lr=0.1,-1", "slow_lr", "-1"),
    "section": ("queue omniglot --set jitter=1", "jitter", "1"),
    "section-of-the-config": ("queue omniglot --set method=1", "'method'"),
    "protocol": ("queue omniglot --method protonet --set protocol=P-W", "'P-W'", "did you mean 'P-V'"),
    "protocol-without-meta": ("queue omniglot --set protocol=P-V", "'meta' classes", "--set protocol=R1"),
    "n-way-too-large": ("queue omniglot --method pixel-knn --n-way 5,4000", "4000", "1692 test classes"),
    "n-way-too-large-for-glyphs": ("queue glyphs --method pixel-knn --n-way 500 --set alphabets=10", "500"),
    "training-n-way-too-large": ("queue glyphs --method protonet --set train_n_way=9999", "train_n_way 9999"),
    "too-many-images": ("queue omniglot --method pixel-knn --k-shot 16", "k_shot 16 + n_query 5 is 21", "20"),
    "too-many-images-in-training": (
        "queue glyphs --method protonet --preset cpu --k-shot 15 --set train_n_query=6",
        "20",
    ),
    "n-way-of-a-case-without-classes": ("queue synthetic --n-way 5", "n_way"),
    "n-way-no-number": ("queue omniglot --n-way five", "--n-way 'five'", "5,20"),
    "n-way-negative": ("queue omniglot --n-way=-5", "--n-way '-5'"),
    "n-way-one": ("queue omniglot --method pixel-knn --n-way 1", "n_way", "1"),
    "no-seeds": ("queue synthetic --seeds 0", "--seeds", "1"),
    "option": ("queue synthetic --prset quick", "--prset", "--preset", "fsrun queue --help"),
    "option-without-value": ("queue synthetic --preset", "--preset"),
    "no-experiment": ("queue", "experiment", "fsrun queue --help"),
    "two-experiments": ("queue synthetic omniglot", "omniglot"),
    "command": ("quue synthetic", "quue", "queue"),
    "device": ("run synthetic --device tpu", "'tpu'", "cuda:N"),
    "device-of-worker": ("worker --device gpu", "'gpu'", "cuda:N"),
    "data-set": ("data import omniglott .", "'omniglott'", "did you mean 'omniglot'"),
    "data-set-without-import": ("data verify glyphs", "glyphs", "needs no import"),
    "data-from-nowhere": ("data import omniglot /no/such/folder", "/no/such/folder"),
    "report-of-nothing": ("report", "--table2", "--figure4"),
    "report-of-two": ("report --table2 --figure4", "--table2", "--figure4"),
    "report-format": ("report --table2 --format word", "word", "markdown"),
    "status": ("ls --status runing", "'runing'", "running"),
    "run-that-does-not-exist": ("show 99", "no run 99", "fsrun ls"),
    "run-no-number": ("show latest", "'latest'", "`fsrun ls`"),
    "logs-of-no-run": ("logs 99", "no run 99"),
    "cancel-of-no-run": ("cancel 99", "no run 99"),
    "retry-of-no-run": ("retry 99", "no run 99"),
    "priority-of-no-run": ("priority 5 99", "no run 99"),
    "priority-of-nothing": ("priority 5", "name the runs", "--status"),
    "runs-of-no-status": ("cancel --status broken", "'broken'", "failed, cancelled"),
    "runs-backwards": ("retry 9-3", "'9-3'", "3-9"),
    "runs-no-number": ("rm 3,x", "'x'", "`fsrun ls`"),
    "extra-rows-of-another-report": ("report --budget --extra", "--extra", "has no effect"),
    "list-in-two-forms": ("ls --json --csv", "--json, --csv and --group", "choose one"),
    "nodes-as-json": ("doctor --cluster --json", "leave out --cluster"),
    "queued-with-a-bad-tag": ("queue synthetic --tag a;b", "'a;b'"),
    "priority-no-number": ("priority high 1", "'high'", "-1000 to 1000"),
    "priority-too-high": ("priority 1001 1", "'1001'", "-1000 to 1000"),
    "priority-too-high-to-begin-with": ("queue synthetic --priority 1001", "--priority", "1000"),
    "priority-with-an-option": ("priority 5 --all", "'--all'", "3-9"),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED_WRONG)
def test_wrong_words_are_refused_in_one_line_and_nothing_is_stored(
    typed: Typed, home: Case, name: str
) -> None:
    line, *parts = TYPED_WRONG[name]
    assert_refused(typed(*line.split()), *parts)
    assert home.statuses() == []


@pytest.mark.parametrize("command", ["queue", "run"])
def test_omniglot_that_is_not_imported_is_refused_with_the_command_that_imports_it(
    typed: Typed, home: Case, command: str
) -> None:
    answer = typed(command, "omniglot", "--preset", "quick", "--method", "pixel-knn")
    assert_refused(answer, "fsrun data import omniglot")
    assert home.statuses() == []


def test_a_gpu_that_is_not_there_is_refused(typed: Typed, home: Case) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    for command in ("run synthetic --device cuda", "worker --device cuda:1 --drain"):
        assert_refused(typed(*command.split()), "no CUDA GPU", "--device cpu")
    assert home.statuses() == []


def test_a_home_inside_a_file_is_refused(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file")
    monkeypatch.setenv("FSRUN_HOME", str(tmp_path / "file" / "home"))
    for command in ("queue synthetic", "ls", "worker --drain", "report --table2", "data list"):
        assert_refused(typed(*command.split()), "FSRUN_HOME", "cannot be created", "folder you may write")
    assert (tmp_path / "file").read_text() == "a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_may_not_be_written_is_refused(typed: Typed, home: Case) -> None:
    home.root.mkdir(mode=0o500)
    assert_refused(typed("queue", "synthetic"), "fsrun.db", "choose a place that can be written")


@pytest.mark.parametrize("content", [b"not a database, however long it goes on " * 50, b"SQLite format 3\0"])
def test_a_damaged_database_is_refused_and_left_as_it_is(typed: Typed, home: Case, content: bytes) -> None:
    home.root.mkdir()
    (home.root / "fsrun.db").write_bytes(content)
    for command in ("queue synthetic", "ls", "worker --drain", "report --figure4"):
        assert_refused(typed(*command.split()), "fsrun.db", "not a database", "restore a backup")
    assert (home.root / "fsrun.db").read_bytes() == content


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(typed: Typed, home: Case) -> None:
    home.engine().dispose()
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999_far_ahead'")
    for command in ("queue synthetic", "ls", "worker --drain"):
        assert_refused(typed(*command.split()), "9999_far_ahead", "newer", "upgrade")
    with closing(sqlite3.connect(home.root / "fsrun.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999_far_ahead",)]


def test_a_database_of_another_kind_is_refused_without_its_password(
    typed: Typed, home: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSRUN_DB_URL", "oracle9://me:secret@host/name")
    answer = typed("ls")
    assert_refused(answer, "postgresql")
    assert "secret" not in answer.err


def test_a_finished_run_is_neither_retried_nor_cancelled_nor_put_first(
    looking: Typed, finished_home: Case
) -> None:
    before = finished_home.run(1)
    assert_refused(looking("retry", "1"), "run 1 is done", "only failed and cancelled")
    assert_refused(looking("cancel", "1"), "run 1 is done", "only queued and running")
    assert_refused(looking("priority", "5", "1"), "run 1 is done", "only queued runs have a priority")
    assert finished_home.run(1) == before


def test_a_queued_run_is_not_retried_and_has_no_log_yet(typed: Typed) -> None:
    assert typed("queue", "synthetic", *TINY).code == 0
    assert_refused(typed("retry", "1"), "run 1 is queued")
    assert_refused(typed("logs", "1"), "run 1 is queued", "fsrun worker")


def test_a_wrong_word_looks_the_same_from_a_fresh_process(home: Case) -> None:
    answer = in_its_own_process(home, "queue", "omnigot")
    assert_refused(answer, "did you mean 'omniglot'")
    assert (answer.code, answer.out) == (2, "")
    assert not home.root.exists()
