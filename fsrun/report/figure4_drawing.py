"""Figure 4 as curves in a terminal, and as text, Markdown, CSV or JSON.

Not here: what is in it (figure4.py), and picture files (pictures.py).
"""

from collections.abc import Sequence

from rich.text import Text
from sqlalchemy import Engine

from fsrun.plot import Level, Series, draw_chart
from fsrun.report.figure4 import DRAWN_POINTS, Figure4, document, figure4, points, summary, verdicts
from fsrun.report.render import Format, printed, to_csv, to_json, to_markdown, to_text
from fsrun.report.study import Band

ALL_POINTS = 10_000_000
CHART_HEIGHT = 16  # lines
DASH = 5  # points, of the 150 of an expected curve


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
    """Draw both panels below each other, (b) on a log axis, each with its expected curve and its floor."""
    expected, bands = figure.expected, figure.study.bands
    to_rest = bands["fixed_point_distance"]
    left = [series_of(bands["loss_ratio"], figure.study.name)]
    right = [series_of(bands["frobenius"], figure.study.name)]
    if expected:
        left.append(dashed("expected", expected.steps, expected.loss_ratio))
        right.append(dashed("expected", expected.steps, expected.frobenius))
    if to_rest.steps and figure.prediction.rest is not None:
        right.append(Series("to S*", to_rest.steps, to_rest.middle))
    return Text("\n\n").join(
        [
            draw_chart(
                left,
                width=width,
                height=CHART_HEIGHT,
                title="(a) L1/L0 after one fast step",
                lines=levels(figure.prediction.training_floor),
                colour=colour,
            ),
            draw_chart(
                right,
                width=width,
                height=CHART_HEIGHT,
                title="(b) ‖S - Σ⁻¹/η‖² (Frobenius)",
                log_y=True,
                lines=levels(figure.prediction.frobenius_floor),
                colour=colour,
                x_label="tasks",
            ),
        ]
    )


def series_of(band: Band, name: str) -> Series:
    """Return a band as a curve to draw."""
    return Series(name, band.steps, band.middle, band.low, band.high)


def dashed(name: str, steps: Sequence[int], values: Sequence[float]) -> Series:
    """Return a smooth curve in dashes, through which what lies below it shows; its last value is kept."""
    shown = [
        value if index // DASH % 2 == 0 or index == len(values) - 1 else float("nan")
        for index, value in enumerate(values)
    ]
    return Series(name, steps, shown)


def levels(floor: float | None, name: str = "floor") -> list[Level]:
    """Return the line a curve cannot pass, none where theory knows none."""
    return [] if floor is None else [Level(name, floor)]
