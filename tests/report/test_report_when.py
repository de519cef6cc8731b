"""Where Fast/Slow helps: which pairs of runs the study asks for, and how they are found and shown."""

from pathlib import Path

import numpy as np
import pytest

from experiments.config import CnnNeighbourConfig, FastSlowConfig, ImageRun, prerequisites, training_run
from experiments.errors import ConfigError
from experiments.sweeps import PlannedRun, changed
from experiments.when import QUESTIONS, nearest_mean, plan_when
from fsrun.errors import UsageError
from fsrun.report.errors import NothingToReport
from fsrun.report.when import Pair, When, when, when_table
from store.jobs import JobStatus
from store.queue import Claim, finish
from store.results import ResultRow
from tests.report.report_cases import Filled, fill

TINY = ("alphabets=10", "characters=12", "pretrain.train_n_way=5", "pretrain.steps=100")

MANY = ("alphabets=20", "characters=40")


def planned(*settings: str, seeds: int = 1) -> list[PlannedRun]:
    return plan_when("glyphs", preset="quick", seeds=seeds, settings=(*TINY, *settings))


def image_run(run: PlannedRun) -> ImageRun:
    assert isinstance(run.config, ImageRun)
    return run.config


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def started(filled: Filled, run: PlannedRun) -> Claim:
    return filled.start(image_run(run).model_copy(update={"trained_by": None}), "quick")


def measure(filled: Filled, run: PlannedRun, value: float) -> int:
    job = started(filled, run)
    episodes = (value + 0.02 * (np.arange(60) % 3 - 1)).astype("<f4")
    row = ResultRow("val/accuracy", value, 0.004, len(episodes), episodes.tobytes())
    finish(filled.engine, job.run_id, job.attempt, [row], now=filled.tick())
    return job.run_id


def pair(found: When, question: str, option: str) -> Pair:
    return next(each for each in found.pairs if (each.question, each.option) == (question, option))


def test_each_run_of_fast_slow_has_its_nearest_mean_on_the_same_features_looks_and_episodes() -> None:
    runs = [image_run(each) for each in planned()]
    rivals = {
        (each.method.pretrain, each.evaluation): each
        for each in runs
        if isinstance(each.method, CnnNeighbourConfig) and each.method.test == "mean"
    }
    ours = [(each, each.method) for each in runs if isinstance(each.method, FastSlowConfig)]
    assert len(ours) == 13
    assert len(ours) + len(rivals) == len(runs)
    for run, method in ours:
        rival = rivals[method.pretrain, run.evaluation]
        assert prerequisites(rival) == prerequisites(training_run(run) or run)
        assert (method.views, method.quarter_turns, run.evaluation.looks.count) == (1, 1, 1)


def test_options_the_data_have_too_few_classes_for_are_left_out() -> None:
    few = {image_run(each).evaluation.n_way for each in planned()}
    many = {image_run(each).evaluation.n_way for each in planned(*MANY)}
    assert 300 not in few
    assert 300 in many


def test_many_classes_are_tested_on_fewer_episodes_and_by_the_model_of_the_base() -> None:
    runs = [image_run(each) for each in planned("episodes=80", *MANY)]
    ours = {each.evaluation.n_way: each for each in runs if each.trained_by is not None}
    assert {n_way: each.evaluation.episodes for n_way, each in ours.items()} == {
        5: 80,
        10: 80,
        20: 80,
        100: 50,
        300: 50,
    }
    assert len({str(training_run(each)) for each in ours.values()}) == 1


def test_a_list_of_values_and_other_data_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="inner_steps has 2 values: this study changes one base"):
        planned("inner_steps=1,2")
    with pytest.raises(ConfigError, match="unknown data of when 'synthetic': choose from glyphs"):
        plan_when("synthetic")


def test_nothing_is_reported_before_both_runs_of_a_pair_have_finished(filled: Filled) -> None:
    base = planned()[0]
    with pytest.raises(NothingToReport):
        when(filled.engine)
    measure(filled, base, 0.9)
    with pytest.raises(NothingToReport):
        when(filled.engine)


def test_a_difference_is_paired_and_called_above_only_where_its_interval_lies_above_zero(
    filled: Filled,
) -> None:
    ours, rival, *others = planned("n_way=5")
    measure(filled, ours, 0.9)
    measure(filled, rival, 0.7)
    five = next(each for each in others if image_run(each).evaluation.k_shot == 5)
    measure(filled, five, 0.9)
    found = when(filled.engine)
    base = pair(found, "Support images per class", "1")
    assert base.is_base
    assert base.ahead is not None
    assert base.ahead.mean == pytest.approx(20, abs=1e-4)
    assert base.verdict == "above"
    alone = pair(found, "Support images per class", "5")
    assert (alone.rival, alone.ahead, alone.verdict, alone.status) == (None, None, "", "not run")


def test_the_table_has_a_line_for_each_option_and_says_how_far_what_is_missing_is(filled: Filled) -> None:
    ours, rival, third, *_ = planned("n_way=5")
    runs = [measure(filled, ours, 0.8), measure(filled, rival, 0.8)]
    started(filled, third)
    table = when_table(when(filled.engine))
    assert len(table.rows) == len(table.records) == sum(len(each.options) for each in QUESTIONS) - 2
    first = next(record for record in table.records if record["is_base"])
    assert (first["verdict"], first["run_ids"]) == ("not told apart", runs)
    assert first["ahead_percent"] == pytest.approx(0)
    assert JobStatus.RUNNING.value in {record["status"] for record in table.records}


def test_a_base_can_be_named_and_must_be_a_finished_run(filled: Filled) -> None:
    ours, rival, *_ = planned("n_way=5")
    run = measure(filled, ours, 0.8)
    measure(filled, rival, 0.7)
    assert when(filled.engine, run_id=run).base.run_ids == (run,)
    with pytest.raises(UsageError, match="--run 99 is not a finished run of fastslow"):
        when(filled.engine, run_id=99)


@pytest.mark.parametrize(
    "changes",
    [{"method.pretrain": None}, {"evaluation.batch_norm": "queries"}],
    ids=["scratch", "statistics"],
)
def test_runs_without_a_nearest_mean_stand_in_no_pair_and_hinder_none(
    filled: Filled, changes: dict[str, object]
) -> None:
    ours, rival, *_ = planned("n_way=5")
    alone = changed(image_run(ours).model_copy(update={"trained_by": None}), changes)
    assert isinstance(alone, ImageRun)
    assert nearest_mean(alone) is None
    measure(filled, PlannedRun(alone, "quick"), 0.9)
    with pytest.raises(NothingToReport):
        when(filled.engine)
    run = measure(filled, ours, 0.8)
    measure(filled, rival, 0.7)
    assert when(filled.engine).base.run_ids == (run,)
