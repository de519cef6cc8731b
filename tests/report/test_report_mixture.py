"""One slow module against several on a mixture of inputs, and test tasks of another covariance."""

import json
from pathlib import Path

import pytest

from experiments.config import SyntheticRun
from fsrun.report.canvas import save
from fsrun.report.errors import NothingToReport
from fsrun.report.linear_reports import mixture_report, shift_report
from fsrun.report.mixture import mixture
from fsrun.report.pictures import draw_mixture, draw_shift
from fsrun.report.render import Format
from fsrun.report.report import written
from fsrun.report.shift import Place, shift
from tests.report.linear_cases import finished, linear_config
from tests.report.report_cases import Filled, fill

KINDS = ("single", "known", "inferred")
SHIFTS = {
    "loss_ratio_angle_15": 0.2,
    "loss_ratio_angle_90": 0.5,
    "loss_ratio_condition_2": 0.15,
}


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def mixed(kind: str, *, components: int = 2, seeds: int = 1, **method: object) -> SyntheticRun:
    return linear_config(
        seeds=seeds,
        data={"dimension": 4, "condition_number": 10, "components": components},
        method={"slow_modules": kind, "steps": 9000} | method,
    )


def shifted_run(filled: Filled, **method: object) -> int:
    config = linear_config(
        data={"dimension": 4, "condition_number": 10, "noise": 0.0},
        method={"name": "linear", "slow_lr": 0.02, "steps": 20_000} | method,
        evaluation={"angles": (15, 90), "condition_numbers": (2,)},
    )
    return finished(filled, config, results=SHIFTS)


def test_without_a_mixture_one_line_says_what_to_type(filled: Filled) -> None:
    run_id = finished(filled)
    with pytest.raises(NothingToReport, match="--set components=2"):
        mixture(filled.engine)
    with pytest.raises(NothingToReport, match=f"run {run_id} is not finished or"):
        mixture(filled.engine, run_id=run_id)


def test_the_newest_run_of_each_kind_on_the_same_mixture_is_compared(filled: Filled) -> None:
    finished(filled, mixed("known", components=3))
    finished(filled, mixed("single"))
    ids = [finished(filled, mixed(kind, seeds=seeds)) for kind, seeds in zip(KINDS, (1, 4, 1), strict=True)]
    found = mixture(filled.engine)
    assert [(arm.kind, arm.study.runs[0].id) for arm in found.arms] == list(zip(KINDS, ids, strict=True))


def test_a_named_run_picks_its_mixture_and_stands_for_its_kind(filled: Filled) -> None:
    older = finished(filled, mixed("known", components=3))
    finished(filled, mixed("known", components=3))
    finished(filled, mixed("single"))
    assert [arm.study.runs[0].id for arm in mixture(filled.engine, run_id=older).arms] == [older]


def test_one_slow_module_has_the_higher_floor(filled: Filled) -> None:
    for kind in KINDS:
        finished(filled, mixed(kind))
    floors = mixture(filled.engine).floors
    assert list(floors) == ["one W_s", "z known"]
    single, known = (each.loss_ratio_floor for each in floors.values())
    assert single is not None
    assert known is not None
    assert 1.2 * known < single


def test_kinds_that_were_not_run_are_named(filled: Filled) -> None:
    finished(filled, mixed("single"))
    text = written(mixture_report(filled.engine), Format.TEXT)
    assert "Not run yet on this mixture: slow_modules known and inferred." in text


def test_three_curves_are_told_apart_without_colour_in_80_columns(filled: Filled) -> None:
    for kind in KINDS:
        finished(filled, mixed(kind), results={"inference_accuracy": 0.975} if kind == "inferred" else None)
    text = written(mixture_report(filled.engine), Format.TEXT, width=80)
    assert text.count("* one W_s") == text.count("+ z known") == text.count("o z inferred") == 2
    assert "97.50 %" in text
    assert max(map(len, text.splitlines())) <= 80
    document = json.loads(written(mixture_report(filled.engine), Format.JSON))
    assert [row["slow_modules"] for row in document["rows"]] == list(KINDS)
    assert len(document["runs"]) == 3


def test_without_shifted_tasks_one_line_says_what_to_type(filled: Filled) -> None:
    run_id = finished(filled)
    with pytest.raises(NothingToReport, match=r"--set 'angles=\[10"):
        shift(filled.engine)
    with pytest.raises(NothingToReport, match=f"run {run_id} has met no shifted tasks"):
        shift(filled.engine, run_id=run_id)


def test_each_shift_is_measured_and_expected_in_order(filled: Filled) -> None:
    run_id = shifted_run(filled)
    finished(filled)
    found = shift(filled.engine)
    assert [run.id for run in found.study.runs] == [run_id]
    degrees, condition = found.kinds.values()
    assert [(place.at, place.measured.mean) for place in degrees] == [(15, 0.2), (90, 0.5)]
    assert [(place.at, place.measured.mean) for place in condition] == [(2, 0.15)]
    expected = [place.expected for place in (*degrees, *condition)]
    assert all(value is not None and value > 0.05 for value in expected)


def test_turning_by_180_degrees_changes_nothing_and_by_90_most(filled: Filled) -> None:
    turned = {f"loss_ratio_angle_{angle}": 0.2 for angle in (0, 45, 90, 180)}
    config = linear_config(
        data={"dimension": 4, "condition_number": 3}, method={"slow_lr": 0.02, "steps": 9000}
    )
    finished(filled, config, results=turned)
    (places,) = shift(filled.engine).kinds.values()
    by_angle = {place.at: place.expected or 0.0 for place in places}
    assert by_angle[0] == pytest.approx(by_angle[180])
    assert by_angle[0] < by_angle[45] < by_angle[90]


def test_what_has_no_closed_form_is_reported_without_expectation(filled: Filled) -> None:
    shifted_run(filled, inner_steps=2)
    places: list[Place] = [place for places in shift(filled.engine).kinds.values() for place in places]
    assert {place.expected for place in places} == {None}
    assert "No closed form here" in written(shift_report(filled.engine), Format.TEXT)


def test_shifts_are_written_in_every_format(filled: Filled) -> None:
    run_id = shifted_run(filled)
    text = written(shift_report(filled.engine), Format.TEXT, width=80)
    assert text.count("* measured") == 2
    assert max(map(len, text.splitlines())) <= 80
    assert written(shift_report(filled.engine), Format.CSV).count("\n") == 3
    assert json.loads(written(shift_report(filled.engine), Format.JSON))["runs"][0]["run_id"] == run_id
    assert "degrees turned" in written(shift_report(filled.engine), Format.MARKDOWN)


def test_both_become_pictures(filled: Filled, tmp_path: Path) -> None:
    for kind in KINDS:
        finished(filled, mixed(kind))
    shifted_run(filled)
    save(draw_mixture(mixture(filled.engine)), tmp_path / "mixture.png")
    save(draw_shift(shift(filled.engine)), tmp_path / "shift.svg")
    assert (tmp_path / "mixture.png").read_bytes().startswith(b"\x89PNG")
    assert b"degrees turned" in (tmp_path / "shift.svg").read_bytes()
