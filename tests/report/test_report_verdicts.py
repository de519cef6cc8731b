"""Each claim of the paper can hold, hold with a correction, or not hold: the stored numbers decide."""

from pathlib import Path

import pytest

from experiments.config import SyntheticRun
from fsrun.report.prediction import Prediction
from fsrun.report.verdicts import Claim, Verdict, claims
from tests.report.linear_cases import finished, linear_config, start, study_of
from tests.report.report_cases import Filled, fill


@pytest.fixture
def filled(tmp_path: Path, request: pytest.FixtureRequest) -> Filled:
    return fill(tmp_path, request)


def judged(
    filled: Filled,
    *,
    config: SyntheticRun | None = None,
    frobenius: tuple[float, ...] | None = None,
    **results: float,
) -> list[Claim]:
    curves = {"train/frobenius": frobenius} if frobenius else None
    study = study_of(filled, finished(filled, config, curves, results))
    prediction = Prediction(study.config)
    return list(claims(study, prediction, prediction.curve(study.bands["loss_ratio"].steps)))


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(0.004, Verdict.HOLDS), (0.1005, Verdict.CORRECTED), (0.3, Verdict.FAILS), (0.08, Verdict.FAILS)],
)
def test_loss_ratio_ends_at_nothing_at_its_floor_or_elsewhere(
    filled: Filled, measured: float, verdict: Verdict
) -> None:
    claim = judged(filled, loss_ratio=measured)[0]
    assert claim.verdict is verdict
    assert claim.numbers["floor"] == pytest.approx(0.1001, abs=1e-4)
    assert claim.numbers["start"] == 0.8


@pytest.mark.parametrize(
    ("last", "verdict"), [(0.1, Verdict.HOLDS), (2.5, Verdict.CORRECTED), (60.0, Verdict.FAILS)]
)
def test_s_reaches_whitening_or_stops_at_the_floor_or_is_on_its_way(
    filled: Filled, last: float, verdict: Verdict
) -> None:
    claim = judged(filled, frobenius=(200.0, 50.0, last))[1]
    assert claim.verdict is verdict
    assert claim.numbers["measured"] == last
    assert "600 tasks" in claim.reason


@pytest.mark.parametrize(
    ("error", "cosine", "verdict"),
    [
        (0.001, 0.999, Verdict.HOLDS),
        (0.099, 0.957, Verdict.CORRECTED),
        (0.6, 0.957, Verdict.FAILS),
        (0.099, 0.5, Verdict.FAILS),
    ],
)
def test_lemma_1_is_judged_by_both_its_error_and_its_direction(
    filled: Filled, error: float, cosine: float, verdict: Verdict
) -> None:
    assert judged(filled, one_step_error=error, gradient_cosine=cosine)[2].verdict is verdict


@pytest.mark.parametrize(
    ("printed", "corrected", "verdict"),
    [(0.001, 0.99, Verdict.HOLDS), (11_000, 2e-4, Verdict.CORRECTED), (11_000, 0.6, Verdict.FAILS)],
)
def test_lemma_2_is_judged_by_which_formula_s_is_at(
    filled: Filled, printed: float, corrected: float, verdict: Verdict
) -> None:
    claim = judged(filled, printed_error=printed, fixed_point_error=corrected)[3]
    assert claim.verdict is verdict


def test_lemmas_are_open_while_s_is_on_its_way_as_expected(filled: Filled) -> None:
    study = study_of(filled, finished(filled))
    expected = Prediction(study.config).curve(study.bands["loss_ratio"].steps)
    assert expected is not None
    assert expected.error > 0.5
    on_its_way = judged(filled, fixed_point_error=expected.error, one_step_error=0.8)
    assert [claim.verdict for claim in on_its_way[2:]] == [Verdict.OPEN] * 2
    assert "on its way" in on_its_way[3].reason


ELSEWHERE = {"loss_ratio": 0.3, "one_step_error": 0.6, "gradient_cosine": 0.4, "fixed_point_error": 0.3}


@pytest.mark.parametrize("method", [{}, {"inner_steps": 3}, {"fast_learner": "lstm"}])
def test_what_does_not_hold_after_fewer_tasks_than_the_papers_is_not_decided(
    filled: Filled, method: dict[str, object]
) -> None:
    early, in_time = linear_config(method=method | {"steps": 20_000}), linear_config(method=method)
    open_yet = judged(filled, config=early, frobenius=(200.0, 100.0, 60.0), **ELSEWHERE)
    assert [claim.verdict for claim in open_yet] == [Verdict.OPEN] * 4
    late = judged(filled, config=in_time, frobenius=(200.0, 100.0, 60.0), **ELSEWHERE)
    assert [claim.verdict for claim in late[:2]] == [Verdict.FAILS] * 2
    for claim, then in zip(open_yet, late, strict=True):
        if then.verdict is Verdict.FAILS:
            assert claim.reason.startswith("20,000 of 100,000 tasks: ")


def test_what_more_tasks_would_not_change_is_decided_early(filled: Filled) -> None:
    early = linear_config(method={"steps": 20_000})
    settled = judged(filled, config=early, loss_ratio=0.3, one_step_error=0.6, fixed_point_error=0.001)
    assert [settled[0].verdict, settled[2].verdict] == [Verdict.FAILS] * 2
    nan = float("nan")
    diverged = judged(filled, config=early, loss_ratio=nan, one_step_error=nan, fixed_point_error=nan)
    assert [diverged[0].verdict, diverged[2].verdict, diverged[3].verdict] == [Verdict.FAILS] * 3
    assert judged(filled, config=early, loss_ratio=0.004, fixed_point_error=0.3)[0].verdict is Verdict.HOLDS


def test_without_a_closed_form_nothing_is_corrected(filled: Filled) -> None:
    several = linear_config(method={"inner_steps": 3})
    verdicts = [claim.verdict for claim in judged(filled, config=several, fixed_point_error=0.9)]
    assert verdicts == [Verdict.FAILS] * 4


def test_a_result_that_is_no_number_holds_nothing(filled: Filled) -> None:
    nan = float("nan")
    bad = judged(filled, loss_ratio=nan, one_step_error=nan, printed_error=nan, fixed_point_error=nan)
    assert [claim.verdict for claim in (bad[0], bad[2], bad[3])] == [Verdict.FAILS] * 3


def test_a_run_that_goes_on_has_no_verdicts_yet(filled: Filled) -> None:
    study = study_of(filled, start(filled).run_id)
    assert {claim.verdict for claim in claims(study, Prediction(study.config), None)} == {Verdict.OPEN}
