import csv
import json
from io import StringIO
from pathlib import Path

from experiments.table2 import ROWS
from fsrun.cli.doctor import CHECKS
from store.jobs import JobStatus
from tests.cli.cli_cases import TINY, Case, Typed, assert_refused, in_its_own_process

FORMATS = ("text", "markdown", "csv", "json")


def test_run_carries_out_what_it_queues_and_prints_the_result(finished_home: Case, looking: Typed) -> None:
    record = finished_home.run(1)
    assert record.status is JobStatus.DONE
    assert record.step == record.spec.total_steps == 400
    result = next(each for each in record.results if each.name == "test/loss_ratio")
    assert result.episodes == 50
    assert 0.3 < result.value < 1.1  # one fast step of an untrained W_s gains a little
    assert result.interval is not None
    assert looking("ls").words.count("done") == 1


def test_the_same_command_in_two_homes_gives_the_same_numbers(finished_home: Case, tmp_path: Path) -> None:
    other = Case(tmp_path / "other")
    answer = in_its_own_process(other, "run", "synthetic", *TINY)
    assert (answer.code, answer.err) == (0, "")
    assert "run 1 Linear fast/slow seed 0 done" in answer.out
    results, points = other.numbers(1)
    ratio = next(each.value for each in results if each.name == "test/loss_ratio")
    assert f"L1/L0 {ratio:.4f}" in answer.out
    assert (results, points) == finished_home.numbers(1)
    assert points["train/loss_ratio"][0] == (200, 400)
    assert set(points) >= {"train/loss_ratio", "train/frobenius", "train/fixed_point_distance"}


def test_the_same_command_once_more_shows_the_result_and_runs_nothing(
    finished_home: Case, looking: Typed
) -> None:
    answer = looking("run", "synthetic", *TINY)
    assert (answer.code, answer.err) == (0, "")
    assert "Run 1 has this config (done)" in answer.words
    assert "L1/L0" in answer.out
    assert finished_home.statuses() == [JobStatus.DONE]


def test_show_tells_config_attempt_result_and_where_the_numbers_come_from(looking: Typed) -> None:
    answer = looking("show", "1")
    assert (answer.code, answer.err) == (0, "")
    for part in (
        "run 1 Linear fast/slow on synthetic",
        "status done, step 400 of 400",
        "50 episodes",
        "method.slow_lr 0.001",
        "1 done 0 ",
        "commit ",
        "torch 2",
    ):
        assert part in answer.words, part


def test_logs_prints_the_log_and_tail_its_end(finished_home: Case, looking: Typed) -> None:
    lines = looking("logs", "1").out.splitlines()
    device = finished_home.run(1).attempts[0].device
    assert device == "cpu" or device.startswith("cuda:")
    assert f"run 1, attempt 1, on {device}" in lines[0]
    assert "done: test/loss_ratio" in lines[-1]
    assert looking("logs", "1", "--tail", "1").out.splitlines() == lines[-1:]
    assert looking("logs", "1", "--follow").out.splitlines() == lines  # the run is over


def test_nothing_but_the_files_of_a_home_is_left_behind(finished_home: Case) -> None:
    assert {path.name for path in finished_home.root.iterdir()} - {"fsrun.db-wal", "fsrun.db-shm"} == {
        "fsrun.db",
        "checkpoints",
        "logs",
    }
    assert list(finished_home.root.rglob("*.partial")) == []


def test_figure_4_is_drawn_from_the_run_in_four_formats(looking: Typed) -> None:
    answers = {form: looking("report", "--figure4", "--format", form) for form in FORMATS}
    assert {answer.code for answer in answers.values()} == {0}
    assert {answer.err for answer in answers.values()} == {""}
    assert "L1" in answers["text"].out
    assert "L1" in answers["markdown"].out
    json.loads(answers["json"].out)
    assert len(list(csv.reader(StringIO(answers["csv"].out)))) > 2


def test_table_2_is_printed_in_four_formats_with_nothing_run_yet(looking: Typed) -> None:
    answers = {form: looking("report", "--table2", "--format", form) for form in FORMATS}
    assert {answer.code for answer in answers.values()} == {0}
    assert {answer.err for answer in answers.values()} == {""}
    for form in FORMATS:
        assert "Pixel-KNN" in answers[form].out
    assert answers["text"].out.count("not run") >= 12  # the rows of the paper
    assert "|" in answers["markdown"].out
    json.loads(answers["json"].out)
    assert len(list(csv.reader(StringIO(answers["csv"].out)))) == 1 + len(ROWS)


def test_reports_of_an_empty_home_say_what_to_type(typed: Typed) -> None:
    assert "fsrun queue table2 --preset quick" in typed("report", "--table2").words
    assert_refused(typed("report", "--figure4"), "fsrun run synthetic --preset quick")


def test_doctor_finds_everything_in_place(typed: Typed, home: Case) -> None:
    answer = typed("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert [line.split()[:2] for line in answer.out.splitlines()] == [["ok", name] for name in CHECKS]
    assert str(home.root) in answer.out
    assert "fsrun data import omniglot PATH" in answer.out


def test_doctor_names_what_is_wrong_and_ends_with_an_error(typed: Typed, home: Case) -> None:
    home.root.mkdir(mode=0o700)
    (home.root / "fsrun.db").write_bytes(b"not a database " * 100)
    answer = typed("doctor")
    assert answer.code == 1
    wrong = [line for line in answer.out.splitlines() if line.startswith("wrong")]
    assert wrong
    assert "not a database" in wrong[0]
    assert answer.err.startswith(f"fsrun: 1 of {len(CHECKS)} checks")


def test_data_list_says_what_is_here(typed: Typed) -> None:
    lines = typed("data", "list").out.splitlines()
    names = ["omniglot", "miniimagenet", "imagenet", "glyphs", "drawn", "synthetic"]
    assert [line.split()[0] for line in lines] == names
    assert all("not imported" in line for line in lines[:3])
    assert "not Omniglot" in lines[3]
    assert "they show nothing" in lines[4]


def test_omniglot_is_imported_once_and_verified(typed: Typed, omniglot_source: Path) -> None:
    imported = typed("data", "import", "omniglot", str(omniglot_source))
    assert (imported.code, imported.err) == (0, "")
    assert "Imported omniglot: 1,623 classes, 32,460 images" in imported.out
    assert "Already imported omniglot" in typed("data", "import", "omniglot", str(omniglot_source)).out
    assert "Verified omniglot: 1,623 classes, 32,460 images" in typed("data", "verify", "omniglot").out
    assert "imported" in typed("data", "list").out.splitlines()[0]
    queued = typed("queue", "omniglot", "--preset", "quick", "--method", "pixel-knn")
    assert (queued.code, queued.err) == (0, "")
