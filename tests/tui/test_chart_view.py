"""Views of charts as values: zoom, pan and cursor by numbers known in advance."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsrun.tui.chart_view import (
    SMOOTHINGS,
    View,
    XAxis,
    flip_scale,
    follow,
    isolate_next,
    move_cursor,
    next_axis,
    pan,
    set_cursor,
    smoother,
    toggle_cursor,
    wanted_steps,
    zoom,
)

WHOLE = (0.0, 1000.0)


def test_zooming_in_twice_shows_a_quarter_around_the_middle() -> None:
    once = zoom(View(), WHOLE, 2)
    assert once.window == (250, 750)
    assert zoom(once, WHOLE, 2).window == (375, 625)


def test_zooming_keeps_the_step_under_the_mouse_where_it_is() -> None:
    assert zoom(View(), WHOLE, 2, 100).window == (50, 550)
    assert zoom(View(window=(50, 550)), WHOLE, 0.5, 100).window is None


def test_zooming_goes_to_the_cursor_where_it_is_in_view() -> None:
    assert zoom(View(cursor=800), WHOLE, 4).window == (600, 850)
    assert zoom(View(window=(0, 100), cursor=800), WHOLE, 2).window == (25, 75)


def test_zooming_out_ends_at_the_whole_curve_and_in_at_two_steps() -> None:
    assert zoom(View(window=(0, 600)), WHOLE, 0.5).window is None
    closest = View()
    for _ in range(40):
        closest = zoom(closest, WHOLE, 2, 500)
    assert closest.window is not None
    assert closest.window[1] - closest.window[0] == pytest.approx(2)
    assert closest.window[0] <= 500 <= closest.window[1]


def test_a_view_pans_up_to_the_ends_and_a_whole_one_not_at_all() -> None:
    view = View(window=(100, 300))
    assert pan(view, WHOLE, 0.5).window == (200, 400)
    assert pan(view, WHOLE, -10).window == (0, 200)
    assert pan(view, WHOLE, 10).window == (800, 1000)
    assert pan(View(), WHOLE, 0.5) == View()


def test_the_cursor_appears_in_the_middle_moves_and_takes_the_view_along() -> None:
    view = toggle_cursor(View(window=(100, 300)), WHOLE)
    assert view.cursor == 200
    assert move_cursor(view, WHOLE, 0.25) == replace(view, cursor=250)
    beyond = move_cursor(replace(view, cursor=290), WHOLE, 0.25)
    assert (beyond.cursor, beyond.window) == (340, (140, 340))
    assert toggle_cursor(view, WHOLE).cursor is None
    assert move_cursor(View(), WHOLE, 1) == View()
    assert set_cursor(View(), WHOLE, 2000).cursor == 1000


def test_a_window_at_the_end_of_a_growing_curve_stays_at_its_end() -> None:
    assert follow(View(window=(800, 1000)), (0, 1500), WHOLE).window == (1300, 1500)
    assert follow(View(window=(700, 900)), (0, 1500), WHOLE).window == (700, 900)


def test_half_a_window_more_is_read_on_either_side_as_far_as_there_is_any() -> None:
    assert wanted_steps(View(), WHOLE) is None
    assert wanted_steps(View(window=(400, 500)), WHOLE) == (350, 551)
    assert wanted_steps(View(window=(0, 100)), WHOLE) == (0, 151)
    assert wanted_steps(View(window=(900, 1000)), WHOLE) == (850, 1001)


def test_smoothing_and_scales_and_axes_go_round_or_stop_at_their_ends() -> None:
    assert smoother(View(), -1).smoothing == 0
    assert smoother(View(), 99).smoothing == len(SMOOTHINGS) - 1
    flipped = flip_scale(View(), "loss")
    assert flipped.flipped == {"loss"}
    assert flip_scale(flipped, "loss") == View()
    without_epochs = [XAxis.STEP, XAxis.TIME]
    assert next_axis(View(), without_epochs).x_axis is XAxis.TIME
    assert next_axis(View(x_axis=XAxis.TIME), without_epochs).x_axis is XAxis.STEP
    assert next_axis(View(x_axis=XAxis.EPOCH), without_epochs).x_axis is XAxis.STEP


def test_each_curve_is_alone_in_turn_and_then_all_are_back() -> None:
    names = ["train", "val", "test"]
    seen, view = [], View()
    for _ in range(4):
        view = isolate_next(view, names)
        seen.append([name for name in names if name not in view.hidden])
    assert seen == [["train"], ["val"], ["test"], names]


@given(
    st.floats(0, 1e7),
    st.floats(1, 1e7),
    st.lists(st.tuples(st.sampled_from(["zoom", "pan", "move"]), st.floats(-20, 20)), max_size=20),
)
def test_whatever_one_does_the_window_stays_within_what_there_is(
    first: float, width: float, acts: list[tuple[str, float]]
) -> None:
    extent = (first, first + width)
    view = set_cursor(View(), extent, first + width / 3)
    for act, amount in acts:
        if act == "zoom":
            view = zoom(view, extent, 2**amount)
        else:
            view = (pan if act == "pan" else move_cursor)(view, extent, amount)
        low, high = view.window or extent
        slack = 1e-6 * (1 + extent[1])
        assert extent[0] - slack <= low < high <= extent[1] + slack
        assert view.cursor is not None
        assert extent[0] <= view.cursor <= extent[1]
