"""Which curves of a run share a chart, and how each chart is called and scaled.

Not here: drawing (fsrun.plot) and the place on the screen (fsrun.tui.widgets.charts).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fsrun.plot import Series
from fsrun.words import plain
from store.metrics import Curve

_SPLITS = ("train", "val", "test")
_TITLES = {
    "loss_ratio": "L1/L0",
    "frobenius": "Frobenius distance, log",
    "fixed_point_distance": "distance to fixed point, log",
    "eigenvalue_low": "smallest eigenvalue of η S Σ",
    "eigenvalue_high": "largest eigenvalue of η S Σ",
    "gradient_cosine": "cosine with the ideal step",
}
_ORDER = ("loss_ratio", "frobenius", "loss", "accuracy")  # others after, in alphabetical order
_LOGARITHMIC = ("frobenius", "fixed_point_distance")


@dataclass(frozen=True)
class Chart:
    """One quantity of one run, a curve for each split it was measured on."""

    quantity: str
    curves: tuple[Curve, ...]
    bands: Mapping[str, tuple[Curve, Curve]] = field(default_factory=dict)  # by curve: name.low, name.high

    @property
    def title(self) -> str:
        """What the chart shows."""
        return _TITLES.get(self.quantity, plain(self.quantity))

    @property
    def log_y(self) -> bool:
        """Whether the quantity falls over orders of magnitude."""
        return self.quantity in _LOGARITHMIC

    @property
    def series(self) -> tuple[Series, ...]:
        """The curves with the newest value last, in their bands or, where there are none, extremes."""
        return tuple(self._series(curve) for curve in self.curves)

    def _series(self, curve: Curve) -> Series:
        low, high = self.bands.get(curve.name, (curve, curve))
        whole = low.steps == high.steps == curve.steps  # else one end was read before the others were written
        return Series(
            name=plain(curve.name.partition("/")[0]),
            steps=curve.steps,
            values=(*curve.mean[:-1], *curve.last[-1:]),
            low=low.low if whole else curve.low,
            high=high.high if whole else curve.high,
        )


def charts_of(curves: Sequence[Curve]) -> tuple[Chart, ...]:
    """Return one chart for each quantity, so that train/loss and val/loss are drawn together.

    Metrics called name.low and name.high are the band of the metric `name`, not curves of their own.
    """
    named = {curve.name: curve for curve in curves}
    bands = {
        name: (named[f"{name}.low"], named[f"{name}.high"])
        for name in named
        if f"{name}.low" in named and f"{name}.high" in named
    }
    ends = {end.name for band in bands.values() for end in band}
    by_quantity: dict[str, list[Curve]] = {}
    for curve in (curve for curve in curves if curve.name not in ends):
        by_quantity.setdefault(curve.name.rpartition("/")[2], []).append(curve)
    ordered = sorted(by_quantity, key=lambda name: (_rank(name, _ORDER), name))
    return tuple(
        Chart(name, tuple(sorted(by_quantity[name], key=lambda curve: _rank(curve.name, _SPLITS))), bands)
        for name in ordered
    )


def _rank(name: str, order: Sequence[str]) -> int:
    name = name.partition("/")[0]
    return order.index(name) if name in order else len(order)
