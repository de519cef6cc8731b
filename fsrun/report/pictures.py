"""The figures of the linear case study, drawn by matplotlib.

Not here: what is in a figure (figure4.py, mixture.py, shift.py), and the sheets (canvas.py).
"""

from collections.abc import Sequence
from typing import Any

from fsrun.axes import format_number, with_interval
from fsrun.report.canvas import COLOURS, DASHES, Picture, empty_picture, printed_style
from fsrun.report.figure4 import Figure4
from fsrun.report.mixture import Mixture
from fsrun.report.shift import Shift
from fsrun.report.study import Band


@printed_style
def draw_figure4(figure: Figure4) -> Picture:
    """Draw both panels of Figure 4 with bands, expected curves and floors."""
    picture = empty_picture(10, 4)
    left, right = picture.figure.subplots(1, 2)
    study, expected, prediction = figure.study, figure.expected, figure.prediction
    _band(picture, left, study.bands["loss_ratio"], study.name)
    _band(picture, right, study.bands["frobenius"], study.name)
    if expected:
        _expected(picture, left, expected.steps, expected.loss_ratio)
        _expected(picture, right, expected.steps, expected.frobenius)
    to_rest = study.bands["fixed_point_distance"]
    if to_rest.steps and prediction.rest is not None:
        _band(picture, right, to_rest, "to the corrected $S^*$ instead", 1)
    _floor(left, prediction.training_floor)
    _floor(right, prediction.frobenius_floor)
    left.set(title="(a) $L_1/L_0$ after one fast step", xlabel="tasks", ylim=(0, None))
    right.set(title=r"(b) $\|W_s^T W_s - \Sigma_x^{-1}/\eta\|_F^2$", xlabel="tasks", yscale="log")
    _finish(left, right)
    return picture


@printed_style
def draw_mixture(figure: Mixture) -> Picture:
    """Draw L1/L0 and the distance from whitening of each kind of slow module, with their floors."""
    picture = empty_picture(10, 4)
    left, right = picture.figure.subplots(1, 2)
    for index, arm in enumerate(figure.arms):
        _band(picture, left, arm.study.bands["loss_ratio"], arm.name, index)
        _band(picture, right, arm.study.bands["frobenius"], arm.name, index)
    for index, (name, prediction) in enumerate(figure.floors.items()):
        _floor(left, prediction.training_floor, f"floor, {name}", index)
        _floor(right, prediction.frobenius_floor, f"floor, {name}", index)
    left.set(title="$L_1/L_0$ after one fast step", xlabel="tasks", ylim=(0, None))
    right.set(title=r"$\|W_s^T W_s - \Sigma_z^{-1}/\eta\|_F^2$, mean over $z$", xlabel="tasks", yscale="log")
    _finish(left, right)
    return picture


@printed_style
def draw_shift(figure: Shift) -> Picture:
    """Draw L1/L0 against each shift of the test tasks' Sigma, measured and expected."""
    picture = empty_picture(5 * len(figure.kinds), 4)
    panels = picture.figure.subplots(1, len(figure.kinds), squeeze=False)[0]
    for panel, (kind, places) in zip(panels, figure.kinds.items(), strict=True):
        at = [place.at for place in places]
        means = [place.measured.mean for place in places]
        halves = [place.measured.interval or 0 for place in places]
        panel.errorbar(at, means, halves, fmt="o", color=COLOURS[0], label="measured")
        texts = [with_interval(place.measured.mean, place.measured.interval) for place in places]
        picture.mark(
            panel, "measured", at, means, [f"{kind} {x:g}: {text}" for x, text in zip(at, texts, strict=True)]
        )
        known = [(place.at, place.expected) for place in places if place.expected is not None]
        if known:
            panel.plot(*zip(*known, strict=True), "k--", linewidth=1, label="expected")
        panel.axhline(figure.unshifted.mean, linestyle=":", color="black", alpha=0.6, label="not shifted")
        panel.set(title="$L_1/L_0$ on shifted test tasks", xlabel=kind, ylim=(0, None))
        panel.legend()
    return picture


def _band(picture: Picture, axes: Any, band: Band, label: str, index: int = 0) -> None:
    colour = COLOURS[index % len(COLOURS)]
    dash = DASHES[index % len(DASHES)]
    axes.plot(band.steps, band.middle, linewidth=1.2, color=colour, label=label, linestyle=dash)
    axes.fill_between(band.steps, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
    texts = [
        f"{step:,} tasks: {format_number(middle)} ({format_number(low)} to {format_number(high)})"
        for step, middle, low, high in zip(band.steps, band.middle, band.low, band.high, strict=True)
    ]
    picture.mark(axes, label.replace("$", ""), band.steps, band.middle, texts)


def _expected(picture: Picture, axes: Any, steps: Sequence[int], values: Sequence[float]) -> None:
    axes.plot(steps, values, color="black", linestyle="--", linewidth=1, label="expected")
    texts = [f"{step:,} tasks: {format_number(value)}" for step, value in zip(steps, values, strict=True)]
    picture.mark(axes, "expected", steps, values, texts)


def _floor(axes: Any, value: float | None, label: str = "floor", index: int = 0) -> None:
    if value is not None:
        fainter = (0.7, 0.4)[index % 2]
        axes.axhline(
            value, linestyle=":", color="black", alpha=fainter, linewidth=1.5, label=f"{label} {value:.3g}"
        )


def _finish(*panels: Any) -> None:
    for axes in panels:
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.legend()
