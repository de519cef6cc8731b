"""Figure 4 as curves in a terminal, and as text, Markdown, CSV or JSON.

Not here: what is in it (figure4.py), and picture files (pictures.py).
"""

from collections.abc import Sequence

from rich.text import Text
from sqlalchemy import Engine

from fsrun.plot import Level, Plot, Series, Style, draw
from fsrun.report.figure4 import DRAWN_POINTS, Figure4, document, figure4, points, summary, verdicts
from fsrun.report.render import Format, printed, to_csv, to_json, to_markdown, to_text
from fsrun.report.study import Band

ALL_POINTS = 10_000_000
CHART_HEIGHT = 16  # lines


def render_figure4(
    engine: Engine, form: Format, *, run_id: int | None = None, width: int = 80, colour: bool = False
) -> str:
    """Return Figure 4 in a format: curves and tables, as CSV the points, as JSON all of it with provenance.

    Raises what figure4 raises.
    """
    complete = form in (Format.CSV, Format.JSON)
    figure = figure4(engine, run_id=run_id, max_points=ALL_POINTS if complete else DRAWN_POINTS)
    match form:
        case Format.TEXT:
            drawn = printed(charts(figure, width=width, colour=colour), width=width, colour=colour)
            tables = [
                to_text(made, width=width, colour=colour) for made in (summary(figure), verdicts(figure))
            ]
            return "\n\n".join([drawn, *tables])
        case Format.MARKDOWN:
            tables = [to_markdown(made) for made in (summary(figure), verdicts(figure))]
            return "\n\n".join([*tables, f"```\n{charts(figure, width=width, colour=False)}\n```"])
        case Format.CSV:
            return to_csv(points(figure))
        case Format.JSON:
            return to_json(document(figure))


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
