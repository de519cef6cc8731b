"""The case study's formulas as a table: as the paper prints them, corrected, and measured.

Not here: the formulas (experiments.linear), and the curves (figure4.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from fsrun.report.measured import Measured
from fsrun.report.prediction import Prediction
from fsrun.report.render import Column, Table
from fsrun.report.study import Study, find_study
from fsrun.report.table import field, measured_in

DRAWS = 50_000
SIMULATED = "simulated"


@dataclass(frozen=True)
class Row:
    """A quantity: by the paper's formula, by the corrected one, and measured with half its 95 % interval."""

    quantity: str
    source: str
    printed: float | None
    corrected: float | None
    measured: float | None
    interval: float | None
    by: str  # the runs, or SIMULATED


def theory(engine: Engine, *, run_id: int | None = None) -> Table:
    """Return the table of formulas for a run and its group, without one of the newest.

    Raises what study.find_study raises.
    """
    study = find_study(engine, run_id, max_points=400)
    prediction = Prediction(study.config)
    rows = (*_fixed_point(study, prediction), *_curves(study, prediction), *_lemmas(study, prediction))
    return Table.of(
        "The linear case study: formulas as printed, corrected, and measured",
        (
            Column("Quantity", field("quantity")),
            Column("Source", field("source")),
            Column("Paper", field("printed", "{:.5g}".format, "–"), "printed", numeric=True),
            Column("Corrected", field("corrected", "{:.5g}".format, "–"), "corrected", numeric=True),
            Column("Measured", measured_in("measured", "interval"), "measured", numeric=True),
            Column("By", field("by")),
        ),
        rows,
        lambda row: vars(row) | {"run_ids": [run.id for run in study.runs]},
        notes=tuple(_notes(study, prediction)),
    )


def coefficients(
    sigma: "np.typing.NDArray[np.float64]", k: int
) -> Mapping[str, tuple[int, int, float, float]]:
    """Return Lemma 3 in two cases where E[X X^T A X X^T] = c Sigma A Sigma, tr(Sigma A) = 0.

    Of each c: by equation 6 as printed, corrected, as simulated with the covariance sigma (2, 2), and half
    of its 95 % interval. Symmetric: A with one column; skew: A^T = -A with k columns.
    """
    root = np.linalg.cholesky(sigma)
    inverse = np.linalg.inv(root)
    cases = {
        "symmetric": (np.diag([1.0, -1.0]), 1, 3, 2),
        "skew": (np.array([[0.0, 1.0], [-1.0, 0.0]]), k, k * (k + 1) - 1, k * (k - 1)),
    }
    made = {}
    for name, (whitened, columns, printed, corrected) in cases.items():
        gram = _wishart(columns)
        a = inverse.T @ whitened @ inverse
        goal = sigma @ a @ sigma
        product = root @ gram @ root.T
        found = np.einsum("nij,ij->n", product @ a @ product, goal) / np.square(goal).sum()
        half = 1.96 * float(found.std()) / DRAWS**0.5
        made[name] = (printed, corrected, float(found.mean()), half)
    return made


def _wishart(k: int) -> "np.typing.NDArray[np.float64]":
    """Return X X^T (DRAWS, 2, 2) of k standard normal columns, by Bartlett's decomposition."""
    source = np.random.default_rng(k)
    factor = np.zeros((DRAWS, 2, 2))
    factor[:, 0, 0] = np.sqrt(source.chisquare(k, DRAWS))
    factor[:, 1, 0] = source.standard_normal(DRAWS)
    factor[:, 1, 1] = np.sqrt(source.chisquare(k - 1, DRAWS)) if k > 1 else 0
    return factor @ factor.swapaxes(1, 2)


def _fixed_point(study: Study, prediction: Prediction) -> Iterator[Row]:
    printed, corrected = prediction.gain("printed"), prediction.gain("corrected")
    low, high = study.bands["eigenvalue_low"].middle, study.bands["eigenvalue_high"].middle
    middle = (low[-1] + high[-1]) / 2 if low and high else None
    half = (high[-1] - low[-1]) / 2 if low and high else None
    yield Row("η S Σ, mean eigenvalue", "Lemma 2, eq. 4", printed, corrected, middle, half, study.run_ids)
    for name, words in (("printed_error", "as printed"), ("fixed_point_error", "corrected")):
        zero = 0.0 if prediction.rest is not None or name == "printed_error" else None
        sides = (zero, None) if name == "printed_error" else (None, zero)
        yield _of(study, name, f"‖S - S*‖²/‖S*‖², S* {words}", "Lemma 2, eq. 4", *sides)


def _curves(study: Study, prediction: Prediction) -> Iterator[Row]:
    ratio, distance = prediction.loss_ratio_floor, prediction.frobenius_floor
    yield _of(study, "loss_ratio", "L1/L0, end", "Figure 4a", 0.0, ratio)
    yield _of(study, "frobenius", "‖S - Σ⁻¹/η‖², end", "Figure 4b", 0.0, distance)


def _lemmas(study: Study, prediction: Prediction) -> Iterator[Row]:
    yield _of(study, "one_step_error", "|W_f W_s - W̄|/|W̄|", "Lemma 1", 0.0, prediction.one_step_error)
    cosine = prediction.gradient_cosine
    yield _of(study, "gradient_cosine", "cosine of W_f's gradient", "Lemma 1", 1.0, cosine)
    if study.config.data.dimension < 2:
        return
    k = study.config.data.batch_size
    made = coefficients(prediction.sigmas[0][:2, :2], k)
    for name, words in (("symmetric", "symmetric A, k=1"), ("skew", f"skew A, k={k}")):
        yield Row(f"c of Σ A Σ, {words}", "Lemma 3, eq. 6", *made[name], SIMULATED)


def _of(
    study: Study, name: str, quantity: str, source: str, printed: float | None, corrected: float | None
) -> Row:
    found: Measured | None = study.results.get(name)
    value, interval = (found.mean, found.interval) if found else (None, None)
    return Row(quantity, source, printed, corrected, value, interval, study.run_ids)


def _notes(study: Study, prediction: Prediction) -> Iterator[str]:
    if prediction.reason:
        yield prediction.reason
    if not study.results:
        yield f"Run {study.run_ids} has not finished: it has measured nothing yet."
    yield "Eigenvalues of η S Σ: from smallest to largest, 1 is whitening; else ± is half a 95 % interval."
    if len(prediction.sigmas) > 1 and study.config.method.slow_modules == "single":
        yield "Inputs from a mixture: S* is that of each component, and one W_s cannot reach them all."
    yield "S*: where S settles. Lemma 1 at the S that was learned; its cosine over batches of k."
    yield (
        "Lemma 3: E[X Xᵀ A X Xᵀ] = c Σ A Σ where tr(Σ A) = 0; simulated with the first two inputs' Σ, "
        f"{DRAWS:,} batches."
    )
