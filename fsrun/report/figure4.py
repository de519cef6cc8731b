"""The paper's Figure 4 from stored runs: what was measured, what theory expects, what becomes of each claim.

Not here: runs (study.py), theory (prediction.py), judging (verdicts.py), drawing (figure4_drawing.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any

from sqlalchemy import Engine

from fsrun.axes import with_interval
from fsrun.report.measured import Measured, traced
from fsrun.report.paper import FIGURE4_FROBENIUS, FIGURE4_LOSS_RATIO
from fsrun.report.prediction import ExpectedCurve, Prediction
from fsrun.report.render import Column, Table
from fsrun.report.study import Band, Study, find_study
from fsrun.report.table import field, four_digits, listed
from fsrun.report.verdicts import Claim, claims

DRAWN_POINTS = 400


@dataclass(frozen=True)
class Figure4:
    """One study, what theory predicts for it, the expected curve (None where there is none), the verdicts."""

    study: Study
    prediction: Prediction
    expected: ExpectedCurve | None
    claims: tuple[Claim, ...]


def figure4(engine: Engine, *, run_id: int | None = None, max_points: int = DRAWN_POINTS) -> Figure4:
    """Return Figure 4 of a run and its group, without one of the newest.

    Curves come in at most about `max_points` entries. Raises what study.find_study raises.
    """
    study = find_study(engine, run_id, max_points=max_points)
    prediction = Prediction(
        study.config, tuple(run.spec.seed for run in study.runs) if len(study.runs) > 1 else ()
    )
    expected = prediction.curve(study.bands["loss_ratio"].steps)
    return Figure4(study, prediction, expected, claims(study, prediction, expected))


def summary(figure: Figure4) -> Table:
    """Return the table below the curves: what the paper says, what theory allows, what was measured."""
    study, prediction, ends = figure.study, figure.prediction, figure.expected
    last = study.bands["frobenius"].middle[-1:]
    records = (
        _record(
            "L1/L0 on fresh tasks",
            FIGURE4_LOSS_RATIO,
            prediction.loss_ratio_floor,
            ends.fresh_loss_ratio if ends else None,
            study.results.get("loss_ratio"),
            study,
        ),
        _record(
            "Squared Frobenius, end",
            FIGURE4_FROBENIUS,
            prediction.frobenius_floor,
            ends.frobenius[-1] if ends else None,
            study.results.get("frobenius") if study.seeds > 1 else None,
            study,
            instead=last[0] if last else None,
        ),
    )
    return Table.of(
        "Figure 4: the two-layer linear case study",
        (
            Column("Quantity", field("quantity")),
            Column("Paper", field("paper")),
            Column("Floor", field("floor", four_digits, "–"), "floor", numeric=True),
            Column("Expected", field("expected", four_digits, "–"), "expected", numeric=True),
            Column("Measured", _measured, "measured", numeric=True),
            Column("Runs", field("run_ids", listed)),
        ),
        records,
        dict,
        notes=tuple(_notes(figure)),
    )


def verdicts(figure: Figure4) -> Table:
    """Return one line per claim of the paper."""
    records = [
        {"claim": claim.claim, "verdict": claim.verdict.value, "reason": claim.reason}
        | {"numbers": dict(claim.numbers)}
        for claim in figure.claims
    ]
    columns = [Column(name.capitalize(), field(name)) for name in ("claim", "verdict", "reason")]
    return Table.of("The paper's claims, by these numbers", columns, records, dict)


def points(figure: Figure4) -> Table:
    """Return every point of the curves: median and band over seeds, and what was expected there."""
    names = ["step"]
    for quantity in ("loss_ratio", "frobenius", "fixed_point_distance"):
        names += [quantity, f"{quantity}_low", f"{quantity}_high"]
    names += ["expected_loss_ratio", "expected_frobenius"]
    columns = [Column(name, field(name, nothing="None"), name, numeric=True) for name in names]
    lines = (dict(zip(names, line, strict=True)) for line in _lines(figure))
    return Table.of("Figure 4: points", columns, lines, dict)


def document(figure: Figure4) -> dict[str, Any]:
    """Return all of it for JSON: tables, claims, points, and each run with its provenance."""
    table, study = summary(figure), figure.study
    found = study.results.get("loss_ratio")
    results = {run.run_id: traced(run) for run in found.runs} if found else {}
    return {
        "title": table.title,
        "notes": table.notes,
        "rows": table.records,
        "claims": verdicts(figure).records,
        "runs": [
            {
                "run_id": run.id,
                "seed": run.spec.seed,
                "status": run.status.value,
                "config": loads(run.spec.config),
                "provenance": dict(run.provenance),
                "result": results.get(run.id),
            }
            for run in study.runs
        ],
        "measured": {
            name: {"value": found.mean, "interval": found.interval, "over": found.interval_over}
            for name, found in study.results.items()
        },
        "points": points(figure).records,
    }


def _record(
    quantity: str,
    paper: str,
    floor: float | None,
    expected: float | None,
    measured: Measured | None,
    study: Study,
    *,
    instead: float | None = None,
) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "paper": paper,
        "floor": floor,
        "expected": expected,
        "measured": measured.mean if measured else instead,
        "interval": measured and measured.interval,
        "interval_over": measured and measured.interval_over,
        "episodes": measured and measured.episodes,
        "run_ids": [run.id for run in study.runs],
    }


def _measured(record: Mapping[str, Any]) -> str:
    value = record["measured"]
    return "not yet" if value is None else with_interval(value, record["interval"])


def _notes(figure: Figure4) -> Iterator[str]:
    study, prediction = figure.study, figure.prediction
    yield prediction.reason or (
        "Floor: where the expected update comes to rest; 0 is reached only with ever larger batches and no "
        "noise. Expected: the same number of tasks, each replaced by its expectation."
    )
    if study.config.method.slow_batch == "same":
        yield "Panel (a) and its floor are on the batch learned from, the table on fresh ones."
    if study.seeds > 1:
        ends = "5th to 95th percentile" if len(study.runs) == 1 else "lowest to highest"
        yield f"Curves: median over {study.seeds} seeds, band from {ends}."
    ours = study.results.get("loss_ratio")
    if ours is None:
        for run in study.runs:
            yield f"Run {run.id} is at task {run.step} of {run.spec.total_steps}."
        return
    over = "seeds" if study.config.seeds > 1 else ours.interval_over
    each = " a seed" if study.config.seeds > 1 else ""
    tasks = study.config.evaluation.episodes
    yield f"L1/L0: mean ± half of the 95 % interval over {over}; {tasks} tasks{each}."
    changed = f" with {', '.join(ours.differences)}" if ours.differences else ""
    yield f"Preset: {ours.preset}{changed}; {study.runs[0].spec.total_steps} tasks to learn from."


def _lines(figure: Figure4) -> Iterator[tuple[float | None, ...]]:
    bands, expected = figure.study.bands, figure.expected
    ratio = bands["loss_ratio"]
    others = [_by_step(bands[name]) for name in ("frobenius", "fixed_point_distance")]
    predicted = (
        {
            step: values
            for step, *values in zip(expected.steps, expected.loss_ratio, expected.frobenius, strict=True)
        }
        if expected
        else {}
    )
    nothing = (None, None, None)
    for step, *values in zip(ratio.steps, ratio.middle, ratio.low, ratio.high, strict=True):
        distances = [value for other in others for value in other.get(step, nothing)]
        yield (step, *values, *distances, *predicted.get(step, nothing[:2]))


def _by_step(band: Band) -> dict[int, Sequence[float | None]]:
    return {step: values for step, *values in zip(band.steps, band.middle, band.low, band.high, strict=True)}
