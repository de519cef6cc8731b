"""The paper's Figure 4 from stored runs: both curves, the floors theory gives them, and what was measured.

Not here: the theory (experiments.synthetic.theory), and drawing with characters (fsrun.plot).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any

import numpy as np
from rich.text import Text
from sqlalchemy import Engine

from experiments.config import SyntheticRun, config_from_json
from experiments.synthetic.theory import covariance, frobenius_floor, loss_ratio_floor
from fsrun.plot import Level, Series, draw_chart
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured, combine, newest_group, traced, with_interval
from fsrun.report.paper import FIGURE4_FROBENIUS, FIGURE4_LOSS_RATIO
from fsrun.report.render import Column, Format, Table, printed, to_csv, to_json, to_markdown, to_text
from store.engine import reading
from store.jobs import JobStatus
from store.metrics import Curve, read_curve
from store.results import finished_results
from store.runs import RunRecord, get_run
from store.snapshot import snapshot

DRAWN_POINTS = 400
ALL_POINTS = 10_000_000
CHART_HEIGHT = 16  # lines


@dataclass(frozen=True)
class Trace:
    """One run of the group with its two curves."""

    run: RunRecord
    loss_ratio: Curve  # train/loss_ratio
    frobenius: Curve  # train/frobenius


@dataclass(frozen=True)
class Figure4:
    """The runs of one config, in order of their seeds, where their curves must end, and what they measured.

    `measured` is test/loss_ratio on fresh tasks, None while the runs go on.
    """

    traces: tuple[Trace, ...]
    loss_ratio_floor: float
    frobenius_floor: float
    measured: Measured | None


def figure4(engine: Engine, *, max_points: int = DRAWN_POINTS) -> Figure4:
    """Return the group of synthetic runs that finished last or, if none has, the newest that is running.

    Curves come in at most about `max_points` entries. Raises NothingToReport, and ConfigError if this version
    does not understand the stored config.
    """
    finished = finished_results(engine, experiment="synthetic", name="test/loss_ratio")
    if finished:
        measured = combine(newest_group(finished))
        runs = [get_run(engine, run_id) for run_id in measured.run_ids]
    else:
        measured, runs = None, _newest_running(engine)
    floors = _floors(runs[0].spec.config)
    return Figure4(tuple(_trace(engine, run, max_points) for run in runs), *floors, measured)


def charts(figure: Figure4, *, width: int, colour: bool) -> Text:
    """Draw both curves below each other, (b) on a log axis, each with its floor as a level."""
    ratio = _series([trace.loss_ratio for trace in figure.traces], figure)
    distance = _series([trace.frobenius for trace in figure.traces], figure)
    drawn = [
        draw_chart(
            [ratio],
            width=width,
            height=CHART_HEIGHT,
            title="(a) L1/L0 after one fast step",
            lines=[Level("floor", figure.loss_ratio_floor)],
            colour=colour,
        ),
        draw_chart(
            [distance],
            width=width,
            height=CHART_HEIGHT,
            title="(b) squared Frobenius distance from whitening",
            log_y=True,
            lines=[Level("floor", figure.frobenius_floor)],
            colour=colour,
            x_label="tasks",
        ),
    ]
    return Text("\n\n").join(drawn)


def summary(figure: Figure4) -> Table:
    """Return the table below the curves: what the paper says, what theory allows, what was measured."""
    run_ids = [trace.run.id for trace in figure.traces]
    records = (
        _record(
            "L1/L0 on fresh tasks", FIGURE4_LOSS_RATIO, figure.loss_ratio_floor, figure.measured, run_ids
        ),
        _record("Squared Frobenius, end", FIGURE4_FROBENIUS, figure.frobenius_floor, None, run_ids)
        | {"measured": _last_frobenius(figure)},
    )
    return Table(
        title="Figure 4: the two-layer linear case study",
        columns=(
            Column("Quantity"),
            Column("Paper"),
            Column("Floor", numeric=True),
            Column("Measured", numeric=True),
            Column("Runs"),
        ),
        rows=tuple(_cells(record) for record in records),
        notes=tuple(_notes(figure)),
        records=records,
    )


def points(figure: Figure4) -> Table:
    """Return every point of the curves, one line per run and step."""
    names = ("run_id", "seed", "step", "loss_ratio", "frobenius")
    lines = [line for trace in figure.traces for line in _lines(trace)]
    return Table(
        title="Figure 4: points",
        columns=tuple(Column(name, numeric=True) for name in names),
        rows=tuple(tuple(map(str, line)) for line in lines),
        notes=(),
        records=tuple(dict(zip(names, line, strict=True)) for line in lines),
    )


def render_figure4(engine: Engine, form: Format, *, width: int = 80, colour: bool = False) -> str:
    """Return Figure 4 in a format: curves and table, as CSV the points, as JSON all of it with provenance.

    Raises what figure4 raises.
    """
    complete = form in (Format.CSV, Format.JSON)
    figure = figure4(engine, max_points=ALL_POINTS if complete else DRAWN_POINTS)
    match form:
        case Format.TEXT:
            drawn = printed(charts(figure, width=width, colour=colour), width=width, colour=colour)
            return f"{drawn}\n\n{to_text(summary(figure), width=width, colour=colour)}"
        case Format.MARKDOWN:
            return f"{to_markdown(summary(figure))}\n\n```\n{charts(figure, width=width, colour=False)}\n```"
        case Format.CSV:
            return to_csv(points(figure))
        case Format.JSON:
            return to_json(_document(figure))


def _newest_running(engine: Engine) -> list[RunRecord]:
    listed = snapshot(engine, now=time.time()).runs
    synthetic = [row for row in listed if row.experiment == "synthetic"]
    running = [get_run(engine, row.id) for row in synthetic if row.status is JobStatus.RUNNING]
    if not running:
        remedy = "`fsrun worker --drain`" if synthetic else "`fsrun run synthetic --preset quick`"
        raise NothingToReport(f"no synthetic run has finished or is running: type {remedy}")
    group = {run.spec.seed: run for run in running if run.spec.group_hash == running[0].spec.group_hash}
    return [group[seed] for seed in sorted(group)]


def _trace(engine: Engine, run: RunRecord, max_points: int) -> Trace:
    with reading(engine) as connection:
        names = ("train/loss_ratio", "train/frobenius")
        return Trace(run, *(read_curve(connection, run.id, name, max_points=max_points) for name in names))


def _floors(text: str) -> tuple[float, float]:
    config = config_from_json(text)
    assert isinstance(config, SyntheticRun)
    data = config.data
    sigma = covariance(data.dimension, data.condition_number, data.covariance_seed)
    a = np.eye(data.dimension)  # tasks are drawn from N(0, I)
    arguments = (sigma, a, data.noise, data.batch_size, config.method.fast_lr)
    return loss_ratio_floor(*arguments), frobenius_floor(*arguments)


def _series(curves: Sequence[Curve], figure: Figure4) -> Series:
    """Return one curve to draw: the run's own or, of several, their mean between the lowest and highest."""
    if len(curves) == 1:
        only = curves[0]
        return Series(f"run {figure.traces[0].run.id}", only.steps, only.mean, only.low, only.high)
    values = [dict(zip(curve.steps, curve.mean, strict=True)) for curve in curves]
    steps = sorted(set.intersection(*(set(each) for each in values)))
    across = [[each[step] for each in values] for step in steps]
    return Series(
        f"mean of {len(curves)} runs",
        steps,
        [sum(column) / len(column) for column in across],
        [min(column) for column in across],
        [max(column) for column in across],
    )


