"""Which curves of a run share a chart, and how each chart is called and scaled.

Not here: drawing (fsrun.plot) and the place on the screen (fsrun.tui.widgets.charts).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fsrun.plot import Series
from fsrun.words import plain
from store.metrics import Curve

_SPLITS = ("train", "val", "test")
_TITLES = {
    "loss_ratio": "L1/L0",
    "frobenius": "Frobenius distance, log",
    "fixed_point_distance": "distance to fixed point, log",
}
_ORDER = ("loss_ratio", "frobenius", "loss", "accuracy")  # others after, in alphabetical order
_LOGARITHMIC = ("frobenius", "fixed_point_distance")


@dataclass(frozen=True)
class Chart:
    """One quantity of one run, a curve for each split it was measured on."""

    quantity: str
    curves: tuple[Curve, ...]

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
        """The curves as means with extremes, the newest value last."""
        return tuple(
            Series(
                name=plain(curve.name.partition("/")[0]),
                steps=curve.steps,
                values=(*curve.mean[:-1], *curve.last[-1:]),
                low=curve.low,
                high=curve.high,
            )
            for curve in self.curves
        )


def charts_of(curves: Sequence[Curve]) -> tuple[Chart, ...]:
    """Return one chart for each quantity, so that train/loss and val/loss are drawn together."""
    by_quantity: dict[str, list[Curve]] = {}
    for curve in curves:
        by_quantity.setdefault(curve.name.rpartition("/")[2], []).append(curve)
    ordered = sorted(by_quantity, key=lambda name: (_rank(name, _ORDER), name))
    return tuple(
        Chart(name, tuple(sorted(by_quantity[name], key=lambda curve: _rank(curve.name, _SPLITS))))
        for name in ordered
    )


def _rank(name: str, order: Sequence[str]) -> int:
    name = name.partition("/")[0]
    return order.index(name) if name in order else len(order)
