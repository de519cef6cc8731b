"""Metrics called name.low and name.high are the band of the metric `name`."""

from fsrun.tui.curves import charts_of
from store.curves import Curve

STEPS = (1, 2, 3)


def curve(name: str, *values: float) -> Curve:
    lower, higher = tuple(value - 0.5 for value in values), tuple(value + 0.5 for value in values)
    return Curve(name, STEPS[: len(values)], values, lower, higher, values, (0.0,) * len(values))


def test_a_band_is_drawn_around_its_curve_and_not_as_curves_of_its_own() -> None:
    curves = [
        curve("train/frobenius", 5, 4, 3),
        curve("train/frobenius.high", 7, 6, 5),
        curve("train/frobenius.low", 3, 2, 1),
    ]
    (chart,) = charts_of(curves)
    (series,) = chart.series
    assert (series.name, series.values) == ("train", (5, 4, 3))
    assert (series.low, series.high) == ((2.5, 1.5, 0.5), (7.5, 6.5, 5.5))  # extremes of the band's ends


def test_a_band_whose_ends_are_behind_is_left_out() -> None:
    (chart,) = charts_of([curve("train/a", 5, 4, 3), curve("train/a.high", 7, 6), curve("train/a.low", 3, 2)])
    assert chart.series[0].low == (4.5, 3.5, 2.5)


def test_an_end_without_a_curve_or_its_other_end_is_a_curve_itself() -> None:
    charts = charts_of([curve("train/a.low", 1, 2), curve("train/b", 3, 4), curve("train/b.high", 5, 6)])
    assert [chart.quantity for chart in charts] == ["a.low", "b", "b.high"]
