"""The table of mechanisms on equal features: which runs stand in it, and what they are compared with."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.budgets import images_embedded
from experiments.config import ImageRun, prerequisites
from experiments.equal_features import MECHANISMS, plan_equal_features
from experiments.sweeps import PlannedRun
from fsrun.planning import enqueue_planned
from fsrun.report.equal_features import Cell, EqualFeatures, equal_features, equal_features_table
from fsrun.report.errors import NothingToReport
from fsrun.report.render import Format, render
from fsrun.report.table2 import rows
from store.queue import claim, finish
from store.results import ResultRow
from tests.report.report_cases import Filled, fill

TINY = ("alphabets=10", "characters=12", "pretrain.train_n_way=5")
MAIN = (20, 1)


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def planned(row: str, *settings: str, experiment: str = "glyphs", shape: tuple[int, int] = MAIN) -> ImageRun:
    runs = plan_equal_features(experiment, preset="quick", settings=settings)
    return next(each for each in map(image_run, runs) if is_cell(each, row, shape))


def image_run(run: PlannedRun) -> ImageRun:
    assert isinstance(run.config, ImageRun)
    return run.config


def is_cell(run: ImageRun, row: str, shape: tuple[int, int]) -> bool:
    holds = next(each for each in MECHANISMS if each.name == row).holds(run.model_dump())
    return holds and (run.evaluation.n_way, run.evaluation.k_shot) == shape


def measure(filled: Filled, config: ImageRun, value: float, spread: float = 0.0) -> int:
    """Store a finished run: episodes of `value`, every third of them higher or lower by `spread`."""
    job = filled.start(config.model_copy(update={"trained_by": None}), "quick")
    episodes = (value + spread * (np.arange(60) % 3 - 1)).astype("<f4")
    row = ResultRow("test/accuracy", value, 0.004, len(episodes), episodes.tobytes())
    finish(filled.engine, job.run_id, job.attempt, [row], now=filled.tick())
    return job.run_id


def cell(found: EqualFeatures, row: str, shape: tuple[int, int] = MAIN) -> Cell:
    line = next(each for each in found.lines if each.row.name == row)
    return next(each for each in line.cells if each.shape == shape)


def test_nothing_measured_is_one_line_that_says_what_to_type(filled: Filled) -> None:
    with pytest.raises(NothingToReport, match=r"fsrun queue equal-features --on glyphs"):
        equal_features(filled.engine, "glyphs")
    with pytest.raises(NothingToReport, match=r"fsrun queue equal-features`"):
        equal_features(filled.engine)


def test_each_row_is_compared_with_nearest_mean_episode_by_episode(filled: Filled) -> None:
    measure(filled, planned("nearest-mean"), 0.9, 0.02)
    measure(filled, planned("matching-frozen"), 0.93, 0.02)
    measure(filled, planned("fastslow"), 0.88)
    found = equal_features(filled.engine, "glyphs")
    matching, fastslow = cell(found, "matching-frozen"), cell(found, "fastslow")
    assert matching.ahead is not None
    assert fastslow.ahead is not None
    assert matching.ahead.mean == pytest.approx(3, abs=1e-4)
    assert matching.ahead.interval == pytest.approx(0, abs=1e-4)  # the same episodes are hard for both
    assert fastslow.ahead.mean == pytest.approx(-2, abs=1e-4)
    assert fastslow.ahead.interval > 0.3
    assert cell(found, "nearest-mean").ahead is None
    assert cell(found, "snail-frozen") == Cell(MAIN)


def test_rows_with_several_looks_are_compared_with_nearest_mean_with_as_many(filled: Filled) -> None:
    measure(filled, planned("nearest-mean"), 0.90)
    measure(filled, planned("nearest-mean-looks"), 0.95)
    measure(filled, planned("fastslow-looks"), 0.96)
    found = equal_features(filled.engine, "glyphs")
    ahead = cell(found, "fastslow-looks").ahead
    assert ahead is not None
    assert ahead.mean == pytest.approx(1, abs=1e-4)


def test_runs_from_another_pre_training_are_not_in_the_table_and_are_named(filled: Filled) -> None:
    own = [measure(filled, planned(row), 0.9) for row in ("nearest-mean", "linear")]
    other = measure(filled, planned("nearest-mean", "pretrain.steps=55"), 0.5)
    found = equal_features(filled.engine, "glyphs")
    assert found.others == (other,)
    shown = cell(found, "nearest-mean").measured
    assert shown is not None
    assert shown.run_ids == (own[0],)
    table = equal_features_table(found)
    assert any(f"({other})" in note for note in table.detailed().notes)


def test_a_row_from_scratch_is_not_on_equal_features_and_the_other_way_round(filled: Filled) -> None:
    filled.measure("protonet", 0.7, preset="quick")
    with pytest.raises(NothingToReport):
        equal_features(filled.engine)
    measure(filled, planned("protonet-trained-on", experiment="omniglot"), 0.9)
    line = next(each for each in rows(filled.engine) if each.name == "protonet")
    assert line.measured is not None
    assert line.measured.mean == pytest.approx(70)
    shown = cell(equal_features(filled.engine), "protonet-trained-on").measured
    assert shown is not None
    assert shown.mean == pytest.approx(90)


def test_the_table_fits_80_columns_and_every_format_has_its_values(filled: Filled) -> None:
    runs = [measure(filled, planned(row), 0.9, 0.02) for row in ("nearest-mean", "matching-frozen")]
    table = equal_features_table(equal_features(filled.engine, "glyphs"))
    text = render(table, Format.TEXT, width=80)
    assert max(map(len, text.splitlines())) <= 80
    line = next(each for each in text.splitlines() if each.startswith("Matching Network, frozen"))
    assert "90.00" in line
    assert "+0.00" in line
    document = json.loads(render(table, Format.JSON))
    record = next(each for each in document["rows"] if each["row"] == "matching-frozen")
    assert (record["run_ids"], record["frozen"], record["20w1s_to_mean_points"]) == ([runs[1]], True, 0.0)
    assert record["20w1s_percent"] == pytest.approx(90)
    assert r"\pm" in render(table, Format.LATEX)
    assert "20w1s" in render(table, Format.CSV).splitlines()[0]


def test_images_are_those_after_the_pre_training(filled: Filled) -> None:
    config = planned("matching-frozen").model_copy(update={"trained_by": None})
    (asked,) = enqueue_planned(filled.engine, [PlannedRun(config, "quick")], now=filled.tick())
    for run_id in (*asked.parents, asked.run_id):
        job = claim(filled.engine, "worker", now=filled.tick(), lease_seconds=60, only=[run_id], device="cpu")
        assert job is not None
        rows_of_run = [ResultRow("test/accuracy", 0.9, 0.004, 60)]
        finish(filled.engine, run_id, job.attempt, rows_of_run, now=filled.tick())
    table = equal_features_table(equal_features(filled.engine, "glyphs"))
    record = next(each for each in table.records if each["row"] == "matching-frozen")
    every = config.data.class_count("train") * config.data.images_per_class
    assert record["own_images"] == min(config.method.images_embedded(20, 1, config.method.steps), every)
    assert record["images_before"] == sum(map(images_embedded, prerequisites(config)))
    assert record["stages"] == list(asked.parents)
