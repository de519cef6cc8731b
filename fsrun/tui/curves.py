"""Which curves share a chart, how each chart is called and scaled, and what is drawn of it in a view.

Not here: drawing (fsrun.plot), the place on the screen (widgets/charts.py), and several runs (comparing.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

from fsrun.plot import Plot, Series, Style, smoothed
from fsrun.tui.chart_view import SMOOTHINGS, Extent, View, XAxis
from fsrun.tui.rulers import Ruler, ruler_of, time_ticks
from fsrun.tui.seeds import merged
from fsrun.words import plain
from store.curves import Curve

_SPLITS = ("train", "val", "test")
_TITLES = {
    "loss_ratio": "L1/L0",
    "frobenius": "Frobenius distance",
    "fixed_point_distance": "distance to fixed point",
    "eigenvalue_low": "smallest eigenvalue of η S Σ",
    "eigenvalue_high": "largest eigenvalue of η S Σ",
    "gradient_cosine": "cosine with the ideal step",
}
_ORDER = ("loss_ratio", "frobenius", "loss", "accuracy")  # others after, in alphabetical order
_LOGARITHMIC = ("frobenius", "fixed_point_distance")
_X_LABELS = {XAxis.STEP: "", XAxis.TIME: "time since the start", XAxis.EPOCH: "epochs"}
_TICK_ROOM = 14  # columns a time on the axis takes, with the gap to the next


@dataclass(frozen=True)
class Line:
    """One line of a chart: a curve, or the curves of runs that differ in their seed alone.

    `band` are the curves of its ends where they were logged; `started` is when each curve's run first began.
    """

    name: str
    curves: tuple[Curve, ...]
    band: tuple[Curve, Curve] | None = None
    started: tuple[float | None, ...] = (None,)
    epoch: float | None = None  # steps

    def ruler(self, axis: XAxis) -> Ruler:
        """Return what places the steps of the line's first curve."""
        return ruler_of(axis, self.curves[0], self.started[0], self.epoch)


@dataclass(frozen=True)
class Chart:
    """One quantity: a line for each split it was measured on, or for each run compared.

    `length` is how many steps the runs have in all, `label` a name for the chart other than the quantity's.
    """

    quantity: str
    lines: tuple[Line, ...]
    length: float = 0.0
    label: str = ""

    @property
    def name(self) -> str:
        """What the chart shows."""
        return self.label or _TITLES.get(self.quantity, plain(self.quantity))

    @property
    def curves(self) -> tuple[Curve, ...]:
        """All curves of the chart."""
        return tuple(curve for line in self.lines for curve in line.curves)

    @cached_property
    def extent(self) -> Extent:
        """The first and the last step of any curve."""
        steps = [end for curve in self.curves if curve.steps for end in (curve.steps[0], curve.steps[-1])]
        return (float(min(steps)), float(max(steps))) if steps else (0.0, 1.0)

    @property
    def ruler(self) -> Line | None:
        """The line by which the cursor and the window are placed."""
        return next((line for line in self.lines if line.curves[0].steps), None)

    def log_y(self, view: View) -> bool:
        """Whether the quantity is on a log axis: usually where it falls over orders of magnitude."""
        return (self.quantity in _LOGARITHMIC) != (self.quantity in view.flipped)

    def title(self, view: View) -> str:
        """The name, with what is not usual about its axis."""
        return f"{self.name}, log" if self.log_y(view) else self.name

    @property
    def series(self) -> tuple[Series, ...]:
        """All lines as they are without a view."""
        return self.plot(View(), self.extent).series

    def plot(self, view: View, extent: Extent, width: int = 80) -> Plot:
        """Return what is drawn of the chart; `extent` is that of all charts of the screen."""
        scale = SMOOTHINGS[view.smoothing] * (self.length or extent[1])
        everything = list(enumerate(self.lines))
        left = [(look, line) for look, line in everything if line.name not in view.hidden]
        drawn = [
            series
            for look, line in left or everything  # a chart has none of the names that another one has
            for series in _series(line, view.x_axis, scale, look)
        ]
        ruler = self.ruler.ruler(view.x_axis) if self.ruler else Ruler()
        # Time before the first point is not known: a whole curve over time begins with it.
        window = view.window or (None if view.x_axis is XAxis.TIME else extent)
        ends = None if window is None else (ruler.place(window[0]), ruler.place(window[1]))
        return Plot(
            tuple(drawn),
            title=self.title(view),
            log_y=self.log_y(view),
            x_label=_X_LABELS[ruler.axis],
            x_ticks=_ticks(drawn, ends, width) if ruler.axis is XAxis.TIME else (),
            x_limits=ends,
            cursor=None if view.cursor is None else ruler.place(view.cursor),
        )


