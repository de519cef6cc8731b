import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import pytest

from experiments.config import SyntheticRun
from fsrun.report.errors import NothingToReport
from fsrun.report.figure4 import figure4, render_figure4
from fsrun.report.render import Format
from store.queue import Claim
from tests.report.report_cases import Filled, Settings, config_of, fill

STEPS = (200, 400, 600)
RATIO = (0.8, 0.4, 0.2)
DISTANCE = (200.0, 50.0, 8.0)


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def start(filled: Filled, *, seed: int = 0, ratio: Sequence[float] = RATIO, preset: str = "quick") -> Claim:
    job = filled.start(config_of("synthetic", "linear", preset=preset, seed=seed), preset)
    filled.report(job, STEPS, {"train/loss_ratio": ratio, "train/frobenius": DISTANCE})
    return job


def end(filled: Filled, job: Claim, value: float = 0.11, interval: float = 0.0046) -> int:
    return filled.end(job, value, interval, "test/loss_ratio")


def test_without_a_synthetic_run_one_line_says_what_to_type(filled: Filled) -> None:
    filled.measure("protonet", 0.9)
    with pytest.raises(NothingToReport, match="fsrun run synthetic --preset quick"):
        figure4(filled.engine)


def test_a_queued_synthetic_run_needs_a_worker(filled: Filled) -> None:
    filled.queue(config_of("synthetic", "linear"))
    with pytest.raises(NothingToReport, match="fsrun worker --drain"):
        figure4(filled.engine)


def test_the_curves_of_the_run_that_finished_last_are_drawn(filled: Filled) -> None:
    end(filled, start(filled, preset="paper"))
    newest = end(filled, start(filled))
    figure = figure4(filled.engine)
    assert [trace.run.id for trace in figure.traces] == [newest]
    assert (figure.traces[0].loss_ratio.steps, figure.traces[0].loss_ratio.mean) == (STEPS, RATIO)
    assert figure.traces[0].frobenius.mean == DISTANCE
    assert figure.measured is not None
    assert (figure.measured.mean, figure.measured.run_ids) == (0.11, (newest,))


def test_a_running_run_is_drawn_while_none_has_finished(filled: Filled) -> None:
    job = start(filled)
    figure = figure4(filled.engine)
    assert figure.measured is None
    text = render_figure4(filled.engine, Format.TEXT)
    assert "not yet" in text
    assert f"Run {job.run_id} is at task 600 of 20000." in text


def test_the_floors_are_those_known_by_hand(filled: Filled) -> None:
    # Sigma = A = I, d = 10, k = 100, eta = 0.2, noise = 0.1: S* = s I with 1/s = 0.002 (101 + 10.01).
    end(filled, start(filled))
    s = 1 / (0.2 / 100 * (101 + 10.01))
    figure = figure4(filled.engine)
    assert figure.frobenius_floor == pytest.approx(10 * (s - 5) ** 2)
    assert figure.loss_ratio_floor == pytest.approx((10.01 - 0.2 * 10 * s) / 10.01)


def test_text_shows_floor_measurement_claim_and_run_side_by_side(filled: Filled) -> None:
    run_id = end(filled, start(filled))
    text = render_figure4(filled.engine, Format.TEXT, width=80)
    line = next(line for line in text.splitlines() if line.startswith("L1/L0"))
    assert line.split() == f"L1/L0 on fresh tasks from 0.8 to 0 0.1001 0.1100 ± 0.0046 {run_id}".split()
    assert text.count(".. floor") == 2
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "\x1b" in render_figure4(filled.engine, Format.TEXT, colour=True)


def test_seeds_are_drawn_as_their_mean(filled: Filled) -> None:
    ids = [end(filled, start(filled, seed=seed, ratio=[r + seed for r in RATIO])) for seed in (0, 1)]
    text = render_figure4(filled.engine, Format.TEXT)
    assert "mean of 2 runs 0.7" in text
    assert f"{ids[0]}, {ids[1]}" in text


def test_csv_lists_every_point_of_every_run(filled: Filled) -> None:
    ids = [end(filled, start(filled, seed=seed)) for seed in (0, 1)]
    lines = list(csv.DictReader(StringIO(render_figure4(filled.engine, Format.CSV))))
    assert [int(line["run_id"]) for line in lines] == [ids[0]] * 3 + [ids[1]] * 3
    assert [float(line["loss_ratio"]) for line in lines[:3]] == list(RATIO)
    assert [float(line["frobenius"]) for line in lines[3:]] == list(DISTANCE)
    assert [int(line["step"]) for line in lines[:3]] == list(STEPS)


def test_json_holds_points_results_and_provenance_of_each_run(filled: Filled) -> None:
    run_id = end(filled, start(filled))
    document = json.loads(render_figure4(filled.engine, Format.JSON))
    run = document["runs"][0]
    assert (run["run_id"], run["status"], run["steps"]) == (run_id, "done", list(STEPS))
    assert run["result"]["value"] == 0.11
    assert run["result"]["provenance"] == {"commit": "c0ffee", "torch": "2.14.1"}
    assert document["rows"][0]["floor"] == pytest.approx(0.1001, abs=1e-4)


def test_markdown_holds_the_table_and_the_picture(filled: Filled) -> None:
    end(filled, start(filled))
    text = render_figure4(filled.engine, Format.MARKDOWN)
    assert text.count("```") == 2
    assert {line.count("|") for line in text.splitlines() if line.startswith("| ")} == {6}


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
    measurement = outcome.results[0]
    end(filled, job, measurement.value, measurement.interval)
    figure = figure4(filled.engine)
    curve = figure.traces[0].loss_ratio
    assert curve.steps == (50, 100, 150, 200)
    assert curve.mean[-1] < curve.mean[0]
    assert figure.measured is not None
    assert figure.measured.mean == measurement.value
    assert "method.slow_lr=0.05" in figure.measured.differences
