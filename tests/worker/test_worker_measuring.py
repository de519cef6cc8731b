"""Runs that only measure what another run has trained."""

import time
from pathlib import Path
from typing import Any

import torch

from experiments.checkpoint import load_checkpoint
from experiments.config import config_from_json
from experiments.method import Resources, build
from fsrun.provenance import PARAMETERS, PEAK_BYTES, PROCESSOR_SECONDS, SECONDS_PER_EPISODE
from fsrun.worker.runner import execute
from store.jobs import JobStatus
from store.queue import claim
from store.runs import RunRecord
from tests.cli.cli_cases import Case
from tests.worker.worker_cases import ask, never, take

SMALL: dict[str, list[Any]] = {
    "alphabets": [10],
    "characters": [12],
    "episodes": [20],
    "filters": [8],
    "train_n_way": [5],
    "steps": [3],
}


def carry_out_everything(home: Case) -> list[RunRecord]:
    while JobStatus.QUEUED in home.statuses():
        taken = take(home)
        execute(home.engine(), home, taken.run_id, taken.attempt, "cpu", never)
    return [home.run(number) for number in range(1, len(home.statuses()) + 1)]


def measured_directly(home: Case, run: RunRecord, training: RunRecord) -> float:
    """Return what the trained method itself would measure on the episodes of a run."""
    config = config_from_json(run.spec.config)
    trained = build(config.model_copy(update={"trained_by": None}), Resources(home.data, torch.device("cpu")))
    trained.load_state_dict(load_checkpoint(home.checkpoints / training.checkpoints[0].path)[1])
    return float(trained.evaluate("test", range(config.evaluation.episodes))["accuracy"].mean())


def test_one_model_is_trained_and_measured_for_each_number_of_classes(
    home: Case, glyphs_data_dir: Path
) -> None:
    home.data.symlink_to(glyphs_data_dir)
    asked = ask(home, "glyphs", "protonet", SMALL | {"n_way": [5, 96]})
    runs = carry_out_everything(home)
    assert [run.status for run in runs] == [JobStatus.DONE] * 3
    training, *measuring = runs
    assert [run.id for run in measuring] == asked
    assert [run.step for run in runs] == [3, 0, 0]
    assert {run.spec.method for run in runs} == {"protonet"}
    for run in measuring:
        assert run.results[0].value == measured_directly(home, run, training)
        assert run.results[0].episodes == 20
    assert measuring[0].results[0].value > measuring[1].results[0].value  # of 96 classes it is harder


def test_one_classifier_is_trained_and_tested_in_each_of_its_ways(home: Case, glyphs_data_dir: Path) -> None:
    home.data.symlink_to(glyphs_data_dir)
    small = {name: values for name, values in SMALL.items() if name != "train_n_way"}
    ask(home, "glyphs", "cnn", small | {"n_way": [5], "test": ["nearest", "linear", "fine-tune"]})
    training, *measuring = carry_out_everything(home)
    assert [run.error for run in measuring] == [None] * 3
    assert [run.parents for run in measuring] == [(training.id,)] * 3
    assert [run.step for run in measuring] == [0] * 3
    values = [run.results[0].value for run in measuring]
    assert values == [measured_directly(home, run, training) for run in measuring]
    assert len(set(values)) > 1


def test_a_model_that_started_from_a_pre_training_is_measured_without_it(
    home: Case, glyphs_data_dir: Path
) -> None:
    home.data.symlink_to(glyphs_data_dir)
    few: dict[str, list[Any]] = {"pretrain.steps": [2], "fastslow.steps": [2], "inner_steps": [2]}
    small = {name: values for name, values in SMALL.items() if name not in ("steps", "train_n_way")}
    ask(home, "glyphs", "fastslow", small | few | {"n_way": [5, 20]})
    pretraining, training, *measuring = carry_out_everything(home)
    assert [run.error for run in measuring] == [None, None]
    assert [run.parents for run in measuring] == [(training.id,)] * 2
    assert training.parents == (pretraining.id,)
    assert all(run.results[0].value > 1 / (run.spec.n_way or 1) for run in measuring)


def test_a_measuring_run_waits_for_the_training(home: Case, glyphs_data_dir: Path) -> None:
    home.data.symlink_to(glyphs_data_dir)
    ask(home, "glyphs", "protonet", SMALL | {"n_way": [5, 10]})
    training = take(home)
    assert home.run(training.run_id).spec.total_steps == 3
    assert claim(home.engine(), "another", now=time.time(), lease_seconds=60) is None


def test_what_an_evaluation_cost_is_told_but_is_no_result(home: Case, glyphs_data_dir: Path) -> None:
    home.data.symlink_to(glyphs_data_dir)
    ask(home, "glyphs", "protonet", SMALL)
    (run,) = carry_out_everything(home)
    facts = run.attempts[-1].provenance
    assert 0 < float(facts[SECONDS_PER_EPISODE]) < 10
    assert 0 < float(facts[PROCESSOR_SECONDS]) < 60
    assert int(facts.get(PEAK_BYTES, 1)) > 0
    filters = SMALL["filters"][0]
    first, later = (
        9 * inputs * filters + 3 * filters for inputs in (1, filters)
    )  # kernels, bias, normalisation
    assert int(facts[PARAMETERS]) == first + 3 * later
    assert [row.name for row in run.results] == ["test/accuracy"]
    assert not any("second" in name for name in home.numbers(run.id)[1])