def charts_of(
    curves: Sequence[Curve],
    *,
    started: float | None = None,
    epoch: float | None = None,
    length: float = 0.0,
) -> tuple[Chart, ...]:
    """Return one chart for each quantity, so that train/loss and val/loss are drawn together.

    Metrics called name.low and name.high are the band of the metric `name`, not curves of their own.
    """
    lines = [replace(line, started=(started,), epoch=epoch) for line in lines_of(curves)]
    by_quantity: dict[str, list[Line]] = {}
    for line in lines:
        by_quantity.setdefault(line.curves[0].name.rpartition("/")[2], []).append(line)
    return tuple(
        Chart(name, tuple(sorted(by_quantity[name], key=_split_rank)), length)
        for name in ordered(by_quantity)
    )


def lines_of(curves: Sequence[Curve]) -> list[Line]:
    """Return a line for each curve that is not the end of another one's band, named by its split."""
    named = {curve.name: curve for curve in curves}
    bands = {
        name: (named[f"{name}.low"], named[f"{name}.high"])
        for name in named
        if f"{name}.low" in named and f"{name}.high" in named
    }
    ends = {end.name for band in bands.values() for end in band}
    return [
        Line(plain(curve.name.partition("/")[0]), (curve,), bands.get(curve.name))
        for curve in curves
        if curve.name not in ends
    ]


def ordered(quantities: Iterable[str]) -> list[str]:
    """Return quantities in the order in which they are told."""
    return sorted(quantities, key=lambda name: (_rank(name, _ORDER), name))


def metrics_of(names: Iterable[str]) -> list[str]:
    """Return the metrics among names, ends of bands left out, in the order in which they are told."""
    whole = {name.removesuffix(".low").removesuffix(".high") for name in names}

    def told(name: str) -> tuple[object, ...]:
        quantity = name.rpartition("/")[2]
        return _rank(quantity, _ORDER), quantity, _rank(name, ("val", "train")), name

    return sorted(whole, key=told)


def _series(line: Line, axis: XAxis, scale: float, look: int) -> list[Series]:
    """Return the line as it is drawn: smoothed, with the raw line faint behind; in its band or extremes."""
    parts = [_placed(line, place, axis) for place in range(len(line.curves))]
    if len(parts) > 1:
        even = [
            replace(part, values=smoothed(line.curves[place].steps, part.values, scale))
            for place, part in enumerate(parts)
        ]
        return [replace(merged(line.name, even), look=look)]
    (raw,) = parts
    raw = replace(raw, look=look)
    if not scale:
        return [raw]
    smooth = smoothed(line.curves[0].steps, raw.values, scale)
    return [replace(raw, style=Style.FAINT), replace(raw, values=smooth, low=None, high=None)]


def _placed(line: Line, place: int, axis: XAxis) -> Series:
    """Return one curve over the x axis, the newest value last."""
    curve = line.curves[place]
    ruler = ruler_of(axis, curve, line.started[place], line.epoch)
    low, high = line.band or (curve, curve)
    whole = low.steps == high.steps == curve.steps  # else one end was read before the others were written
    return Series(
        name=line.name,
        steps=curve.steps if axis is XAxis.STEP else [ruler.place(step) for step in curve.steps],
        values=(*curve.mean[:-1], *curve.last[-1:]),
        low=low.low if whole else curve.low,
        high=high.high if whole else curve.high,
    )


def _ticks(
    drawn: Sequence[Series], window: tuple[float, float] | None, width: int
) -> tuple[tuple[float, str], ...]:
    ends = [end for one in drawn if one.steps for end in (one.steps[0], one.steps[-1])]
    low, high = window or (min(ends, default=inf), max(ends, default=-inf))
    return time_ticks(low, high, max(width // _TICK_ROOM, 2)) if low < high else ()


def _split_rank(line: Line) -> int:
    return _rank(line.curves[0].name, _SPLITS)


def _rank(name: str, order: Sequence[str]) -> int:
    name = name.partition("/")[0]
    return order.index(name) if name in order else len(order)
