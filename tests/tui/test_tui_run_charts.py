"""The charts of a run: what keys and mouse do to them, and what is read then."""

from typing import cast

import pytest
from textual.events import MouseScrollUp
from textual.pilot import Pilot

from fsrun.tui.chart_view import View, XAxis
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.run import RunScreen
from tests.tui.run_cases import opened, trained
from tests.tui.tui_cases import Lab, halving, is_open, rising, screen_text, shows, until, use


def asked(pilot: Pilot[None]) -> tuple[int, int] | None:
    return cast(RunScreen, pilot.app.screen).closely().window


def test_zooming_asks_the_store_for_the_window_and_finer_points_come(lab: Lab) -> None:
    trained(lab, range(1, 1001))

    async def steps(pilot: Pilot[None]) -> None:
        charts = await opened(pilot)
        whole = charts.charts[0].curves[0].steps
        assert len(whole) < 300
        await pilot.press("z", "z", "z")
        assert charts.view.window is not None
        first, last = charts.view.window
        assert last - first == 125
        await until(pilot, lambda: asked(pilot) == (375, 626))
        await until(pilot, lambda: charts.charts[0].curves[0].steps[-1] < 1000)
        near = [step for step in charts.charts[0].curves[0].steps if first <= step <= last]
        assert len(near) == 125  # every step, where the whole curve had every eighth
        await until(pilot, shows(pilot, "of 1,000"))
        await pilot.press("right")
        assert charts.view.window == (first + 0.1 * (last - first), last + 0.1 * (last - first))
        await pilot.press("Z")
        await pilot.press("0")
        await until(pilot, lambda: asked(pilot) is None)
        await until(pilot, lambda: charts.charts[0].curves[0].steps == whole)
        await pilot.press("escape")
        await until(pilot, is_open(pilot, Overview))

    use(lab.dashboard(), steps)


def test_until_finer_points_come_the_old_ones_are_stretched(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        charts = await opened(pilot)
        before = charts.charts
        await pilot.press("z")
        plot = before[0].plot(charts.view, charts.extent)
        assert plot.x_limits == charts.view.window
        assert plot.series[0].steps == before[0].curves[0].steps

    use(lab.dashboard(), steps)


def test_the_keys_of_charts_change_what_is_drawn(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        charts = await opened(pilot)
        await pilot.press("L")
        await until(pilot, shows(pilot, "loss, log"))
        await pilot.press("L", "right_square_bracket", "right_square_bracket")
        await until(pilot, shows(pilot, "smoothed over 5"))
        await pilot.press("left_square_bracket", "left_square_bracket", "X")
        await until(pilot, shows(pilot, "x: time", "3m"))
        await pilot.press("X")  # no epochs: these are numbered episodes
        assert charts.view == View()
        await pilot.press("v")
        await until(pilot, shows(pilot, "at step 500, 1m40s"))
        await pilot.press("shift+right")
        await until(pilot, shows(pilot, "at step 600"))
        await pilot.press("left")
        await until(pilot, shows(pilot, "at step 590"))
        await pilot.press("v")
        await until(pilot, lambda: "at step" not in screen_text(pilot))

    use(lab.dashboard(), steps)


def test_epochs_are_offered_where_the_config_knows_how_long_they_are(lab: Lab) -> None:
    (run_id,) = lab.ask("omniglot", "cnn", settings={"steps": [1000], "batch_size": [64]})
    lab.report(lab.work(run_id), range(10, 1001, 10), {"train/loss": halving})

    async def steps(pilot: Pilot[None]) -> None:
        charts = await opened(pilot)
        await pilot.press("X", "X")
        await until(pilot, shows(pilot, "x: epoch", "0.2", "0.6"))  # 1,000 of 1,285 steps
        await pilot.press("X")
        assert charts.view.x_axis is XAxis.STEP

    use(lab.dashboard(), steps)


def test_tab_goes_from_chart_to_chart_and_enter_makes_one_large(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        charts = await opened(pilot)
        await until(pilot, shows(pilot, "▸ loss", "accuracy"))
        await pilot.press("tab")
        await until(pilot, shows(pilot, "loss", "▸ accuracy"))
        await pilot.press("enter")
        await until(pilot, shows(pilot, "▸ accuracy", "2/2 tab"))
        assert "loss" not in screen_text(pilot)
        await pilot.press("tab")
        await until(pilot, shows(pilot, "▸ loss", "1/2 tab"))
        await pilot.press("escape")
        await until(pilot, shows(pilot, "▸ loss", "accuracy"))
        assert not charts.large

    use(lab.dashboard(), steps)


def test_one_curve_is_isolated_in_turn(lab: Lab) -> None:
    lab.report(trained(lab), [500, 1000], {"val/loss": rising})

    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot)
        await until(pilot, shows(pilot, "─ train", "• val"))
        await pilot.press("i")
        await until(pilot, shows(pilot, "hidden: val"))
        await pilot.press("i", "i")
        await until(pilot, shows(pilot, "─ train", "• val"))

    use(lab.dashboard(), steps)


def test_the_mouse_zooms_pans_sets_the_cursor_and_makes_large(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        charts = await opened(pilot)
        field = charts._cells[0].drawing.field
        assert field is not None
        column = field.left + field.width // 4 + charts.gutter.left
        await pilot.click(charts, offset=(column, 4))
        here = 1000 * (field.width // 4) / (field.width - 1)
        assert charts.view.cursor == pytest.approx(here)
        await pilot._post_mouse_events([MouseScrollUp], charts, offset=(column, 4))
        assert charts.view.window is not None
        first, last = charts.view.window
        assert last - first == pytest.approx(1000 / 1.25)
        assert (here - first) / (last - first) == pytest.approx(here / 1000)  # it stayed under the mouse
        await pilot.mouse_down(charts, offset=(column, 4))
        await pilot.hover(charts, offset=(column - 3, 4))
        await pilot.mouse_up(charts, offset=(column - 3, 4))
        moved = charts.view.window
        assert moved[0] - first == pytest.approx(3 / field.width * (last - first))
        assert charts.view.cursor == pytest.approx(here)  # dragging sets none
        await pilot.click(charts, offset=(column, 4), times=2)
        await until(pilot, lambda: charts.large)

    use(lab.dashboard(), steps)


def test_smoothing_and_the_x_axis_are_kept_for_the_next_run_one_opens(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot)
        await pilot.press("right_square_bracket", "X", "z", "escape")
        await until(pilot, is_open(pilot, Overview))
        charts = await opened(pilot)
        assert charts.view == View(smoothing=1, x_axis=XAxis.TIME)

    use(lab.dashboard(), steps)
