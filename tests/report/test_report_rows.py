"""A row of Table 2: which runs stand in its cells, where they were trained, how far it is from Fast/Slow."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.errors import ConfigError
from experiments.sweeps import PlannedRun, Sweep, plan
from fsrun.planning import requests
from fsrun.provenance import PARAMETERS
from fsrun.report.explained import explained
from fsrun.report.render import Format, render
from fsrun.report.rows import Cell, Table2Row, rows
from fsrun.report.table2 import table2
from store.jobs import add_provenance
from store.queue import claim, finish
from store.results import ResultRow
from store.runs import enqueue
from tests.report.report_cases import ONE_LOOK, Filled, fill

Values = Callable[[int, int], list[float]]  # of the episodes, by ways and shots


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def always(*values: float) -> Values:
    return lambda n_way, k_shot: list(values)


def carry_out(
    filled: Filled, planned: list[PlannedRun], values: Values, *, extra: dict[str, float] | None = None
) -> list[int]:
    """Queue runs with all they start from and end them as a worker would, each after ten seconds."""
    enqueue(filled.engine, requests(planned), now=filled.tick(), provenance={})
    done = []
    while taken := claim(filled.engine, "worker", now=filled.tick(), lease_seconds=60):
        evaluation = json.loads(taken.config)["evaluation"]
        numbers = np.array(values(evaluation["n_way"], evaluation["k_shot"]), dtype="<f4")
        name = f"{evaluation['split']}/accuracy"
        measured = [ResultRow(name, float(numbers.mean()), 0.01, len(numbers), numbers.tobytes())]
        measured += [ResultRow(f"test/{each}", value, 0.01, 4) for each, value in (extra or {}).items()]
        add_provenance(filled.engine, taken.run_id, taken.attempt, {PARAMETERS: "111936"})
        finish(filled.engine, taken.run_id, taken.attempt, measured, now=filled.tick())
        done.append(taken.run_id)
    return done


def sweep(method: str, preset: str = "cpu", **asked: Any) -> list[PlannedRun]:
    if method == "fastslow":
        asked = {"settings": ONE_LOOK, **asked}
    return plan(Sweep("omniglot", (method,), preset, **asked))


def row(filled: Filled, name: str) -> Table2Row:
    return next(each for each in rows(filled.engine) if each.name == name)


def cell(filled: Filled, name: str, shape: tuple[int, int]) -> Cell:
    return next(each for each in row(filled, name).cells if each.shape == shape)


def test_runs_that_only_measure_show_the_run_that_trained_and_its_time(filled: Filled) -> None:
    trained, *measuring = carry_out(filled, sweep("cnn", n_way=(5, 20), k_shot=(1, 5)), always(0.9, 0.8))
    trainings = [each.training for each in row(filled, "cnn").cells]
    assert len(measuring) == 4
    assert len(set(trainings)) == 1
    training = trainings[0]
    assert training is not None
    assert (training.run_ids, training.stages) == ((trained,), ())
    assert (training.seconds, training.parameters) == (10.0, 111_936)
    line = next(x for x in render(table2(filled.engine), Format.TEXT, width=300).splitlines() if "CNN" in x)
    told = " ".join(line.split())
    assert "28.8 not run 416k 85.00 ± 1.00 " in told  # no threads were kept, so no core minutes
    assert told.endswith("2-5 cpu 111,936 85.0, 1-NN 1 2")


def test_the_time_of_fastslow_counts_its_pre_training(filled: Filled) -> None:
    stage, trained, *_ = carry_out(filled, sweep("fastslow", n_way=(5, 20)), always(0.9, 0.8))
    training = row(filled, "fastslow").main.training
    assert training is not None
    assert (training.run_ids, training.stages, training.seconds) == ((trained,), (stage,), 20.0)


def test_the_way_to_fastslow_is_over_the_same_numbered_episodes(filled: Filled) -> None:
    carry_out(filled, sweep("fastslow"), always(0.9, 0.8, 0.7))
    carry_out(filled, sweep("protonet"), always(0.8, 0.75, 0.6))
    behind = cell(filled, "protonet", (20, 1)).behind
    assert behind is not None
    assert behind.mean == pytest.approx(100 * (-0.1 - 0.05 - 0.1) / 3, abs=1e-4)
    assert behind.interval == pytest.approx(
        100 * 1.96 * np.std([0.1, 0.05, 0.1], ddof=1) / np.sqrt(3), abs=1e-3
    )
    assert cell(filled, "fastslow", (20, 1)).behind is None
    assert cell(filled, "protonet", (5, 1)).behind is None


def test_other_numbered_episodes_are_not_compared(filled: Filled) -> None:
    carry_out(filled, sweep("fastslow"), always(0.9, 0.8))
    carry_out(filled, sweep("protonet", settings={"evaluation.seed": [1]}), always(0.8, 0.7))
    assert cell(filled, "protonet", (20, 1)).measured is not None
    assert cell(filled, "protonet", (20, 1)).behind is None


def test_two_distances_are_two_rows_and_neither_is_a_changed_preset(filled: Filled) -> None:
    carry_out(filled, sweep("pixel-knn"), always(0.26, 0.28))
    carry_out(filled, sweep("pixel-knn", settings={"distance": ["cosine"]}), always(0.31, 0.33))
    plain, cosine = row(filled, "pixel-knn").measured, row(filled, "pixel-knn-cosine").measured
    assert plain is not None
    assert cosine is not None
    assert (round(plain.mean), round(cosine.mean)) == (27, 32)
    assert plain.differences == cosine.differences == ()
    assert row(filled, "pixel-knn").main.training is None


def test_manns_two_numbers_stand_beside_an_honest_20_way(filled: Filled) -> None:
    sequences = sweep("mann", n_way=(5,), settings={"training": ["sequences"]})
    by_presentation = {"first_presentation": 0.354, "second_presentation": 0.831}
    carry_out(filled, sequences, always(0.8, 0.9), extra=by_presentation)
    assert row(filled, "mann").measured is None
    (run_id,) = carry_out(filled, sweep("mann"), always(0.6, 0.7))
    told = " ".join(explained("mann", filled.engine))
    assert "MANN, sequences: among 5 classes 35.40 ± 1.00 on the first image of a class" in told
    assert "(its source: 36.4), 83.10 ± 1.00 on the second (82.8)" in told
    assert "20-way 1-shot, as the other rows: 65.00 ± 1.00." in told
    assert f"Measured here: MANN: 20w1s 65.00 ± 1.00 % (run {run_id}, preset cpu, trained in" in told
    assert explained("mann-sequences", filled.engine) == explained("mann", filled.engine)
    (record,) = (each for each in table2(filled.engine).records if each["row"] == "mann-sequences")
    assert record["first_presentation_percent"] == pytest.approx(35.4)


def test_a_story_needs_no_database_and_an_unknown_row_is_refused() -> None:
    assert explained("siamese", None)[0] == "Siamese in Table 2"
    with pytest.raises(ConfigError, match="did you mean 'pixel-knn-cosine'"):
        explained("pixel-knn-cosin", None)


def test_every_format_carries_every_measured_number(filled: Filled) -> None:
    carry_out(
        filled, sweep("fastslow", n_way=(5, 20), k_shot=(1, 5)), lambda n, k: [0.9 - n / 100, 0.8 + k / 100]
    )
    carry_out(filled, sweep("cnn", n_way=(5, 20), k_shot=(1, 5)), lambda n, k: [0.7 - n / 100, 0.6 + k / 100])
    table = table2(filled.engine)
    forms = {form: render(table, form, width=240) for form in Format}
    for form in (Format.TEXT, Format.MARKDOWN):
        for shape in ((5, 1), (5, 5), (20, 1), (20, 5)):
            ours = cell(filled, "cnn", shape)
            assert ours.measured is not None
            assert ours.behind is not None
            assert f"{ours.measured.mean:.2f} ± 1.00" in forms[form]
            assert f"{ours.behind.mean:+.2f} ± {ours.behind.interval:.2f}" in forms[form]
    names = ("percent", "interval", "to_fastslow_points", "train_seconds", "parameters", "preset", "run_ids")
    for field in (f"{shape}_{name}" for name in names for shape in ("5w1s", "5w5s", "20w1s", "20w5s")):
        assert field in forms[Format.CSV].splitlines()[0].split(",")
        assert f'"{field}"' in forms[Format.JSON]
