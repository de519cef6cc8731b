"""What a run says about each claim of the paper's case study: it holds, with a correction, or it does not.

Not here: what was measured (study.py) and what theory expects (prediction.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite

from fsrun.axes import format_number, with_interval
from fsrun.report.measured import Measured
from fsrun.report.prediction import ExpectedCurve, Prediction
from fsrun.report.study import Study

PAPER_TASKS = 100_000  # that the paper trains on, and so what its claims are about
ZERO = 0.05  # what the paper, with one decimal, prints as 0
AT_REST = 0.05  # share of the way, or of ||S*||^2, that sampling may leave
NEAR = 0.1  # relative difference between a measurement and its prediction


class Verdict(StrEnum):
    """How a claim fares."""

    HOLDS = "holds"
    CORRECTED = "holds with a correction"
    FAILS = "does not hold"
    OPEN = "not decided"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, its verdict, the reason in words, and the numbers behind it."""

    claim: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, float | None] = field(default_factory=dict)


def claims(study: Study, prediction: Prediction, expected: ExpectedCurve | None) -> tuple[Claim, ...]:
    """Return the verdict on each claim, worked out from what the study's runs stored."""
    found = (
        loss_ratio_claim(study, prediction, expected),
        whitening_claim(study, prediction, expected),
        lemma_1(study, prediction),
        lemma_2(study, expected),
    )
    return tuple(_not_too_early(claim, study) for claim in found)


def loss_ratio_claim(study: Study, prediction: Prediction, expected: ExpectedCurve | None) -> Claim:
    """Judge section 4.1: L1/L0 decreases from 0.8 to 0."""
    claim = "L1/L0 goes from 0.8 to 0"
    curve, end = study.bands["loss_ratio"], study.results.get("loss_ratio")
    if end is None or not curve.middle:
        return Claim(claim, Verdict.OPEN, "the run has not finished")
    start, floor = curve.middle[0], prediction.loss_ratio_floor
    on_the_way = expected.fresh_loss_ratio if expected else None
    way = f"from {start:.2f} to {_value(end)} on fresh tasks"
    numbers = {"start": start, "measured": end.mean, "floor": floor, "expected": on_the_way}
    if end.mean < ZERO:
        return Claim(claim, Verdict.HOLDS, way, numbers)
    if floor is None:
        return Claim(claim, Verdict.FAILS, f"{way}; theory has no floor for it", numbers)
    if _agrees(end, floor):
        return Claim(claim, Verdict.CORRECTED, f"{way}: the floor is {floor:.4f}, not 0", numbers)
    return Claim(claim, Verdict.FAILS, f"{way}; the floor is {floor:.4f}{_expected(on_the_way)}", numbers)


def whitening_claim(study: Study, prediction: Prediction, expected: ExpectedCurve | None) -> Claim:
    """Judge section 4.1: S approaches Sigma^-1 / eta after 100,000 iterations."""
    claim = "S approaches Σ⁻¹/η after 100,000 tasks"
    curve, floor = study.bands["frobenius"], prediction.frobenius_floor
    if not curve.middle or "loss_ratio" not in study.results:
        return Claim(claim, Verdict.OPEN, "the run has not finished")
    start, end, tasks = curve.middle[0], curve.middle[-1], curve.steps[-1]
    on_the_way = expected.frobenius[-1] if expected else None
    numbers = {"start": start, "measured": end, "floor": floor, "expected": on_the_way, "tasks": tasks}
    way = f"squared distance {_short(start)} to {_short(end)} in {tasks:,} tasks"
    if end < ZERO / 10 * prediction.whitening_norm and end < ZERO * start:
        return Claim(claim, Verdict.HOLDS, way, numbers)
    if floor is not None and abs(end - floor) < AT_REST * abs(start - floor):
        share = floor / prediction.whitening_norm
        reason = f"{way}: levels off at S*, {_short(floor)} away, {100 * share:.2g} % of ‖Σ⁻¹/η‖²"
        return Claim(claim, Verdict.CORRECTED, reason, numbers)
    floor_text = "" if floor is None else f"; it would level off at {_short(floor)}"
    return Claim(claim, Verdict.FAILS, f"{way}{floor_text}{_expected(on_the_way)}", numbers)


