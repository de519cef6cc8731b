"""Validation curves behind the rows of Table 2, from stored runs."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.budgets import images_embedded
from experiments.config import ImageRun, RunConfig, config_hash, prerequisites
from experiments.sweeps import PlannedRun
from experiments.table2 import LOOKED_AT, LOOKS, plan_curves, plan_table2, with_curve
from fsrun.planning import enqueue_planned
from fsrun.provenance import PROCESSES, PROCESSOR_SECONDS, THREADS
from fsrun.report.render import Format, render
from fsrun.report.rows import Cell, rows
from fsrun.report.table2 import table2
from fsrun.report.trainings import core_seconds_of
from fsrun.report.validation import recipe, still_rising
from store.jobs import add_provenance
from store.queue import claim
from tests.report.report_cases import Filled, config_of, fill

FLAT = [0.90, 0.92, 0.91, 0.93, 0.92, 0.91, 0.93, 0.92]
RISING = [0.50, 0.60, 0.70, 0.75, 0.80, 0.805, 0.85, 0.855]


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def train(filled: Filled, config: RunConfig, curve: Sequence[float], value: float = 0.9) -> int:
    """Carry out a run that is looked at on validation classes at equal distances."""
    job = filled.start(config)
    add_provenance(filled.engine, job.run_id, job.attempt, {THREADS: "2"})
    every = config.method.steps // max(len(curve), 1)
    if curve:
        filled.report(job, range(every, every * len(curve) + 1, every), {"val/accuracy": curve})
    return filled.end(job, value)


def image_run(method: str = "protonet", preset: str = "cpu", **settings: Sequence[object]) -> ImageRun:
    config = config_of("omniglot", method, preset=preset, settings=settings)
    assert isinstance(config, ImageRun)
    return config


def cell_of(filled: Filled, name: str = "protonet") -> Cell:
    return next(row.main for row in rows(filled.engine) if row.name == name)


@pytest.mark.parametrize(
    ("curve", "answer"),
    [
        (FLAT, False),
        (RISING, True),
        (RISING[::-1], False),
        ([0.9] * 8, False),
        (RISING[:7], None),
        ([], None),
    ],
)
def test_a_curve_rises_where_its_last_quarter_is_above_the_one_before(
    curve: list[float], answer: bool | None
) -> None:
    assert still_rising(curve) is answer


def test_noise_alone_is_seldom_called_rising() -> None:
    source = random.Random(0)
    called = sum(bool(still_rising([source.gauss(0.9, 0.01) for _ in range(20)])) for _ in range(2000))
    assert called / 2000 < 0.05


def test_a_cell_whose_training_was_still_rising_is_marked_and_the_mark_is_told(filled: Filled) -> None:
    train(filled, image_run(), RISING)
    text = render(table2(filled.engine), Format.TEXT, width=120)
    line = next(line for line in text.splitlines() if line.startswith("Prototypical"))
    assert "90.00 ± 0.40↑" in line
    assert "↑ accuracy on validation classes was still rising" in text
    assert "No validation curve" not in text


def test_a_cell_whose_training_stood_still_is_not_marked(filled: Filled) -> None:
    train(filled, image_run(), FLAT)
    assert "↑" not in render(table2(filled.engine), Format.TEXT, width=120)


def test_a_curve_goes_by_images_and_is_the_mean_of_the_seeds(filled: Filled) -> None:
    first, second = image_run(), image_run().model_copy(update={"seed": 1})
    runs = (train(filled, first, FLAT), train(filled, second, RISING))
    curve = cell_of(filled).validation
    assert curve is not None
    assert curve.run_ids == runs
    assert curve.accuracy == pytest.approx([50 * (a + b) for a, b in zip(FLAT, RISING, strict=True)])
    every = first.method.steps // 8
    assert curve.images == tuple(images_embedded(first, every * place) for place in range(1, 9))
    assert curve.images[-1] == 5000 * 60 * 6  # steps, classes, images of each
    assert (curve.shape, curve.own) == ((20, 1), True)


def test_a_curve_of_fast_slow_begins_with_its_pre_training(filled: Filled) -> None:
    config = image_run("fastslow")
    (before,) = prerequisites(config)
    job = filled.start(before)
    filled.report(job, (6000, 12_000), {"val/accuracy": (0.8, 0.9)})
    filled.end(job, 0.9, name="val/accuracy")
    # the run itself starts from the pre-training that is there
    enqueue_planned(filled.engine, [PlannedRun(config, "cpu")], now=filled.tick())
    taken = claim(filled.engine, "worker", now=filled.tick(), lease_seconds=60, device="cpu")
    assert taken is not None
    filled.report(taken, (300,), {"val/accuracy": (0.95,)})
    filled.end(taken, 0.96)
    cell = cell_of(filled, "fastslow")
    assert cell.validation is not None
    assert cell.training is not None
    pretrained = 12_000 * 180
    assert cell.validation.images == (pretrained // 2, pretrained, pretrained + 300 * 10 * 20 * 2)
    assert cell.validation.accuracy == pytest.approx((80, 90, 95))
    assert (cell.training.images, cell.training.images_before) == (pretrained + 120_000, pretrained)


def test_core_minutes_are_the_time_times_the_threads(filled: Filled) -> None:
    train(filled, image_run(), [])
    training = cell_of(filled).training
    assert training is not None
    assert training.core_seconds == 2 * training.seconds == 40 - 20
    record = next(each for each in table2(filled.engine).records if each["row"] == "protonet")
    assert record["20w1s_core_minutes"] == pytest.approx(20 / 60)
    assert record["20w1s_images"] == 1_800_000


def test_a_core_is_had_as_long_as_the_processor_says_else_for_all_the_time_of_each_thread() -> None:
    facts = {THREADS: "3", PROCESSES: "2 on cpu", "processor": "AMD EPYC, 8 cores"}
    assert core_seconds_of(10, "cpu", json.dumps(facts | {PROCESSOR_SECONDS: "7.5"})) == 15
    assert core_seconds_of(10, "cpu", json.dumps(facts)) == 60
    assert core_seconds_of(10, "cpu", json.dumps({"processor": facts["processor"]})) == 80
    assert core_seconds_of(10, "cpu", "{}") is None
    assert core_seconds_of(10, "cuda:0", json.dumps(facts)) is None


# ------------------------------------------------------------ recipes that learn from validation classes


def test_a_recipe_that_learns_from_validation_classes_has_the_curve_of_a_run_that_does_not(
    filled: Filled,
) -> None:
    config = image_run(preset="fair")
    train(filled, config, [])
    assert cell_of(filled).validation is None
    assert "No validation curve: Prototypical Net; `fsrun queue curves`" in render(
        table2(filled.engine).detailed(), Format.TEXT, width=120
    )
    curve_run = with_curve(config)
    assert curve_run.data.class_count("val") > 0 == config.data.class_count("val")
    assert (curve_run.method.validate_every, curve_run.method.validate_episodes) == (8000 // LOOKS, LOOKED_AT)
    assert recipe(curve_run) == recipe(config)
    run_id = filled.start(curve_run)
    filled.report(run_id, range(1000, 8001, 1000), {"val/accuracy": RISING})
    filled.end(run_id, 0.9, name="val/accuracy")
    curve = cell_of(filled).validation
    assert curve is not None
    assert (curve.run_ids, curve.own, curve.rising) == ((run_id.run_id,), False, True)


def test_another_recipe_lends_no_curve(filled: Filled) -> None:
    train(filled, image_run(preset="fair"), [])
    other = filled.start(with_curve(image_run(preset="fair", lr=[0.5])))
    filled.report(other, range(1000, 8001, 1000), {"val/accuracy": RISING})
    filled.end(other, 0.9, name="val/accuracy")
    assert cell_of(filled).validation is None


def test_the_study_has_one_run_for_each_training_of_the_main_column() -> None:
    planned = plan_curves("omniglot", preset="fair")
    hashes = [config_hash(each.config) for each in planned]
    assert len(hashes) == len(set(hashes))
    table = {recipe(each.config) for each in plan_table2(preset="fair") if isinstance(each.config, ImageRun)}
    for each in planned:
        assert isinstance(each.config, ImageRun)
        assert each.config.data.class_count("val")
        assert each.config.evaluation.split == "val"
        assert recipe(each.config) in table
    methods = [each.config.method.name for each in planned]
    assert methods.count("cnn") == 1  # three ways to test the same training
    tests = [each.config for each in planned if isinstance(each.config, ImageRun)]
    assert {each.evaluation.n_way for each in tests if each.method.name == "protonet"} == {20}
