"""What the rows of Table 2 cost, and how far a study is, from stored runs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from experiments.budgets import trainings
from experiments.errors import ConfigError
from experiments.table2 import plan_table2
from fsrun.planning import enqueue_planned
from fsrun.provenance import THREADS
from fsrun.report.budget import Line, budget, budget_report, draw_budget, plot
from fsrun.report.canvas import save
from fsrun.report.errors import NothingToReport
from fsrun.report.formats import Format
from fsrun.report.progress import Part, progress, progress_table
from fsrun.report.report import written
from store.jobs import JobStatus, add_provenance
from store.queue import claim, finish
from store.results import ResultRow
from tests.report.report_cases import Filled, config_of, fill

CURVE = [0.5, 0.6, 0.7, 0.75, 0.8, 0.8, 0.8, 0.8]


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def train(
    filled: Filled, method: str, curve: Sequence[float], *, experiment: str = "omniglot", n_way: int = 20
) -> int:
    config = config_of(experiment, method, preset="cpu", settings={"n_way": [n_way]})
    job = filled.start(config, "cpu")
    add_provenance(filled.engine, job.run_id, job.attempt, {THREADS: "3"})
    if curve:
        every = config.method.steps // len(curve)
        filled.report(job, range(every, every * len(curve) + 1, every), {"val/accuracy": curve})
    return filled.end(job, 0.9)


def line_of(filled: Filled, name: str) -> Line:
    return next(line for line in budget(filled.engine).lines if line.row.name == name)


# ------------------------------------------------------------ budgets


def test_a_row_tells_its_images_and_core_minutes(filled: Filled) -> None:
    run_id = train(filled, "siamese", CURVE)
    (record,) = budget_report(filled.engine).tables[0].records
    assert record["images"] == 7000 * 256  # pairs of 128 with two images each
    assert record["images_before"] == 0
    assert record["core_minutes"] == pytest.approx(3 * record["train_seconds"] / 60)
    assert record["validation_percent"] == pytest.approx(80)
    assert (record["run_ids"], record["trained_by"], record["curve_of"]) == ([run_id],) * 3
    assert record["curve"][0] == [7000 // 8 * 256, pytest.approx(50)]
    text = written(budget_report(filled.engine), Format.TEXT, width=80)
    assert "1.79M" in next(line for line in text.splitlines() if line.startswith("Siamese"))


def test_all_curves_are_on_one_chart_the_best_first_and_rows_without_one_are_named_below(
    filled: Filled,
) -> None:
    train(filled, "siamese", CURVE)
    train(filled, "protonet", [value + 0.1 for value in CURVE])
    train(filled, "cnn", CURVE)
    train(filled, "matching", [])
    train(filled, "pixel-knn", [])
    found = budget(filled.engine)
    assert [series.name for series in plot(found).series] == ["Prototypical Net", "CNN", "Siamese"]
    assert plot(found).series[0].steps == tuple(5000 // 8 * place * 360 for place in range(1, 9))
    lines = written(budget_report(filled.engine), Format.TEXT, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    below = " ".join(" ".join(lines).split())
    assert "No validation curve: Matching Network. `fsrun queue curves`" in below
    assert "MANN" in below.partition("Not run: ")[2]


def test_rows_that_differ_in_their_test_alone_share_a_curve_which_is_drawn_once(filled: Filled) -> None:
    run_id = train(filled, "cnn", CURVE)
    line = line_of(filled, "cnn")
    found = budget(filled.engine)
    twice = type(found)(found.experiment, found.shape, (line, line), ())
    assert len(plot(twice).series) == 1
    assert line.curve is not None
    assert line.curve.run_ids == (run_id,)


def test_a_curve_of_other_ways_is_not_among_those_of_20(filled: Filled) -> None:
    train(filled, "protonet", CURVE, n_way=5)
    assert line_of(filled, "protonet").curve is None
    text = written(budget_report(filled.engine), Format.TEXT, width=120)
    assert "(5w1s)" in text
    assert "not on the chart: Prototypical Net (5w1s)." in text


def test_mini_imagenet_has_a_budget_of_its_own(filled: Filled) -> None:
    train(filled, "protonet", CURVE, experiment="miniimagenet", n_way=5)
    with pytest.raises(NothingToReport, match="fsrun queue table2"):
        budget(filled.engine)
    (line,) = budget(filled.engine, "miniimagenet").lines
    assert line.cell.training is not None
    assert line.cell.training.images == 3300 * 20 * 11


def test_the_chart_becomes_a_picture(filled: Filled, tmp_path: Path) -> None:
    train(filled, "siamese", CURVE)
    picture = draw_budget(budget(filled.engine))
    assert [(marks.name, len(marks.places)) for marks in picture.marks] == [("Siamese", 8)]
    save(picture, tmp_path / "budget.png")
    inks = Image.open(tmp_path / "budget.png").convert("L").histogram()
    assert sum(count > 0 for count in inks) > 2


# ------------------------------------------------------------ progress


def part_of(filled: Filled, title: str, preset: str = "cpu") -> Part:
    found = progress(filled.engine, "table2", preset=preset)
    return next(part for part in found.parts if part.title == title)


def test_an_empty_store_has_all_of_a_study_before_it(filled: Filled) -> None:
    found = progress(filled.engine, "table2", preset="cpu")
    planned = plan_table2(preset="cpu")
    assert sum(part.missing for part in found.parts) == len(planned)
    assert all(part.counts[:3] == (0, 0, 0) for part in found.parts)
    assert sum(part.seconds for part in found.parts) > 3600


def test_runs_are_counted_by_status_and_only_what_is_not_measured_is_left(filled: Filled) -> None:
    planned = [each for each in plan_table2(preset="cpu") if each.config.method.name == "pixel-knn"]
    before = part_of(filled, "Pixel-KNN")
    assert before.counts == (0, 0, 0, 8)
    enqueue_planned(filled.engine, planned[:3], now=filled.tick())
    taken, running = (
        claim(filled.engine, "worker", now=filled.tick(), lease_seconds=60, device="cpu") for _ in range(2)
    )
    assert taken is not None
    assert running is not None
    row = ResultRow("test/accuracy", 0.5, 0.01, 1000)
    finish(filled.engine, taken.run_id, taken.attempt, [row], now=filled.tick())
    part = part_of(filled, "Pixel-KNN")
    assert part.counts == (1, 1, 1, 5)
    assert part.run_ids[JobStatus.DONE] == [taken.run_id]
    assert 0 < part.seconds < before.seconds
    table = progress_table(progress(filled.engine, "table2", preset="cpu"))
    assert table.rows[-1][:5] == ("All", "1", "1", "1", str(len(plan_table2(preset="cpu")) - 3))


def test_a_shared_pre_training_counts_once_and_not_when_it_is_done(filled: Filled) -> None:
    needed = trainings(plan_table2(preset="cpu"))
    (need,) = (each for each in needed if each.method.name == "pretrain")
    before = part_of(filled, "Nearest mean").seconds  # the first row that needs it
    filled.end(filled.start(need, "cpu"), 0.9, name="val/accuracy")
    assert before - part_of(filled, "Nearest mean").seconds == pytest.approx(
        12_000 * 0.224 + (12_000 // 1000 * 25 + 1000) * 0.049
    )


def test_a_row_never_measured_takes_as_long_as_another_seed_of_it_did(filled: Filled) -> None:
    found = progress(filled.engine, "table2", preset="cpu", experiment="miniimagenet")
    assert all(part.seconds == 0 and part.unknown for part in found.parts)
    planned = next(
        each for each in plan_table2("miniimagenet", preset="cpu") if each.config.method.name == "maml"
    )
    filled.end(filled.start(planned.config, "cpu"), 0.4)
    again = progress(filled.engine, "table2", preset="cpu", experiment="miniimagenet", seeds=2)
    maml = next(part for part in again.parts if part.title == "MAML")
    assert maml.counts[0] == 1
    assert maml.seconds == 10  # what the first seed took


def test_a_study_that_there_is_not_is_refused_with_the_nearest_name(filled: Filled) -> None:
    with pytest.raises(ConfigError, match="table2"):
        progress(filled.engine, "tabel2")


def test_the_records_of_progress_are_json(filled: Filled) -> None:
    table = progress_table(progress(filled.engine, "curves"))
    assert json.loads(json.dumps(list(table.records)))[0]["missing"] == 1
