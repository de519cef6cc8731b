"""The linear case study's figures as picture files, drawn by matplotlib.

Not here: what is in a figure (figure4.py, mixture.py, shift.py), files and sheets (canvas.py).
"""

from pathlib import Path
from typing import Any

from fsrun.report.canvas import check_picture, empty_figure, save
from fsrun.report.figure4 import Figure4
from fsrun.report.mixture import Mixture
from fsrun.report.shift import Shift
from fsrun.report.study import Band

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart by colour-blind readers
DASHES = ("-", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))  # and by everyone on paper


def save_figure4(figure: Figure4, path: Path) -> None:
    """Draw both panels of Figure 4 with bands, expected curves and floors into a file.

    Raises UsageError for an ending that is no picture, FsrunError where matplotlib or the folder is missing.
    """
    check_picture(path)
    picture = empty_figure(10, 4)
    left, right = picture.subplots(1, 2)
    study, expected, prediction = figure.study, figure.expected, figure.prediction
    _band(left, study.bands["loss_ratio"], study.name)
    _band(right, study.bands["frobenius"], study.name)
    if expected:
        dashed: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1, "label": "expected"}
        left.plot(expected.steps, expected.loss_ratio, **dashed)
        right.plot(expected.steps, expected.frobenius, **dashed)
    to_rest = study.bands["fixed_point_distance"]
    if to_rest.steps and prediction.rest is not None:
        _band(right, to_rest, "to the corrected $S^*$ instead", 1)
    _floor(left, prediction.training_floor)
    _floor(right, prediction.frobenius_floor)
    left.set(title="(a) $L_1/L_0$ after one fast step", xlabel="tasks", ylim=(0, None))
    right.set(title=r"(b) $\|W_s^T W_s - \Sigma_x^{-1}/\eta\|_F^2$", xlabel="tasks", yscale="log")
    _finish(left, right)
    save(picture, path)


def save_mixture(figure: Mixture, path: Path) -> None:
    """Draw L1/L0 and the distance from whitening of each kind of slow module, with their floors, into a file.

    Raises what save_figure4 raises.
    """
    check_picture(path)
    picture = empty_figure(10, 4)
    left, right = picture.subplots(1, 2)
    for index, arm in enumerate(figure.arms):
        _band(left, arm.study.bands["loss_ratio"], arm.name, index)
        _band(right, arm.study.bands["frobenius"], arm.name, index)
    for index, (name, prediction) in enumerate(figure.floors.items()):
        _floor(left, prediction.training_floor, f"floor, {name}", index)
        _floor(right, prediction.frobenius_floor, f"floor, {name}", index)
    left.set(title="$L_1/L_0$ after one fast step", xlabel="tasks", ylim=(0, None))
    right.set(title=r"$\|W_s^T W_s - \Sigma_z^{-1}/\eta\|_F^2$, mean over $z$", xlabel="tasks", yscale="log")
    _finish(left, right)
    save(picture, path)


def save_shift(figure: Shift, path: Path) -> None:
    """Draw L1/L0 against each shift of the test tasks' Sigma, measured and expected, into a file.

    Raises what save_figure4 raises.
    """
    check_picture(path)
    picture = empty_figure(5 * len(figure.kinds), 4)
    for panel, (kind, places) in zip(
        picture.subplots(1, len(figure.kinds), squeeze=False)[0], figure.kinds.items(), strict=True
    ):
        at = [place.at for place in places]
        halves = [place.measured.interval or 0 for place in places]
        panel.errorbar(
            at, [place.measured.mean for place in places], halves, fmt="o", color=COLOURS[0], label="measured"
        )
        known = [(place.at, place.expected) for place in places if place.expected is not None]
        if known:
            panel.plot(*zip(*known, strict=True), "k--", linewidth=1, label="expected")
        panel.axhline(figure.unshifted.mean, linestyle=":", color="0.4", label="not shifted")
        panel.set(title="$L_1/L_0$ on shifted test tasks", xlabel=kind, ylim=(0, None))
        panel.legend(frameon=False)
    save(picture, path)


def _band(axes: Any, band: Band, label: str, index: int = 0) -> None:
    colour = COLOURS[index % len(COLOURS)]
    axes.plot(band.steps, band.middle, linewidth=1.2, color=colour, label=label, linestyle=DASHES[index % 4])
    axes.fill_between(band.steps, band.low, band.high, color=colour, alpha=0.2, linewidth=0)


def _floor(axes: Any, value: float | None, label: str = "floor", index: int = 0) -> None:
    if value is not None:
        grey = ("0.35", "0.6")[index % 2]
        axes.axhline(value, linestyle=":", color=grey, linewidth=1.5, label=f"{label} {value:.3g}")


def _finish(*panels: Any) -> None:
    for axes in panels:
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.legend(frameon=False, fontsize="small")
