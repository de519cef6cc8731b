"""Ablations: which runs they ask for, and how the answers are found and shown."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from experiments.ablations import QUESTIONS, plan_ablations
from experiments.config import FastSlowConfig, ImageRun, RunConfig, config_hash, prerequisites
from experiments.errors import ConfigError
from experiments.sweeps import PlannedRun, changed
from fsrun.errors import UsageError
from fsrun.planning import requests
from fsrun.report.ablations import Ablations, Answer, ablations, ablations_table
from fsrun.report.errors import NothingToReport
from fsrun.report.render import Format, render
from fsrun.worker.runner import execute
from store.jobs import JobStatus
from store.queue import fail
from store.runs import enqueue
from tests.cli.cli_cases import Case
from tests.report.report_cases import Filled, fill
from tests.worker.worker_cases import never, take

TINY = (
    *("alphabets=10", "characters=12", "rotations=false", "n_way=3", "episodes=6", "n_query=2"),
    *("steps=2", "train_n_way=3", "views=1", "pretrain.filters=4", "pretrain.steps=2"),
    *("pretrain.train_n_way=5", "validate_every=0", "pretrain.validate_every=0"),
)


def planned(*settings: str, seeds: int = 1) -> list[PlannedRun]:
    return plan_ablations("glyphs", preset="quick", seeds=seeds, settings=(*TINY, *settings))


def method(config: RunConfig) -> FastSlowConfig:
    assert isinstance(config, ImageRun)
    assert isinstance(config.method, FastSlowConfig)
    return config.method


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory, glyphs_data_dir: Path) -> Case:
    """A home in which every run of the ablations was really carried out."""
    home = Case(tmp_path_factory.mktemp("ablations"))
    home.data.symlink_to(glyphs_data_dir)
    enqueue(home.engine(), requests(planned()), now=1.0, provenance={})
    while JobStatus.QUEUED in home.statuses():
        taken = take(home)
        execute(home.engine(), home, taken.run_id, taken.attempt, "cpu", never)
    return home


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def answer(found: Ablations, question: str, option: str) -> Answer:
    return next(each for each in found.answers[question] if each.title == option)


def measure(filled: Filled, run: PlannedRun, value: float = 0.9) -> int:
    return filled.end(filled.start(run.config, "quick"), value, name="val/accuracy")


def test_each_run_changes_the_base_in_what_its_purpose_says_and_all_share_one_pre_training() -> None:
    base, *others = planned()
    assert len(others) == 15
    assert len({config_hash(each.config) for each in others}) == 15
    titles = {f"{each.title}: {option.title}": option for each in QUESTIONS for option in each.options}
    for each in others:
        assert each.config == changed(base.config, titles[each.purpose].sets) != base.config
    pretrainings = {prerequisites(each.config) for each in (base, *others) if method(each.config).pretrain}
    assert len(pretrainings) == 1
    assert [each.purpose for each in others if not prerequisites(each.config)] == [
        "Pre-training of theta': none"
    ]


def test_ablations_are_measured_on_validation_classes_unless_asked_otherwise() -> None:
    for settings, split in (((), "val"), (("split=test",), "test")):
        assert {each.config.evaluation.split for each in planned(*settings)} == {split}


def test_settings_and_seeds_change_the_base_and_with_it_every_run() -> None:
    runs = planned("hidden_size=7", "inner_steps=5", seeds=2)
    assert {method(each.config).hidden_size for each in runs} == {7}
    assert sorted(method(each.config).inner_steps for each in runs if "Inner" in each.purpose) == sorted(
        [1, 2, 10, 20] * 2
    )
    assert [each.config.seed for each in runs[:2]] == [0, 1]
    assert [each.purpose for each in runs[:2]] == ["Base"] * 2


def test_a_list_of_values_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="slow_lr has 2 values: ablations change one base"):
        planned("slow_lr=0.1,0.2")
    with pytest.raises(ConfigError, match="unknown data of ablations 'synthetic': choose from glyphs"):
        plan_ablations("synthetic")


def test_every_question_is_answered_beside_the_same_base(carried_out: Case) -> None:
    found = ablations(carried_out.engine())
    assert list(found.answers) == [question.title for question in QUESTIONS]
    assert all(each.measured for answers in found.answers.values() for each in answers)
    for answers in found.answers.values():
        (base,) = (each for each in answers if each.is_base)
        assert base.measured == found.base
        assert base.ahead is None
    assert found.base.run_ids == (2,)  # after the pre-training
    ways = [each.title for each in found.answers["Inner steps m"]]
    assert ways == ["1", "2", "5", "10", "20"]
    assert answer(found, "Pre-training of theta'", "as in the base").is_base


def test_a_difference_is_that_of_the_means_over_the_same_episodes(carried_out: Case) -> None:
    found = ablations(carried_out.engine())
    apart = []
    for each in (each for answers in found.answers.values() for each in answers if not each.is_base):
        assert each.measured is not None
        assert each.ahead is not None
        assert each.ahead.mean == pytest.approx(each.measured.mean - found.base.mean, abs=1e-4)
        assert each.ahead.episodes == 6
        apart.append(each.ahead.mean)
    assert any(apart)


def test_training_takes_part_of_the_time_of_a_run(carried_out: Case) -> None:
    found = ablations(carried_out.engine())
    for each in (each for answers in found.answers.values() for each in answers):
        assert each.measured is not None
        (run,) = each.measured.runs
        assert each.train_seconds is not None
        assert 0 < each.train_seconds < run.seconds


def test_the_options_of_sgd_really_took_one_step_and_ten(carried_out: Case) -> None:
    found = ablations(carried_out.engine())
    for title, steps in (("SGD, 1 step", 1), ("SGD, 10 steps", 10)):
        measured = answer(found, "Fast learner g", title).measured
        assert measured is not None
        config = json.loads(measured.runs[0].config)["method"]
        assert (config["fast_learner"], config["inner_steps"]) == ("sgd", steps)


def test_text_names_each_question_once_and_marks_the_base(carried_out: Case) -> None:
    table = ablations_table(ablations(carried_out.engine()))
    lines = render(table, Format.TEXT, width=100).splitlines()
    assert lines[0] == (
        "Fast/Slow, one thing changed at a time: glyphs 3-way 1-shot accuracy on val classes, %"
    )
    assert max(map(len, lines)) <= 100
    for question in QUESTIONS:
        assert sum(line.startswith(f"{question.title}  ") for line in lines) == 1
    assert sum("(base)" in line or "as in the base" in line for line in lines) == len(QUESTIONS)
    assert "| Slow learner | none: theta' frozen |" in render(table, Format.MARKDOWN)


def test_csv_and_json_carry_every_answer_with_its_runs(carried_out: Case) -> None:
    table = ablations_table(ablations(carried_out.engine()))
    rows = list(csv.DictReader(StringIO(render(table, Format.CSV))))
    assert len(rows) == 21
    assert {row["question"] for row in rows} == {question.title for question in QUESTIONS}
    records = json.loads(render(table, Format.JSON))["rows"]
    assert len(records) == 21
    for record in records:
        (run,) = record["runs"].values()
        assert run["config"]["method"]["name"] == "fastslow"
        assert run["run_id"] in record["run_ids"]


def test_another_base_is_taken_by_the_number_of_its_run(carried_out: Case) -> None:
    ten = answer(ablations(carried_out.engine()), "Fast learner g", "SGD, 10 steps").measured
    assert ten is not None
    found = ablations(carried_out.engine(), run_id=ten.run_ids[0])
    assert found.base.run_ids == ten.run_ids
    assert answer(found, "Fast learner g", "SGD, 1 step").measured is not None
    assert answer(found, "Inner steps m", "20").status == "not run"  # with SGD nobody has
    with pytest.raises(UsageError, match="--run 1 is not a finished run of fastslow"):
        ablations(carried_out.engine(), run_id=1)


def test_the_base_is_the_run_that_most_others_differ_from_not_the_newest(filled: Filled) -> None:
    runs = planned()
    ids = [measure(filled, run) for run in runs[:4]]
    measure(filled, planned("hidden_size=7")[0])
    found = ablations(filled.engine)
    assert found.base.run_ids == (ids[0],)


def test_a_run_of_one_option_alone_has_itself_for_a_base(filled: Filled) -> None:
    run_id = measure(filled, planned()[0])
    assert ablations(filled.engine).base.run_ids == (run_id,)


def test_seeds_are_one_answer(filled: Filled) -> None:
    runs = planned(seeds=2)
    ids = [measure(filled, run, 0.8 + 0.1 * run.config.seed) for run in runs[:4]]
    found = ablations(filled.engine)
    assert found.base.run_ids == tuple(ids[:2])
    assert answer(found, "Fast learner g", "SGD, 1 step").measured is not None
    assert found.base.mean == pytest.approx(85)


def test_what_has_not_finished_says_how_far_it_is(filled: Filled) -> None:
    runs = {run.purpose: run for run in planned()}
    measure(filled, runs["Base"])
    job = filled.start(runs["Slow rate delta: 0.2"].config, "quick")
    fail(filled.engine, job.run_id, job.attempt, "train/loss was nan", now=filled.tick())
    filled.queue(runs["Slow rate delta: 0.02"].config, "quick")
    found = ablations(filled.engine)
    statuses = [each.status for each in found.answers["Slow rate delta"]]
    assert statuses == ["not run", "not run", "done", "queued", "failed"]
    text = render(ablations_table(found), Format.TEXT, width=100)
    assert "For what is not run: `fsrun queue ablations`" in text


def test_without_any_run_the_command_that_makes_some_is_named(filled: Filled) -> None:
    with pytest.raises(NothingToReport, match="fsrun queue ablations --preset quick"):
        ablations(filled.engine)
