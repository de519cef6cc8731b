"""How charts are looked at, as a value: which steps, which scales, how smooth, where the cursor is.

Not here: keys and mouse (fsrun.tui.widgets.charts), and what is drawn then (fsrun.tui.curves).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

Extent = tuple[float, float]
"""The first and the last step that there is."""

SMOOTHINGS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Over which share of a run's steps curves are smoothed, so that every run looks equally smooth."""

_NARROWEST = 2.0  # steps, or this part of few of them:
_CLOSEST = 1 / 100


class XAxis(Enum):
    """What curves are drawn over."""

    STEP = "step"
    TIME = "time"
    EPOCH = "epoch"


@dataclass(frozen=True)
class View:
    """The view of all charts of a screen; window and cursor are in steps, whatever the x axis shows.

    `flipped` are the quantities drawn on the y scale that is not their usual one, `hidden` are the names of
    series that are not drawn.
    """

    window: Extent | None = None
    flipped: frozenset[str] = frozenset()
    x_axis: XAxis = XAxis.STEP
    smoothing: int = 0  # of SMOOTHINGS
    cursor: float | None = None
    hidden: frozenset[str] = frozenset()


def shown_steps(view: View, extent: Extent) -> Extent:
    """Return the first and the last step in view."""
    return view.window or extent


def zoom(view: View, extent: Extent, factor: float, about: float | None = None) -> View:
    """Return the view `factor` times as close, with a step staying where it is on the screen.

    That step is the cursor, or the middle where there is none in view. Out to the whole curve and not beyond.
    """
    first, last = shown_steps(view, extent)
    if about is None:
        inside = view.cursor is not None and first <= view.cursor <= last
        about = view.cursor if inside and view.cursor is not None else (first + last) / 2
    width = max((last - first) / factor, min(_NARROWEST, _CLOSEST * (extent[1] - extent[0])))
    if width >= extent[1] - extent[0]:
        return replace(view, window=None)
    share = (about - first) / (last - first) if last > first else 0.5
    return replace(view, window=_within(about - share * width, width, extent))


def pan(view: View, extent: Extent, share: float) -> View:
    """Return the view moved to later steps by a share of what is shown, up to the ends of the curve."""
    if view.window is None:
        return view
    width = view.window[1] - view.window[0]
    return replace(view, window=_within(view.window[0] + share * width, width, extent))


def set_cursor(view: View, extent: Extent, step: float) -> View:
    """Return the view with the cursor at a step, or at the nearest end of what there is."""
    return replace(view, cursor=min(max(step, extent[0]), extent[1]))


def toggle_cursor(view: View, extent: Extent) -> View:
    """Return the view without its cursor or, where it has none, with one in the middle."""
    if view.cursor is not None:
        return replace(view, cursor=None)
    return set_cursor(view, extent, sum(shown_steps(view, extent)) / 2)


def move_cursor(view: View, extent: Extent, share: float) -> View:
    """Return the view with the cursor moved by a share of what is shown, which follows it over its ends."""
    first, last = shown_steps(view, extent)
    if view.cursor is None:
        return view
    here = min(max(view.cursor, first), last)
    moved = set_cursor(view, extent, here + share * (last - first))
    assert moved.cursor is not None
    beyond = max(moved.cursor - last, 0) + min(moved.cursor - first, 0)
    return pan(moved, extent, beyond / (last - first)) if beyond else moved


def follow(view: View, extent: Extent, before: Extent) -> View:
    """Return the view after the curve has grown: a window that reached its end still does."""
    if view.window is None or view.window[1] < before[1] or extent[1] <= before[1]:
        return view
    width = view.window[1] - view.window[0]
    return replace(view, window=(extent[1] - width, extent[1]))


def smoother(view: View, by: int) -> View:
    """Return the view with curves smoothed more, or less for a negative number."""
    return replace(view, smoothing=min(max(view.smoothing + by, 0), len(SMOOTHINGS) - 1))


def next_axis(view: View, offered: Sequence[XAxis]) -> View:
    """Return the view over the next of the x axes on offer."""
    place = offered.index(view.x_axis) if view.x_axis in offered else -1
    return replace(view, x_axis=offered[(place + 1) % len(offered)])


def flip_scale(view: View, quantity: str) -> View:
    """Return the view with a quantity on its other y scale: logarithmic or linear."""
    return replace(view, flipped=view.flipped ^ {quantity})


def isolate_next(view: View, names: Sequence[str]) -> View:
    """Return the view with one series alone, each in turn, then all of them again."""
    left = [name for name in names if name not in view.hidden]
    if len(names) < 2:
        return replace(view, hidden=frozenset())
    following = 0 if len(left) != 1 else names.index(left[0]) + 1
    if following == len(names):
        return replace(view, hidden=frozenset())
    return replace(view, hidden=frozenset(names) - {names[following]})


def wanted_steps(view: View, extent: Extent) -> tuple[int, int] | None:
    """Return which steps to read: half as many more on either side, for panning; None for all."""
    if view.window is None:
        return None
    first, last = view.window
    margin = (last - first) / 2
    return int(max(first - margin, extent[0], 0)), int(min(last + margin, extent[1])) + 1


def _within(first: float, width: float, extent: Extent) -> Extent:
    first = min(max(first, extent[0]), extent[1] - width)
    return first, first + width
