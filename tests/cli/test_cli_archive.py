"""What runs measured leaves one home as a file, and stands in the reports of another."""

import json
import math
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest

from experiments.config import config_hash
from experiments.sweeps import Sweep, plan
from fsrun.archive import export_runs, import_runs, read_runs
from fsrun.planning import Asked, plan_asked, requests
from fsrun.provenance import PARAMETERS
from store.curves import Point, every_point, metric_names, write_points
from store.engine import reading
from store.jobs import JobStatus, add_provenance
from store.queue import claim, finish
from store.results import ResultRow, finished_results
from store.runs import REPEATS, enqueue, get_run
from tests.cli.cli_cases import Answer, Case, Typed, assert_refused

EPISODES = 51
RESULTS = Path(__file__).parents[2] / "results"


def finish_all(case: Case, method: str, mean: float, began: float, **chosen: list[Any]) -> None:
    """Queue a method on Omniglot and end its runs as a worker does, each after ten minutes."""
    engine = case.engine()
    planned = plan(Sweep("omniglot", (method,), "quick", settings={"n_way": [5, 20]} | chosen))
    enqueue(engine, requests(planned), now=began, provenance={"commit": "c0ffee"})
    now = began
    while taken := claim(
        engine, "worker", now=now, lease_seconds=60, device="cpu", provenance={"torch": "2"}
    ):
        now += 600
        values = (mean + 0.02 * (np.arange(EPISODES) % 3 - 1)).astype("<f4")
        row = ResultRow("test/accuracy", float(values.mean()), 0.004, EPISODES, values.tobytes())
        add_provenance(engine, taken.run_id, taken.attempt, {PARAMETERS: "111936"})
        finish(engine, taken.run_id, taken.attempt, [row], now=now)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A home where Prototypical Net (run 1, measured by 2 and 3) and Fast/Slow (4 to 7) are done; 8 waits."""
    case = Case(tmp_path_factory.mktemp("theirs"))
    finish_all(case, "protonet", 0.95, 1_000_000.0)
    finish_all(case, "fastslow", 0.97, 2_000_000.0)
    waiting = requests(plan(Sweep("omniglot", ("pixel-knn",), "quick")))
    enqueue(case.engine(), waiting, now=3_000_000.0, provenance={})
    export_runs(case.engine(), (), case.root / "runs.json")
    return case


def test_a_validation_curve_goes_along_with_what_was_measured_and_those_of_training_do_not(
    tmp_path: Path,
) -> None:
    there, here = Case(tmp_path / "there"), Case(tmp_path / "here")
    (planned,) = plan(Sweep("omniglot", ("protonet",), "quick"))
    enqueue(there.engine(), requests([planned]), now=1.0, provenance={})
    taken = claim(there.engine(), "worker", now=2.0, lease_seconds=60, device="cpu")
    assert taken is not None
    curve = [(100, 0.5), (200, math.nan), (300, 0.75)]
    points = [Point("val/accuracy", step, value, 3.0) for step, value in curve]
    points.append(Point("train/loss", 100, 1.5, 3.0))
    write_points(there.engine(), taken.run_id, taken.attempt, points, step=300, rate=None, now=3.0)
    row = ResultRow("test/accuracy", 0.9, 0.004, 10)
    finish(there.engine(), taken.run_id, taken.attempt, [row], now=4.0)
    export_runs(there.engine(), (), tmp_path / "runs.json")
    import_runs(here.engine(), tmp_path / "runs.json")
    with reading(here.engine()) as connection:
        assert metric_names(connection, 1) == ("val/accuracy",)
    found = [(point.step, point.value) for point in every_point(here.engine(), 1, "val/accuracy")]
    assert found == [(100, 0.5), (200, pytest.approx(math.nan, nan_ok=True)), (300, 0.75)]
    export_runs(here.engine(), (), tmp_path / "again.json")
    parts = [json.loads((tmp_path / name).read_text())["runs"][0] for name in ("runs.json", "again.json")]
    assert parts[0]["validation"] == parts[1]["validation"]
    assert parts[0]["validation"] == {"val/accuracy": [[100, 0.5], [200, None], [300, 0.75]]}


@pytest.fixture
def at(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> "At":
    return At(typed, monkeypatch)


class At:
    """Type a command in the home that is given."""

    def __init__(self, typed: Typed, patch: pytest.MonkeyPatch) -> None:
        self.typed = typed
        self.patch = patch

    def __call__(self, case: Case, *words: object) -> Answer:
        self.patch.setenv("FSRUN_HOME", str(case.root))
        return self.typed(*map(str, words))


@pytest.fixture
def file(theirs: Case, tmp_path: Path) -> Path:
    """All that has finished there."""
    return Path(copy(theirs.root / "runs.json", tmp_path))


@pytest.fixture
def ours(tmp_path: Path) -> Case:
    case = Case(tmp_path / "ours")
    case.root.mkdir()
    return case


def report(at: At, case: Case, *words: str) -> list[dict[str, Any]]:
    answer = at(case, "report", *words, "--format", "json")
    assert answer.code == 0, answer.err
    rows: list[dict[str, Any]] = json.loads(answer.out)["rows"]
    return rows


def test_an_imported_run_is_the_run_that_was_exported(theirs: Case, ours: Case, at: At, file: Path) -> None:
    answer = at(ours, "import", file)
    assert "Imported 7 runs from" in answer.words
    for run_id in range(1, 8):
        there, here = theirs.run(run_id), ours.run(run_id)
        assert here.spec == there.spec
        assert here.results == there.results  # episode by episode
        assert (here.parents, here.status, here.finished) == (there.parents, JobStatus.DONE, there.finished)
        assert here.provenance == there.provenance
        assert here.attempts[-1].provenance.items() > there.attempts[-1].provenance.items()
        assert here.tags == ("imported",)
        assert here.checkpoints == ()
    seconds = {each.run_id: each.seconds for each in finished_results(theirs.engine())}
    assert {each.run_id: each.seconds for each in finished_results(ours.engine())} == seconds


def test_a_report_on_imported_runs_says_what_one_on_the_runs_themselves_says(
    theirs: Case, ours: Case, at: At, file: Path
) -> None:
    at(ours, "import", file)
    assert [_measured(row) for row in report(at, ours, "--table2")] == [
        _measured(row) for row in report(at, theirs, "--table2")
    ]
    text = at(ours, "report", "--table2").out
    assert "All numbers were imported from runs.json." in text
    assert "95.00 ± 0.40" in text


def _measured(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "runs"}


def test_what_is_there_already_is_not_imported_again(theirs: Case, at: At, file: Path) -> None:
    answer = at(theirs, "import", file)
    assert "Imported 0 runs" in answer.words
    assert "7 runs there already" in answer.words
    assert len(theirs.statuses()) == 8


def test_own_runs_stand_in_the_cells_and_imported_ones_beside_them(ours: Case, at: At, file: Path) -> None:
    finish_all(ours, "protonet", 0.90, 500_000.0)
    at(ours, "import", file)
    row = next(row for row in report(at, ours, "--table2") if row["method"] == "protonet")
    assert row["20w1s_percent"] == pytest.approx(90, abs=0.1)  # though the imported one finished later
    assert row["20w1s_imported_percent"] == pytest.approx(95, abs=0.1)
    wide = at(ours, "report", "--table2", "--format", "markdown").out
    assert "| Imported |" in wide


def test_imported_points_are_a_curve_of_their_own_against_the_number_of_classes(
    ours: Case, at: At, file: Path
) -> None:
    finish_all(ours, "protonet", 0.90, 500_000.0)
    at(ours, "import", file)
    lines = report(at, ours, "--classes", "omniglot")
    titles = {line["title"] for line in lines}
    assert titles == {"Prototypical Net", "Prototypical Net †", "Fast/Slow"}
    ahead = {(line["title"], line["n_way"]): line["fastslow_ahead_percent"] for line in lines}
    assert ahead["Prototypical Net", 5] == pytest.approx(7, abs=0.1)
    assert ahead["Prototypical Net †", 5] == pytest.approx(2, abs=0.1)


def test_nothing_starts_from_an_imported_run(ours: Case, at: At, file: Path) -> None:
    at(ours, "import", file)
    planned = plan(Sweep("omniglot", ("protonet",), "quick", settings={"n_way": [5, 20]}))
    asked = enqueue(ours.engine(), requests(planned), now=3_000_000.0, provenance={})
    trainers = {parent for each in asked for parent in each.parents}
    assert trainers
    assert all(get_run(ours.engine(), run_id).status is JobStatus.QUEUED for run_id in trainers)


def test_chosen_runs_take_along_what_they_start_from(theirs: Case, at: At, tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    answer = at(theirs, "export", 3, "--format", "runs", "--out", path)
    assert "Exported 1 run, and 1 run they start from" in answer.words
    assert [run["run"] for run in json.loads(path.read_text())["runs"]] == [1, 3]


def test_only_finished_runs_are_exported(theirs: Case, at: At, tmp_path: Path) -> None:
    out = tmp_path / "none.json"
    assert_refused(at(theirs, "export", 8, "--format", "runs", "--out", out), "run 8 is queued")
    assert_refused(at(theirs, "export", "--out", tmp_path / "model"), "a model is that of one run")
    absent = tmp_path / "absent" / "runs.json"
    assert_refused(at(theirs, "export", 2, "--format", "runs", "--out", absent), "cannot be written")
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_all_that_has_finished(theirs: Case, at: At, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.json"
    assert "Exported 7 runs, to" in at(theirs, "export", "--format", "runs", "--out", out).words
    assert out.read_bytes() == file.read_bytes()


def test_curves_of_imported_runs_are_said_to_be_elsewhere(
    ours: Case, at: At, file: Path, tmp_path: Path
) -> None:
    at(ours, "import", file)
    answer = at(ours, "export", "1", "2", "--format", "csv", "--out", tmp_path / "curves")
    assert "Exported 2 runs with 0 points" in answer.words
    assert "Of them 2 runs had been imported, with no curves but those of validation." in answer.words


def test_an_empty_home_has_nothing_to_export(ours: Case, at: At, tmp_path: Path) -> None:
    ours.engine()
    answer = at(ours, "export", "--format", "runs", "--out", tmp_path / "none.json")
    assert_refused(answer, "no run has finished")


def _changed(path: Path, change: Any) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("format"), "is not a file of runs"),
        (lambda c: c.update(format="fsrun runs 9"), "is not a file of runs"),
        (lambda c: c["runs"][1].pop("created"), "is damaged at runs.1.created"),
        (lambda c: c["runs"].pop(0), "starts from run 1, which is not before it"),
        (lambda c: c["runs"].append(c["runs"][0]), "run 1 is there twice"),
        (lambda c: c["runs"][1]["results"][0].update(episode_values="!"), "is damaged at the episodes of"),
        (lambda c: c["runs"][1]["config"]["method"].update(speed=3), "run 2 is of another version"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_and_nothing_imported(
    ours: Case, at: At, file: Path, change: Any, words: str
) -> None:
    assert_refused(at(ours, "import", _changed(file, change)), words)
    assert ours.statuses() == []


def test_a_file_that_is_missing_or_something_else_is_refused(ours: Case, at: At, tmp_path: Path) -> None:
    assert_refused(at(ours, "import", tmp_path / "absent.json"), "cannot be read")
    noise = tmp_path / "noise.json"
    noise.write_bytes(b"\x00\xff")
    assert_refused(at(ours, "import", noise), "is not a file of runs")


@pytest.mark.parametrize(
    "name", ["omniglot", "omniglot-fair", "omniglot-looks", "miniimagenet", "imagenet-sample", "drawn"]
)
def test_the_results_of_the_repository_can_be_imported(name: str) -> None:
    runs = read_runs(RESULTS / f"{name}.json")
    assert {run.spec.experiment for run in runs} == {name.partition("-")[0]}
    assert all(run.results for run in runs if run.spec.method != "pretrain")


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        (Asked("omniglot", seeds=3), 3),
        (Asked("omniglot", n_way=(5, 20), k_shot=(1, 5)), 4),
        (Asked("omniglot", n_way=(100, 200, 500, 1000, 1692)), 5),
        (Asked("omniglot", ("matching", "protonet"), n_way=(5, 20), k_shot=(1, 5)), 8),
        (Asked("ablations"), 16),
    ],
)
def test_a_command_without_options_asks_for_the_runs_behind_the_numbers(asked: Asked, count: int) -> None:
    names = ("omniglot", "omniglot-fair")
    there = {run.spec.config_hash for name in names for run in read_runs(RESULTS / f"{name}.json")}
    planned = plan_asked(asked)
    assert len(planned) == count
    assert {config_hash(each.config) for each in planned} <= there


def test_figure_5_is_of_the_features_that_are_named(ours: Case, at: At) -> None:
    at(ours, "import", RESULTS / "imagenet-sample.json")
    for asked, features in (((), "sample"), (("--features", "sample-block"), "sample-block")):
        rows = report(at, ours, "--figure5", *asked)
        assert {row["features"] for row in rows} == {features}
        assert {row["n_way"] for row in rows} == {5, 10, 20, 50, 100, 175}
        assert not any("trained_by" in each for row in rows for each in row["differences"])
    assert "(--features sample-block)" in at(ours, "report", "--figure5").words
    refused = at(ours, "report", "--figure5", "--features", "sampel")
    assert_refused(refused, "unknown measured features 'sampel': did you mean 'sample'?")


def test_features_of_what_was_measured_on_images_are_refused(ours: Case, at: At, file: Path) -> None:
    at(ours, "import", file)
    refused = at(ours, "report", "--classes", "omniglot", "--features", "sample")
    assert_refused(refused, "omniglot was measured on images, not on features: leave them out")


def test_what_a_run_starts_from_is_not_guessed_where_the_file_lacks_it(
    ours: Case, at: At, file: Path
) -> None:
    def forget(content: dict[str, Any]) -> None:
        content["runs"] = [run for run in content["runs"] if run["run"] in (2, 3)]
        for run in content["runs"]:
            del run["starts_from"]

    at(ours, "import", _changed(file, forget))
    row = next(row for row in report(at, ours, "--table2") if row["method"] == "protonet")
    assert row["20w1s_percent"] == pytest.approx(95, abs=0.1)
    assert (row["20w1s_trained_by"], row["20w1s_train_seconds"]) == ([], None)


def test_a_repeat_names_no_run_of_another_home(ours: Case, at: At, tmp_path: Path) -> None:
    finish_all(ours, "pixel-knn", 0.5, 500_000.0)
    again = requests(plan(Sweep("omniglot", ("pixel-knn",), "quick")))
    enqueue(ours.engine(), again, now=590_000.0, provenance={REPEATS: "1"})  # as fsrun rerun 1 does
    taken = claim(ours.engine(), "worker", now=600_000.0, lease_seconds=60, device="cpu")
    assert taken is not None
    finish(
        ours.engine(), taken.run_id, taken.attempt, [ResultRow("test/accuracy", 0.5, 0.1, 2)], now=600_010.0
    )
    assert ours.run(taken.run_id).provenance[REPEATS] == "1"
    path = tmp_path / "repeat.json"
    assert at(ours, "export", taken.run_id, "--format", "runs", "--out", path).code == 0
    (run,) = read_runs(path)
    assert REPEATS not in run.asked_with


def test_the_weights_of_an_imported_run_are_elsewhere(ours: Case, at: At, file: Path, tmp_path: Path) -> None:
    at(ours, "import", file)
    answer = at(ours, "export", 1, "--out", tmp_path / "model")
    assert_refused(answer, "run 1 was imported without its weights: fsrun rerun 1 trains it here")


def test_the_log_of_an_imported_run_is_where_it_ran(theirs: Case, home: Case, typed: Typed) -> None:
    assert typed("import", str(theirs.root / "runs.json")).code == 0
    assert_refused(typed("logs", "1"), "run 1 was imported", "the machine it ran on")


@pytest.mark.parametrize(
    ("name", "report"),
    [("imagenet-sample", "--figure5"), ("drawn", "--classes drawn"), ("omniglot-looks", "--table2")],
)
def test_an_import_names_the_report_that_shows_the_runs(typed: Typed, name: str, report: str) -> None:
    said = typed("import", str(Path(__file__).parents[2] / "results" / f"{name}.json"))
    assert said.code == 0, said.err
    assert f"fsrun report {report}, or" in said.words
