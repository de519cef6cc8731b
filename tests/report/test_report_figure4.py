"""Figure 4 from stored runs: curves, bands, expectation, floors, verdicts, in every format."""

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import pytest

from experiments.config import SyntheticRun
from fsrun.errors import UsageError
from fsrun.report.errors import NothingToReport
from fsrun.report.figure4 import figure4
from fsrun.report.linear_reports import figure4_report
from fsrun.report.render import Format
from fsrun.report.report import written
from store.errors import StoreError
from store.queue import Claim, finish
from store.results import ResultRow
from tests.report.linear_cases import CURVES, STEPS, end, finished, linear_config, start
from tests.report.report_cases import Filled, Settings, config_of, fill

RATIO, DISTANCE = CURVES["train/loss_ratio"], CURVES["train/frobenius"]
BAND = {
    f"train/{name}.{side}": [value * factor for value in CURVES[f"train/{name}"]]
    for name in ("loss_ratio", "frobenius", "fixed_point_distance")
    for side, factor in (("low", 0.9), ("high", 1.2))
}


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def test_without_a_synthetic_run_one_line_says_what_to_type(filled: Filled) -> None:
    filled.measure("protonet", 0.9)
    with pytest.raises(NothingToReport, match="fsrun run synthetic --preset quick"):
        figure4(filled.engine)


def test_a_queued_synthetic_run_needs_a_worker(filled: Filled) -> None:
    filled.queue(config_of("synthetic", "linear"))
    with pytest.raises(NothingToReport, match="fsrun worker --drain"):
        figure4(filled.engine)


def test_the_curves_of_the_run_that_finished_last_are_drawn(filled: Filled) -> None:
    finished(filled, linear_config(data={"noise": 0.3}))
    newest = finished(filled)
    study = figure4(filled.engine).study
    assert [run.id for run in study.runs] == [newest]
    assert (study.bands["loss_ratio"].steps, study.bands["loss_ratio"].middle) == (STEPS, RATIO)
    assert study.bands["frobenius"].middle == DISTANCE
    assert study.results["loss_ratio"].run_ids == (newest,)
    assert study.results["loss_ratio"].mean == 0.101


def test_a_named_run_is_drawn_in_place_of_the_newest(filled: Filled) -> None:
    older = finished(filled, linear_config(data={"noise": 0.3}))
    finished(filled)
    figure = figure4(filled.engine, run_id=older)
    assert [run.id for run in figure.study.runs] == [older]
    assert figure.study.config.data.noise == 0.3


def test_a_named_run_of_something_else_or_of_nothing_is_refused(filled: Filled) -> None:
    other = filled.measure("protonet", 0.9)
    with pytest.raises(UsageError, match=f"--run {other} is of omniglot"):
        figure4(filled.engine, run_id=other)
    with pytest.raises(StoreError, match="99"):
        figure4(filled.engine, run_id=99)


def test_a_running_run_is_drawn_while_none_has_finished(filled: Filled) -> None:
    job = start(filled)
    assert figure4(filled.engine).study.results == {}
    text = written(figure4_report(filled.engine), Format.TEXT)
    assert "not yet" in text
    assert f"Run {job.run_id} is at task 600 of 100000." in text


def test_the_floors_are_those_known_by_hand(filled: Filled) -> None:
    # Sigma = A = I, d = 10, k = 100, eta = 0.2, noise = 0.1: S* = s I with 1/s = 0.002 (101 + 10.01).
    finished(filled)
    s = 1 / (0.2 / 100 * (101 + 10.01))
    prediction = figure4(filled.engine).prediction
    assert prediction.frobenius_floor == pytest.approx(10 * (s - 5) ** 2)
    assert prediction.loss_ratio_floor == pytest.approx((10.01 - 0.2 * 10 * s) / 10.01)


def test_the_expected_curve_starts_at_the_start_and_ends_at_the_floor(filled: Filled) -> None:
    job = start(filled, steps=(200, 50_000, 100_000))
    figure = figure4(filled.engine, run_id=end(filled, job))
    assert figure.expected is not None
    assert figure.expected.steps == (200, 50_000, 100_000)
    assert figure.expected.loss_ratio[0] == pytest.approx(0.8, abs=0.1)
    assert figure.expected.loss_ratio[-1] == pytest.approx(figure.prediction.loss_ratio_floor, rel=1e-3)
    assert figure.expected.frobenius[-1] == pytest.approx(figure.prediction.frobenius_floor, rel=1e-3)


def test_text_shows_floor_expectation_measurement_claim_and_run_side_by_side(filled: Filled) -> None:
    run_id = finished(filled)
    text = written(figure4_report(filled.engine), Format.TEXT, width=100)
    line = next(line for line in text.splitlines() if line.startswith("L1/L0 on"))
    words = line.split()
    assert " ".join(words[:8]) == "L1/L0 on fresh tasks from 0.8 to 0"
    assert [words[8], *words[10:]] == ["0.1001", "0.10100", "±", "0.00046", str(run_id)]
    assert text.count("holds with a correction") == 4 - text.count("does not hold")
    assert "\x1b" not in text
    assert "\x1b" in written(figure4_report(filled.engine), Format.TEXT, colour=True)


def test_legends_tell_measured_expected_and_floor_apart_without_colour_in_80_columns(filled: Filled) -> None:
    finished(filled)
    text = written(figure4_report(filled.engine), Format.TEXT, width=80)
    assert text.count("* measured") == text.count("~ expected") == text.count(".. floor") == 2
    assert text.count("o to S*") == 1
    assert max(map(len, text.splitlines())) <= 82  # combining bars count twice