def _record(
    quantity: str, paper: str, floor: float, measured: Measured | None, run_ids: Sequence[int]
) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "paper": paper,
        "floor": floor,
        "measured": measured and measured.mean,
        "interval": measured and measured.interval,
        "interval_over": measured and measured.interval_over,
        "episodes": measured and measured.episodes,
        "run_ids": list(run_ids),
    }


def _last_frobenius(figure: Figure4) -> float | None:
    last = [trace.frobenius.last[-1] for trace in figure.traces if trace.frobenius.last]
    return sum(last) / len(last) if last else None


def _cells(record: Mapping[str, Any]) -> tuple[str, ...]:
    value = record["measured"]
    measured = "not yet" if value is None else with_interval(value, record["interval"])
    runs = ", ".join(map(str, record["run_ids"]))
    return record["quantity"], record["paper"], f"{record['floor']:.4g}", measured, runs


def _notes(figure: Figure4) -> Iterator[str]:
    yield (
        "Floor: where the expected update comes to rest; 0 is reached only with ever larger batches "
        "and no noise."
    )
    ours = figure.measured
    if ours is None:
        for trace in figure.traces:
            yield f"Run {trace.run.id} is at task {trace.run.step} of {trace.run.spec.total_steps}."
        return
    yield f"L1/L0: mean ± half of the 95 % interval over {ours.interval_over}; {ours.episodes} tasks."
    changed = f" with {', '.join(ours.differences)}" if ours.differences else ""
    yield f"Preset: {ours.preset}{changed}; {figure.traces[0].run.spec.total_steps} tasks to learn from."


def _lines(trace: Trace) -> Iterator[tuple[float, ...]]:
    distance = dict(zip(trace.frobenius.steps, trace.frobenius.mean, strict=True))
    for step, ratio in zip(trace.loss_ratio.steps, trace.loss_ratio.mean, strict=True):
        yield trace.run.id, trace.run.spec.seed, step, ratio, distance.get(step, float("nan"))


def _document(figure: Figure4) -> dict[str, Any]:
    table = summary(figure)
    results = {run.run_id: traced(run) for run in figure.measured.runs} if figure.measured else {}
    return {
        "title": table.title,
        "notes": table.notes,
        "rows": table.records,
        "runs": [
            {
                "run_id": trace.run.id,
                "seed": trace.run.spec.seed,
                "status": trace.run.status.value,
                "config": loads(trace.run.spec.config),
                "provenance": dict(trace.run.provenance),
                "result": results.get(trace.run.id),
                "steps": trace.loss_ratio.steps,
                "loss_ratio": trace.loss_ratio.mean,
                "frobenius": trace.frobenius.mean,
            }
            for trace in figure.traces
        ],
    }
