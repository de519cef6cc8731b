"""The table of formulas: as printed, corrected, measured."""

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from fsrun.report.errors import NothingToReport
from fsrun.report.linear_reports import theory_report
from fsrun.report.render import Format
from fsrun.report.report import written
from fsrun.report.theory import coefficients, theory
from tests.report.linear_cases import RESULTS, finished, linear_config, start
from tests.report.report_cases import Filled, fill


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def row_of(filled: Filled, quantity: str, **how: int) -> dict[str, float]:
    (row,) = [row for row in theory(filled.engine, **how).records if row["quantity"].startswith(quantity)]
    return dict(row)


def test_nothing_run_yet_is_said_in_one_line(filled: Filled) -> None:
    with pytest.raises(NothingToReport, match="fsrun run synthetic"):
        theory(filled.engine)


def test_the_mean_eigenvalue_is_that_of_each_formula_by_hand(filled: Filled) -> None:
    # Sigma = A = I, d = 10: printed S^-1 = 0.2 (101 + 20.01) I, corrected S^-1 = 0.002 (101 + 10.01) I.
    finished(filled)
    row = row_of(filled, "η S Σ")
    assert row["printed"] == pytest.approx(1 / (101 + 20.01))
    assert row["corrected"] == pytest.approx(100 / (101 + 10.01))
    assert [row["measured"], row["interval"]] == pytest.approx([0.9, 0.05])


@pytest.mark.parametrize(
    ("quantity", "printed", "corrected", "name"),
    [
        ("L1/L0", 0.0, 0.10008, "loss_ratio"),
        ("‖S - Σ⁻¹/η‖²", 0.0, 2.4592, "frobenius"),
        ("|W_f W_s", 0.0, 0.099180, "one_step_error"),
        ("cosine", 1.0, 0.957781, "gradient_cosine"),
        ("‖S - S*‖²/‖S*‖², S* corrected", None, 0.0, "fixed_point_error"),
        ("‖S - S*‖²/‖S*‖², S* as printed", 0.0, None, "printed_error"),
    ],
)
def test_each_quantity_has_the_papers_the_corrected_and_the_measured_value(
    filled: Filled, quantity: str, printed: float | None, corrected: float | None, name: str
) -> None:
    finished(filled)
    row = row_of(filled, quantity)
    assert row["printed"] == printed
    assert row["corrected"] == (None if corrected is None else pytest.approx(corrected, rel=1e-4))
    assert row["measured"] == RESULTS[name]
    assert row["interval"] == pytest.approx(0.0046 * RESULTS[name])


def test_lemma_3_is_simulated_close_enough_to_tell_the_formulas_apart(filled: Filled) -> None:
    sigma = np.array([[2.0, 0.7], [0.7, 0.5]])
    for printed, corrected, simulated, half in coefficients(sigma, 20).values():
        assert abs(simulated - corrected) < 2 * half
        assert abs(simulated - printed) > 10 * half


def test_every_row_names_its_run_or_that_it_is_simulated(filled: Filled) -> None:
    finished(filled, linear_config(data={"noise": 0.3}))
    named = finished(filled)
    finished(filled, linear_config(data={"noise": 0.5}))
    rows = theory(filled.engine, run_id=named).records
    assert {row["by"] for row in rows} == {str(named), "simulated"}
    assert all(row["run_ids"] == [named] for row in rows)


def test_a_run_that_goes_on_leaves_gaps_and_says_so(filled: Filled) -> None:
    job = start(filled)
    text = written(theory_report(filled.engine), Format.TEXT, width=120)
    assert f"Run {job.run_id} has not finished" in text
    assert json.loads(written(theory_report(filled.engine), Format.JSON))["runs"] == []


def test_a_learned_optimiser_has_no_corrected_formula(filled: Filled) -> None:
    finished(filled, linear_config(method={"name": "linear", "fast_learner": "lstm"}))
    assert row_of(filled, "L1/L0")["corrected"] is None
    assert "No closed form for a learned optimiser" in written(theory_report(filled.engine), Format.TEXT)


def test_all_formats_hold_all_rows(filled: Filled) -> None:
    run_id = finished(filled)
    count = len(theory(filled.engine).records)
    assert (
        len(list(csv.DictReader(StringIO(written(theory_report(filled.engine), Format.CSV))))) == count == 9
    )
    document = json.loads(written(theory_report(filled.engine), Format.JSON))
    assert (len(document["rows"]), document["runs"][0]["run_id"]) == (count, run_id)
    assert document["config"]["data"]["dimension"] == 10
    markdown = written(theory_report(filled.engine), Format.MARKDOWN)
    assert sum(line.startswith("| ") for line in markdown.splitlines()) == count + 2
    text = written(theory_report(filled.engine), Format.TEXT, width=120)
    assert "10099" in text
    assert max(map(len, text.splitlines())) <= 124  # combining bars count twice
