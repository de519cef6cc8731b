"""Figure 4 as curves in a terminal.

Not here: what is in it (figure4.py), and its sheet (pictures.py).
"""

from collections.abc import Sequence

from rich.text import Text

from fsrun.plot import Level, Plot, Series, Style, draw
from fsrun.report.figure4 import Figure4
from fsrun.report.study import Band

CHART_HEIGHT = 16  # lines


def charts(figure: Figure4, *, width: int, colour: bool) -> Text:
    """Draw both panels below each other."""
    drawn = [draw(plot, width=width, height=CHART_HEIGHT, colour=colour).rows for plot in plots(figure)]
    return Text("\n\n").join(Text("\n").join(rows) for rows in drawn)


def plots(figure: Figure4) -> tuple[Plot, Plot]:
    """Return both panels, (b) on a log axis, each with its expected curve and its floor."""
    expected, bands = figure.expected, figure.study.bands
    to_rest = bands["fixed_point_distance"]
    left = [series_of(bands["loss_ratio"], figure.study.name)]
    right = [series_of(bands["frobenius"], figure.study.name)]
    if expected:
        left.append(reference(expected.steps, expected.loss_ratio))
        right.append(reference(expected.steps, expected.frobenius))
    if to_rest.steps and figure.prediction.rest is not None:
        right.append(Series("to S*", to_rest.steps, to_rest.middle))
    low = tuple(levels(figure.prediction.training_floor))
    lower = tuple(levels(figure.prediction.frobenius_floor))
    return (
        Plot(tuple(left), "(a) L1/L0 after one fast step", low),
        Plot(tuple(right), "(b) ‖S - Σ⁻¹/η‖² (Frobenius)", lower, log_y=True, x_label="tasks"),
    )


def series_of(band: Band, name: str) -> Series:
    """Return a band as a curve to draw."""
    return Series(name, band.steps, band.middle, band.low, band.high)


def reference(steps: Sequence[int], values: Sequence[float]) -> Series:
    """Return the way theory expects, as a line one tells from what was measured."""
    return Series("expected", steps, values, style=Style.REFERENCE)


def levels(floor: float | None, name: str = "floor") -> list[Level]:
    """Return the line a curve cannot pass, none where theory knows none."""
    return [] if floor is None else [Level(name, floor)]