def test_seeds_of_one_run_are_its_median_in_the_band_it_stored(filled: Filled) -> None:
    config = linear_config(seeds=8)
    run_id = end(filled, start(filled, config, BAND))
    study = figure4(filled.engine).study
    assert study.bands["loss_ratio"].middle == RATIO
    assert study.bands["loss_ratio"].low == tuple(BAND["train/loss_ratio.low"])
    assert study.bands["frobenius"].high == tuple(BAND["train/frobenius.high"])
    text = written(figure4_report(filled.engine, run_id=run_id), Format.TEXT)
    assert "median of 8 seeds 0.2" in text
    assert "5th to 95th percentile" in text


def test_runs_that_differ_in_the_seed_are_drawn_as_their_median_between_their_extremes(
    filled: Filled,
) -> None:
    ids = [
        finished(filled, linear_config(seed=seed), {"train/loss_ratio": [r + seed for r in RATIO]})
        for seed in (0, 1)
    ]
    band = figure4(filled.engine, run_id=ids[0]).study.bands["loss_ratio"]
    assert band.middle == pytest.approx([r + 0.5 for r in RATIO])
    assert (band.low, band.high) == (RATIO, tuple(r + 1 for r in RATIO))
    text = written(figure4_report(filled.engine), Format.TEXT)
    assert "median of 2 seeds 0.7" in text
    assert f"{ids[0]}, {ids[1]}" in text


def test_where_there_is_no_closed_form_the_figure_says_so_and_draws_what_was_measured(filled: Filled) -> None:
    finished(filled, linear_config(method={"name": "linear", "inner_steps": 3}))
    text = written(figure4_report(filled.engine), Format.TEXT)
    assert "No closed form for several inner steps" in text
    assert "* measured" not in text  # the only curve needs no mark
    assert "floor 0" not in text


def test_csv_lists_every_point_with_its_band_and_expectation(filled: Filled) -> None:
    end(filled, start(filled, linear_config(seeds=8), BAND))
    lines = list(csv.DictReader(StringIO(written(figure4_report(filled.engine), Format.CSV))))
    assert [int(line["step"]) for line in lines] == list(STEPS)
    assert [float(line["loss_ratio"]) for line in lines] == list(RATIO)
    assert [float(line["frobenius_high"]) for line in lines] == BAND["train/frobenius.high"]
    assert 0.7 < float(lines[0]["expected_loss_ratio"]) < 0.95


def test_json_holds_points_claims_results_and_provenance(filled: Filled) -> None:
    run_id = finished(filled)
    document = json.loads(written(figure4_report(filled.engine), Format.JSON))
    run = document["runs"][0]
    assert (run["run_id"], run["status"]) == (run_id, "done")
    assert run["result"]["value"] == document["measured"]["loss_ratio"]["value"] == 0.101
    assert run["result"]["provenance"] == {"commit": "c0ffee", "torch": "2.14.1"}
    assert [point["loss_ratio"] for point in document["points"]] == list(RATIO)
    assert document["rows"][0]["floor"] == pytest.approx(0.1001, abs=1e-4)
    assert document["claims"][3]["numbers"] == {"printed": 11_000.0, "corrected": 2e-4}


def test_markdown_holds_the_tables_and_the_picture(filled: Filled) -> None:
    finished(filled)
    text = written(figure4_report(filled.engine), Format.MARKDOWN)
    assert text.count("```") == 2
    assert {line.replace(r"\|", "").count("|") for line in text.splitlines() if line.startswith("| ")} == {
        4,
        7,
    }


class StoreSink:
    """What a worker's sink does, without its buffer."""

    def __init__(self, filled: Filled, job: Claim) -> None:
        self.filled, self.job = filled, job

    def started(self, step: int) -> None:
        assert step == 0

    def metrics(self, steps: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
        self.filled.report(self.job, steps, values)

    def checkpoint(self, step: int, path: Path) -> None:
        assert path.is_file()


def test_a_run_that_really_trained_is_reported_with_what_it_measured(filled: Filled, tmp_path: Path) -> None:
    import torch  # takes seconds; only this test trains

    from experiments.events import Finished
    from experiments.method import Resources
    from experiments.run import run

    settings: Settings = {"method.steps": [200], "log_every": [50], "episodes": [100], "slow_lr": [0.05]}
    config = config_of("synthetic", "linear", settings=settings)
    assert isinstance(config, SyntheticRun)
    job = filled.start(config)
    resources = Resources(tmp_path, torch.device("cpu"))
    outcome = run(config, resources, StoreSink(filled, job), lambda step: tmp_path / f"{step}.safetensors")
    assert isinstance(outcome, Finished)
    rows = [ResultRow(one.name, one.value, one.interval, 100) for one in outcome.results]
    finish(filled.engine, job.run_id, job.attempt, rows, now=filled.tick())
    figure = figure4(filled.engine)
    curve, expected = figure.study.bands["loss_ratio"], figure.expected
    assert curve.steps == (50, 100, 150, 200)
    assert expected is not None
    # A point of the curve is the mean over 50 tasks, most of them before it.
    assert curve.middle[-1] == pytest.approx(expected.loss_ratio[-1], abs=0.12)
    assert figure.study.bands["frobenius"].middle[-1] == pytest.approx(expected.frobenius[-1], rel=0.2)
    assert "method.slow_lr=0.05" in figure.study.results["loss_ratio"].differences
