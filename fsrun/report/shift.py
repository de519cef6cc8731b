"""Test tasks whose Sigma is not the one learned from: L1/L0 by angle and by condition number.

Not here: how Sigma is shifted (experiments.linear.covariance).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from experiments.linear.covariance import Matrix, reconditioned, turned
from fsrun.axes import with_interval
from fsrun.plot import Level, Series, draw_chart
from fsrun.report.errors import NothingToReport
from fsrun.report.measured import Measured
from fsrun.report.prediction import LARGEST, Prediction
from fsrun.report.render import Column, Table
from fsrun.report.study import Study, find_study
from fsrun.report.table import field, four_digits, measured_in
from store.results import finished_results

REMEDY = "fsrun run synthetic --set condition_number=10 --set 'angles=[10,30,90]'"
CHART_HEIGHT = 12  # lines

KINDS: Mapping[str, tuple[str, Callable[[Matrix, float], Matrix]]] = {
    "angle": ("degrees turned", turned),
    "condition": ("condition number", reconditioned),
}
"""By its word in a result's name: what is shifted, and how."""

PREFIXES = tuple(f"loss_ratio_{kind}_" for kind in KINDS)


@dataclass(frozen=True)
class Place:
    """One shifted Sigma: how far, L1/L0 as measured there, and as expected of the S that was learned."""

    at: float
    measured: Measured
    expected: float | None


@dataclass(frozen=True)
class Shift:
    """One run's L1/L0 on tasks as it learned from, and on shifted ones by kind of shift."""

    study: Study
    unshifted: Measured
    kinds: Mapping[str, tuple[Place, ...]]


def shift(engine: Engine, *, run_id: int | None = None) -> Shift:
    """Return the shifts a run measured, without one the newest that measured any.

    Raises NothingToReport where there is none, and what study.find_study raises.
    """
    if run_id is None:
        named = [
            one.run_id
            for one in finished_results(engine, experiment="synthetic")
            if one.result.name.removeprefix("test/").startswith(PREFIXES)
        ]
        if not named:
            raise NothingToReport(f"no finished run has met shifted tasks: type {REMEDY}")
        run_id = max(named)
    study = find_study(engine, run_id, max_points=2)
    if not any(name.startswith(PREFIXES) for name in study.results):
        raise NothingToReport(f"run {run_id} has met no shifted tasks: type {REMEDY}")
    prediction = Prediction(study.config)
    learned = _learned(prediction)
    kinds = {
        title: places
        for kind, (title, _) in KINDS.items()
        if (places := _places(study, kind, prediction, learned))
    }
    return Shift(study, study.results["loss_ratio"], kinds)


def charts(figure: Shift, *, width: int, colour: bool) -> Text:
    """Draw L1/L0 against each kind of shift, measured and expected."""
    drawn = []
    for title, places in figure.kinds.items():
        at = [place.at for place in places]
        means = [place.measured.mean for place in places]
        halves = [place.measured.interval or 0.0 for place in places]
        low = [mean - half for mean, half in zip(means, halves, strict=True)]
        high = [mean + half for mean, half in zip(means, halves, strict=True)]
        series = [Series("measured", at, means, low, high)]
        known = [(place.at, place.expected) for place in places if place.expected is not None]
        if known:
            series.append(Series("expected", [x for x, _ in known], [y for _, y in known]))
        drawn.append(
            draw_chart(
                series,
                width=width,
                height=CHART_HEIGHT,
                title="L1/L0 on shifted tasks",
                lines=[Level("not shifted", figure.unshifted.mean)],
                colour=colour,
                x_label=title,
            )
        )
    return Text("\n\n").join(drawn)


def summary(figure: Shift) -> Table:
    """Return one line for each shift."""
    records = [_record(figure, title, place) for title, places in figure.kinds.items() for place in places]
    return Table.of(
        "Test tasks of another Sigma than the one learned from",
        (
            Column("Shift", field("shift")),
            Column("At", field("at", "{:g}".format), "at", numeric=True),
            Column("L1/L0 expected", field("expected", four_digits, "–"), "expected", numeric=True),
            Column("L1/L0 measured", measured_in("measured", "interval"), "measured", numeric=True),
            Column("Runs", lambda _: figure.study.run_ids),
        ),
        records,
        dict,
        notes=tuple(_notes(figure)),
    )


def _places(
    study: Study, kind: str, prediction: Prediction, learned: list[Matrix] | None
) -> tuple[Place, ...]:
    prefix, change = f"loss_ratio_{kind}_", KINDS[kind][1]
    found = {
        float(name.removeprefix(prefix)): measured
        for name, measured in study.results.items()
        if name.startswith(prefix)
    }
    places = []
    for at in sorted(found):
        expected = None
        if learned is not None:
            shifted = [change(sigma, at) for sigma in prediction.sigmas]
            expected = float(prediction.loss_ratio(learned, shifted))
        places.append(Place(at, found[at], expected))
    return tuple(places)


def _learned(prediction: Prediction) -> list[Matrix] | None:
    """Return the S each component's module is expected to have at the end of training, from one seed."""
    config = prediction.config
    # A shifted Sigma may be taken for another component.
    if prediction.reason or config.data.dimension > LARGEST or config.method.slow_modules == "inferred":
        return None
    one = Prediction(config.model_copy(update={"seeds": 1}))
    return [s[0, 0] for s in one.way([config.method.steps])]


def _record(figure: Shift, title: str, place: Place) -> dict[str, Any]:
    return {
        "shift": title,
        "at": place.at,
        "expected": place.expected,
        "measured": place.measured.mean,
        "interval": place.measured.interval,
        "run_ids": [run.id for run in figure.study.runs],
    }


def _notes(figure: Shift) -> Iterator[str]:
    yield f"L1/L0 on tasks as learned from: {_value(figure.unshifted)}."
    yield (
        "Degrees turn Sigma in the plane of its first and last eigenvector; a condition number spaces its "
        "eigenvalues anew around the same trace."
    )
    if any(place.expected is not None for places in figure.kinds.values() for place in places):
        yield "Expected: of the S that training leads to on average."
    else:
        yield "No closed form here: a learned optimiser, several inner steps, many dimensions, or z inferred."


def _value(measured: Measured) -> str:
    return with_interval(measured.mean, measured.interval)
