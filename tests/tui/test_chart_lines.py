"""From curves to lines: several seeds as one, time and epochs on the x axis, smoothing in a view."""

import math

import pytest

from experiments.config import config_to_json
from experiments.sweeps import Sweep, plan
from fsrun.plot import Series, Style
from fsrun.tui.chart_view import SMOOTHINGS, View, XAxis
from fsrun.tui.curves import Chart, Line, charts_of, metrics_of
from fsrun.tui.rulers import ruler_of, steps_per_epoch, time_ticks
from fsrun.tui.seeds import merged
from store.curves import Curve


def curve(name: str, points: dict[int, float], seconds: float = 1.0, start: float = 100.0) -> Curve:
    values = tuple(points.values())
    times = tuple(start + seconds * step for step in points)
    return Curve(name, tuple(points), values, values, values, values, times)


def test_seeds_become_their_mean_with_a_band_from_lowest_to_highest() -> None:
    one = Series("a", [0, 10, 20], [0.0, 2.0, 4.0])
    other = Series("b", [0, 20], [2.0, 6.0])  # 4 between its points
    both = merged("both", [one, other])
    assert list(both.steps) == [0, 10, 20]
    assert both.values == [1.0, 3.0, 5.0]
    assert (both.low, both.high) == ([0.0, 2.0, 4.0], [2.0, 4.0, 6.0])


def test_a_seed_that_is_behind_or_has_a_gap_counts_where_it_has_values() -> None:
    whole = Series("a", [0, 1, 2, 3], [1.0, 1.0, 1.0, 1.0])
    behind = Series("b", [0, 1], [3.0, math.nan])
    both = merged("both", [whole, behind])
    assert both.values == [2.0, 1.0, 1.0, 1.0]
    nothing = merged("none", [Series("c", [5], [math.nan])])
    assert math.isnan(nothing.values[0])


def test_time_counts_from_the_start_of_the_run_and_back_again() -> None:
    ruler = ruler_of(XAxis.TIME, curve("train/loss", {10: 1.0, 20: 1.0}, seconds=2.0), 90.0, None)
    assert [ruler.place(step) for step in (10, 15, 20, 25)] == [30, 40, 50, 60]
    assert [ruler.step(place) for place in (30, 40, 60)] == [10, 15, 25]


def test_a_clock_that_was_put_back_does_not_turn_the_axis_round() -> None:
    put_back = Curve("a", (1, 2, 3), (1.0,) * 3, (1.0,) * 3, (1.0,) * 3, (1.0,) * 3, (100.0, 50.0, 120.0))
    ruler = ruler_of(XAxis.TIME, put_back, None, None)
    places = [ruler.place(step) for step in (1, 1.5, 2, 2.5, 3)]
    assert places == sorted(places)


def test_times_on_the_axis_are_round() -> None:
    assert [words for _, words in time_ticks(0, 600, 4)] == ["0", "5m", "10m"]
    assert [words for _, words in time_ticks(0, 7200, 3)] == ["0", "1h", "2h"]
    assert [place for place, _ in time_ticks(100, 220, 3)] == [120, 180]
    assert time_ticks(0.1, 0.4, 5) == ()


def config_of(method: str, **settings: list[object]) -> str:
    (planned, *_) = plan(Sweep("omniglot", (method,), preset="paper", settings=settings))
    return config_to_json(planned.config)


def test_epochs_are_known_of_trainings_by_minibatches_alone() -> None:
    images = 20 * 4 * 1028  # drawers, rotations, characters to train on
    assert steps_per_epoch(config_of("cnn", batch_size=[64])) == images / 64
    assert steps_per_epoch(config_of("cnn", batch_size=[128])) == images / 128
    assert steps_per_epoch(config_of("protonet")) is None
    assert steps_per_epoch('{"of": "another version"}') is None


def test_over_epochs_a_step_is_a_share_of_one() -> None:
    charts = charts_of([curve("train/loss", {50: 1.0, 100: 2.0})], epoch=25.0)
    plot = charts[0].plot(View(x_axis=XAxis.EPOCH, window=(50, 75), cursor=50), (50.0, 100.0))
    assert list(plot.series[0].steps) == [2.0, 4.0]
    assert (plot.x_limits, plot.cursor, plot.x_label) == ((2.0, 3.0), 2.0, "epochs")


def test_a_smoothed_curve_has_the_raw_one_faint_behind_it_with_its_extremes() -> None:
    noisy = curve("train/loss", {step: float(step % 2) for step in range(1, 101)})
    (chart,) = charts_of([noisy], length=100.0)
    raw, smooth = chart.plot(View(smoothing=len(SMOOTHINGS) - 1), chart.extent).series
    assert raw.style is Style.FAINT
    assert list(raw.values) == list(noisy.mean)
    assert raw.low is not None
    assert smooth.values[-1] == pytest.approx(0.5, abs=0.05)
    assert (smooth.low, raw.look, smooth.look) == (None, 0, 0)


def test_a_hidden_line_is_gone_and_the_others_keep_their_looks() -> None:
    (chart,) = charts_of([curve("train/loss", {1: 1.0}), curve("val/loss", {1: 2.0})])
    (left,) = chart.plot(View(hidden=frozenset({"train"})), chart.extent).series
    assert (left.name, left.look) == ("val", 1)
    both = chart.plot(View(hidden=frozenset({"train", "val"})), chart.extent).series
    assert [one.name for one in both] == ["train", "val"]  # none of another chart's names is here


def test_a_scale_is_the_quantitys_own_until_it_is_flipped() -> None:
    line = Line("a", (curve("train/frobenius", {1: 1.0}),))
    chart = Chart("frobenius", (line,))
    assert chart.plot(View(), chart.extent).log_y
    assert chart.title(View()) == "Frobenius distance, log"
    assert not chart.plot(View(flipped=frozenset({"frobenius"})), chart.extent).log_y


def test_metrics_are_told_losses_and_accuracies_first_and_without_the_ends_of_bands() -> None:
    names = ["train/zeta", "train/loss.low", "train/loss", "train/loss.high", "val/loss", "train/accuracy"]
    assert metrics_of(names) == ["val/loss", "train/loss", "train/accuracy", "train/zeta"]
