"""The reports on the linear case study, whole: tables, curves, and everything for programs.

Not here: what they hold (figure4.py, theory.py, mixture.py, shift.py), and drawing it (pictures.py).
"""

from collections.abc import Sequence
from functools import partial
from json import loads
from typing import Any

from sqlalchemy import Engine

from fsrun.report import figure4_drawing, mixture, pictures, shift
from fsrun.report.figure4 import Figure4, document, figure4, points, summary, verdicts
from fsrun.report.measured import traced
from fsrun.report.render import document_of
from fsrun.report.report import Report
from fsrun.report.study import find_study
from fsrun.report.table import Table
from fsrun.report.theory import theory
from store.results import FinishedResult

ALL_POINTS = 10_000_000


def figure4_report(engine: Engine, *, run_id: int | None = None) -> Report:
    """Return Figure 4: curves and tables for people, every point of the curves for programs.

    Raises what figure4 raises.
    """
    drawn = figure4(engine, run_id=run_id)

    def complete() -> Figure4:
        return figure4(engine, run_id=run_id, max_points=ALL_POINTS)

    return Report(
        "report --figure4",
        (summary(drawn), verdicts(drawn)),
        document=lambda: document(complete()),
        points=lambda: points(complete()),
        charts=partial(figure4_drawing.charts, drawn),
        picture=partial(pictures.draw_figure4, drawn),
    )


def theory_report(engine: Engine, *, run_id: int | None = None) -> Report:
    """Return the formulas, for programs with config and runs. Raises what theory raises."""
    table = theory(engine, run_id=run_id)

    def document() -> dict[str, Any]:
        study = find_study(engine, run_id, max_points=2)
        runs = study.results["loss_ratio"].runs if study.results else ()
        return {**_with_runs(table, runs), "config": loads(study.runs[0].spec.config)}

    return Report("report --theory", (table,), document)


def mixture_report(engine: Engine, *, run_id: int | None = None) -> Report:
    """Return the comparison of slow modules on a mixture. Raises what mixture raises."""
    figure = mixture.mixture(engine, run_id=run_id)
    table = mixture.summary(figure)
    runs = [arm.study.results["loss_ratio"].runs[0] for arm in figure.arms]
    return Report(
        "report --mixture",
        (table,),
        partial(_with_runs, table, runs),
        charts=partial(mixture.charts, figure),
        picture=partial(pictures.draw_mixture, figure),
    )


def shift_report(engine: Engine, *, run_id: int | None = None) -> Report:
    """Return L1/L0 on shifted test tasks. Raises what shift raises."""
    figure = shift.shift(engine, run_id=run_id)
    table = shift.summary(figure)
    return Report(
        "report --shift",
        (table,),
        partial(_with_runs, table, figure.unshifted.runs),
        charts=partial(shift.charts, figure),
        picture=partial(pictures.draw_shift, figure),
    )


def _with_runs(table: Table, runs: Sequence[FinishedResult]) -> dict[str, Any]:
    return {**document_of(table), "runs": list(map(traced, runs))}