def lemma_1(study: Study, prediction: Prediction) -> Claim:
    """Judge Lemma 1 at the S that was learned: one step of W_f reaches W_bar, along W_bar W_s^-1."""
    claim = "Lemma 1: one step of W_f reaches W̄"
    error, cosine = study.results.get("one_step_error"), study.results.get("gradient_cosine")
    if error is None or cosine is None:
        return Claim(claim, Verdict.OPEN, "stored by a version that did not measure it, or still running")
    at_rest, best = prediction.one_step_error, prediction.gradient_cosine
    numbers = {"error": error.mean, "predicted": at_rest, "cosine": cosine.mean, "predicted_cosine": best}
    reason = f"it ends {_value(error)} of |W̄| away, cosine of the gradient {_value(cosine)}"
    if error.mean < ZERO / 10 and cosine.mean > 1 - ZERO / 10:
        return Claim(claim, Verdict.HOLDS, reason, numbers)
    if at_rest is None or best is None:
        return Claim(claim, Verdict.FAILS, f"{reason}; theory has no prediction for it", numbers)
    reason += (
        f"; at S* theory gives {at_rest:.3f} and {best:.3f}: only Σ⁻¹/η and endless batches give 0 and 1"
    )
    near = abs(error.mean - at_rest) < max(NEAR * at_rest, ZERO / 2) and abs(cosine.mean - best) < ZERO / 2
    if not near and _on_the_way(study):
        return Claim(claim, Verdict.OPEN, f"{reason}; S is not there yet", numbers)
    return Claim(claim, Verdict.CORRECTED if near else Verdict.FAILS, reason, numbers)


def lemma_2(study: Study, expected: ExpectedCurve | None) -> Claim:
    """Judge Lemma 2: S settles where equation 4 says. Open while S is on its way just as theory expects."""
    claim = "Lemma 2: S settles at equation 4"
    corrected, printed = study.results.get("fixed_point_error"), study.results.get("printed_error")
    if corrected is None or printed is None:
        return Claim(claim, Verdict.OPEN, "stored by a version that did not measure it, or still running")
    numbers = {"printed": printed.mean, "corrected": corrected.mean}
    reason = (
        f"‖S - S*‖²/‖S*‖² is {_short(printed.mean)} for it as printed, {_short(corrected.mean)} corrected"
    )
    if printed.mean < AT_REST:
        return Claim(claim, Verdict.HOLDS, reason, numbers)
    if corrected.mean < AT_REST:
        return Claim(claim, Verdict.CORRECTED, reason, numbers)
    if expected is None:
        return Claim(claim, Verdict.FAILS, reason, numbers)
    numbers["expected"] = expected.error
    on_its_way = abs(corrected.mean - expected.error) < 2 * NEAR * expected.error
    reason += f"; theory expects {_short(expected.error)} here"
    reason += ": S is still on its way" if on_its_way else ""
    return Claim(claim, Verdict.OPEN if on_its_way else Verdict.FAILS, reason, numbers)


def _not_too_early(claim: Claim, study: Study) -> Claim:
    """Leave open what does not hold yet after fewer tasks than the paper's, unless more would change nothing.

    More tasks change nothing where S has settled, or is no number.
    """
    tasks = study.config.method.steps
    error = study.results.get("fixed_point_error")
    settled = error is not None and error.mean < AT_REST
    numbers = all(isfinite(value) for value in claim.numbers.values() if value is not None)
    if claim.verdict is not Verdict.FAILS or tasks >= PAPER_TASKS or settled or not numbers:
        return claim
    reason = f"{tasks:,} of {PAPER_TASKS:,} tasks: {claim.reason}"
    return replace(claim, verdict=Verdict.OPEN, reason=reason)


def _on_the_way(study: Study) -> bool:
    """Return whether S was measured to be elsewhere than theory says it settles."""
    error = study.results.get("fixed_point_error")
    return error is not None and error.mean >= AT_REST


def _agrees(measured: Measured, predicted: float) -> bool:
    """Return whether a prediction lies within 1.5 intervals (about 3 standard errors) or 5 %."""
    return abs(measured.mean - predicted) <= max(1.5 * (measured.interval or 0), NEAR / 2 * predicted)


def _value(measured: Measured) -> str:
    return with_interval(measured.mean, measured.interval)


def _short(value: float) -> str:
    return format_number(float(f"{value:.3g}"))


def _expected(value: float | None) -> str:
    return "" if value is None else f", expected here {_short(value)}"
