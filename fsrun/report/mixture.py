"""Inputs from several Gaussians (paper section 6): one slow module, one for each with z known, or inferred.

Not here: theory (prediction.py) and choosing the runs of an ordinary figure (study.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import loads
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from experiments.config import SyntheticRun, config_from_json
from fsrun.plot import Level, Series, draw_chart
from fsrun.report.errors import NothingToReport
from fsrun.report.figure4_drawing import CHART_HEIGHT, series_of
from fsrun.report.prediction import Prediction
from fsrun.report.render import Column, Table
from fsrun.report.study import Study, read_study
from fsrun.report.table import field, four_digits, measured_in
from store.results import FinishedResult, finished_results
from store.runs import get_run

NAMES = {"single": "one W_s", "known": "z known", "inferred": "z inferred"}
REMEDY = "fsrun run synthetic --set condition_number=10 --set components=2 --set slow_modules={}"


@dataclass(frozen=True)
class Arm:
    """One kind of slow module: its newest finished run and what theory predicts for it."""

    kind: str  # slow_modules of the config
    study: Study
    prediction: Prediction

    @property
    def name(self) -> str:
        """What it is called in a legend."""
        return NAMES[self.kind]


@dataclass(frozen=True)
class Mixture:
    """The newest runs on one mixture, one for each kind of slow module that was run."""

    arms: tuple[Arm, ...]

    @property
    def floors(self) -> Mapping[str, Prediction]:
        """By name the different floors: that of one W_s, and that of one for each component."""
        made: dict[str, Prediction] = {}
        for arm in self.arms:
            made.setdefault(NAMES["single"] if arm.kind == "single" else NAMES["known"], arm.prediction)
        return made


def mixture(engine: Engine, *, run_id: int | None = None, max_points: int = 400) -> Mixture:
    """Return the newest finished runs on the mixture that a run met, without one on that of the newest.

    Raises NothingToReport where there is none.
    """
    found = [
        (one, config)
        for one in finished_results(engine, experiment="synthetic", name="test/loss_ratio")
        if isinstance(config := config_from_json(one.config), SyntheticRun) and config.data.components > 1
    ]
    chosen = [pair for pair in found if run_id in (None, pair[0].run_id)]
    if not chosen:
        which = "no finished run" if run_id is None else f"run {run_id} is not finished or"
        raise NothingToReport(f"{which} has inputs from a mixture: type {REMEDY.format('single')}")
    _, reference = max(chosen, key=lambda pair: (pair[0].finished, pair[0].run_id))
    newest: dict[str, FinishedResult] = {}
    for one, config in sorted(found, key=lambda pair: (pair[0].run_id == run_id, pair[0].finished)):
        if _alike(config) == _alike(reference):
            newest[config.method.slow_modules] = one
    arms = [_arm(engine, kind, newest[kind].run_id, max_points) for kind in NAMES if kind in newest]
    return Mixture(tuple(arms))


def charts(figure: Mixture, *, width: int, colour: bool) -> Text:
    """Draw L1/L0 and the distance from whitening of every kind below each other, with the floors."""
    drawn = []
    for quantity, floor, title, log_y in (
        ("loss_ratio", "training_floor", "L1/L0 after one fast step (dotted: floors)", False),
        ("frobenius", "frobenius_floor", "‖S - Σz⁻¹/η‖² (Frobenius), mean over z (dotted: floors)", True),
    ):
        floors = {name: getattr(each, floor) for name, each in figure.floors.items()}
        drawn.append(
            draw_chart(
                [_line(arm, quantity) for arm in figure.arms],
                width=width,
                height=CHART_HEIGHT,
                title=title,
                log_y=log_y,
                lines=[Level(f"floor, {name}", value) for name, value in floors.items() if value is not None],
                colour=colour,
                x_label="tasks",
            )
        )
    return Text("\n\n").join(drawn)


def summary(figure: Mixture) -> Table:
    """Return one line for each kind of slow module: floors and what was measured."""
    return Table.of(
        f"Inputs from {figure.arms[0].study.config.data.components} Gaussians, one for each task",
        (
            Column("Slow modules", lambda record: NAMES[record["slow_modules"]]),
            Column(
                "L1/L0 floor", field("loss_ratio_floor", four_digits, "–"), "loss_ratio_floor", numeric=True
            ),
            Column("L1/L0", measured_in("loss_ratio", "loss_ratio_interval"), "loss_ratio", numeric=True),
            Column(
                "Frob. floor", field("frobenius_floor", four_digits, "–"), "frobenius_floor", numeric=True
            ),
            _number("Frobenius", "frobenius"),
            Column("z found", field("inference_accuracy", _percent, "–"), "inference_accuracy", numeric=True),
            Column("Run", field("run_id"), "run_id", numeric=True),
        ),
        map(_record, figure.arms),
        dict,
        notes=tuple(_notes(figure)),
    )


def _alike(config: SyntheticRun) -> dict[str, Any]:
    """Return what runs must share to be compared: all but the slow modules, the sampler and the seeds."""
    shared: dict[str, Any] = loads(config.model_dump_json(exclude={"seed", "seeds"}))
    for name in ("slow_modules", "sampler"):
        shared["method"].pop(name)
    return shared


def _arm(engine: Engine, kind: str, run_id: int, max_points: int) -> Arm:
    study = read_study(engine, get_run(engine, run_id), max_points=max_points)
    return Arm(kind, study, Prediction(study.config))


def _line(arm: Arm, quantity: str) -> Series:
    return series_of(arm.study.bands[quantity], arm.name)


def _record(arm: Arm) -> dict[str, Any]:
    results = arm.study.results
    measured = results["loss_ratio"]
    accuracy = results.get("inference_accuracy")
    return {
        "slow_modules": arm.kind,
        "loss_ratio_floor": arm.prediction.loss_ratio_floor,
        "loss_ratio": measured.mean,
        "loss_ratio_interval": measured.interval,
        "frobenius_floor": arm.prediction.frobenius_floor,
        "frobenius": results["frobenius"].mean if "frobenius" in results else None,
        "inference_accuracy": accuracy.mean if accuracy else None,
        "run_id": arm.study.runs[0].id,
        "seeds": arm.study.config.seeds,
    }


def _number(heading: str, name: str) -> Column:
    return Column(heading, field(name, four_digits, "–"), name, numeric=True)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _notes(figure: Mixture) -> Iterator[str]:
    yield "One W_s for all tasks whitens no component. Else each z has a W_s, which can whiten its own."
    missing = [kind for kind in NAMES if kind not in {arm.kind for arm in figure.arms}]
    if missing:
        yield f"Not run yet on this mixture: slow_modules {' and '.join(missing)}."
    if any(arm.kind == "inferred" for arm in figure.arms):
        yield "The floor of z inferred is that of z known, reached where z is always found."
