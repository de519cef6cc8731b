"""The dashboard on real databases: what it shows, and how it follows them."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from fsrun.tui.screens.confirm import Confirm
from fsrun.tui.screens.help import Help
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.run import RunScreen
from fsrun.tui.screens.table2 import Table2Screen
from fsrun.tui.widgets.charts import Charts
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.run_table import RunTable
from store.archive import ForeignRun, add_finished
from store.results import ResultRow
from store.runs import get_run
from tests.tui.tui_cases import Lab, halving, is_open, rising, screen_text, shows, until, use


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 50)])
def test_an_empty_database_says_what_to_do_first(lab: Lab, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        commands = ("n, then ctrl+s", "fsrun worker", "enter", "fsrun data import omniglot PATH")
        await until(pilot, shows(pilot, *commands))

    use(lab.dashboard(), steps, size)


def test_a_database_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "No runs yet"))

    database = Database(tmp_path / "new" / "fsrun.db")
    use(Dashboard(database), steps)
    database.close()
    assert (tmp_path / "new" / "fsrun.db").is_file()


def test_runs_appear_with_status_progress_eta_and_newest_accuracy(lab: Lab) -> None:
    _, running = lab.ask("omniglot", "protonet", seeds=2, settings={"steps": [600]})
    job = lab.work(running)
    lab.report(job, range(20, 301, 20), {"train/accuracy": rising, "val/accuracy": lambda step: 0.912})

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "● ━━──  50% 1m15s val 91.2%", "○ queued"))
        assert "1 running · 1 queued · 1 worker" in screen_text(pilot)

    use(lab.dashboard(), steps)


def test_a_new_run_appears_on_top_and_the_cursor_stays_on_its_run(lab: Lab) -> None:
    (first,) = lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear fast/slow"))
        (second,) = lab.ask("glyphs", "protonet")
        table = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: table.row_count == 2)
        assert [line.run_ids for line in table.lines_shown] == [(second,), (first,)]
        assert table.cursor_line is table.lines_shown[1]
        await pilot.press("k")
        await until(pilot, shows(pilot, "#2 Prototypical Net on glyphs · 20-way 1-shot"))

    use(lab.dashboard(), steps)


def test_the_curves_of_the_selected_run_grow_while_one_looks(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    job = lab.work(run_id)
    curves = {"train/loss_ratio": halving, "train/frobenius": halving}
    lab.report(job, range(200, 2001, 200), curves)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "L1/L0", "Frobenius distance, log"))
        charts = pilot.app.screen.query_one(Charts)
        assert [len(chart.curves[0].steps) for chart in charts.charts] == [10, 10]
        lab.report(job, range(2200, 4001, 200), curves)
        await until(pilot, lambda: [len(chart.curves[0].steps) for chart in charts.charts] == [20, 20])

    use(lab.dashboard(), steps, (160, 45))


def test_tab_turns_to_the_chart_that_has_no_room_at_80_columns(lab: Lab) -> None:
    (run_id,) = lab.ask("omniglot", "protonet")
    lab.report(lab.work(run_id), range(20, 201, 20), {"train/loss": halving, "train/accuracy": rising})

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "loss   train", "1/2 tab"))
        await pilot.press("tab")
        await until(pilot, shows(pilot, "accuracy   train", "2/2 tab"))
        await pilot.press("shift+tab")
        await until(pilot, shows(pilot, "loss   train", "1/2 tab"))

    use(lab.dashboard(), steps)


def test_a_run_that_waits_for_another_says_for_which(lab: Lab) -> None:
    lab.ask("omniglot", "fastslow")

    async def steps(pilot: Pilot[None]) -> None:
        await until(
            pilot, shows(pilot, "◌ waits for 1", "waits for run 1, which it starts from", "no workers")
        )

    use(lab.dashboard(), steps)


def test_a_run_whose_worker_fell_silent_is_shown_as_lost_and_a_slow_one_is_not(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    lab.work(run_id)
    lab.now += 55

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "● ────", "1 worker"))
        lab.now += 125
        await until(
            pilot, shows(pilot, "? lost", "silent for 3m00s: another worker will resume it", "no workers")
        )

    use(lab.dashboard(), steps)


def test_enter_opens_the_run_with_its_error_drawn_as_plain_text(lab: Lab) -> None:
    (run_id,) = lab.ask("glyphs", "protonet")
    error = (
        "Traceback (most recent call last):\n  f[bold]x[/bold]\x1b[31m\nValueError: [/nothing] [red]\x07 日本"
    )
    lab.fail(lab.work(run_id), error)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "ValueError: [/nothing] [red]· 日本"))
        await pilot.press("enter")
        await until(pilot, is_open(pilot, RunScreen))
        await until(
            pilot, shows(pilot, "f[bold]x[/bold]·[31m", "ValueError: [/nothing] [red]· 日本", "Attempts")
        )
        assert "\x1b" not in screen_text(pilot)
        await pilot.press("escape")
        await until(pilot, is_open(pilot, Overview))

    use(lab.dashboard(), steps)


def test_a_database_that_vanishes_is_named_in_one_line_and_its_return_is_noticed(lab: Lab) -> None:
    lab.ask("synthetic")
    away = lab.path.with_name("away")
    away.mkdir()
    files = [lab.path.with_name(lab.path.name + end) for end in ("", "-wal", "-shm")]

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        present = [file for file in files if file.exists()]
        for file in present:
            file.rename(away / file.name)
        await until(pilot, shows(pilot, "! there is no database at", "#1 Linear"))  # the last picture stays
        for file in present:
            (away / file.name).rename(file)
        await until(pilot, lambda: "no database" not in screen_text(pilot))

    use(lab.dashboard(), steps)


def test_a_file_that_is_no_database_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "fsrun.db").write_text("not a database, but long enough to be taken for one" * 100)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "! database", "not a database"))

    use(Dashboard(Database(tmp_path / "fsrun.db")), steps, (160, 45))


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (60, 20)])
def test_every_screen_draws_at_every_size(lab: Lab, size: tuple[int, int]) -> None:
    (run_id,) = lab.ask("omniglot", "protonet")
    lab.report(lab.work(run_id), range(20, 201, 20), {"train/loss": halving, "train/accuracy": rising})

    async def steps(pilot: Pilot[None]) -> None:
        screens: dict[str, type[Screen[Any]]] = {
            "enter": RunScreen,
            "2": Table2Screen,
            "question_mark": Help,
            "c": Confirm,
        }
        for key, screen in screens.items():
            await pilot.press(key)
            await until(pilot, is_open(pilot, screen))
            await pilot.pause()
            await pilot.press("escape")
            await until(pilot, is_open(pilot, Overview))
        await pilot.resize_terminal(120, 40)
        await until(pilot, shows(pilot, "loss   train", "accuracy   train"))

    use(lab.dashboard(), steps, size)


def test_help_names_every_key_of_the_footer(lab: Lab) -> None:
    lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        keys = pilot.app.screen.query_one(KeyLine).keys
        assert {"Open", "Search", "Cancel", "Queue", "Help", "Quit"} <= {key.name for key in keys}
        await pilot.press("question_mark")
        await until(pilot, is_open(pilot, Help))
        await until(pilot, shows(pilot, *(key.does[:40] for key in keys)))

    use(lab.dashboard(), steps, (120, 70))


def test_a_password_in_the_databases_url_is_never_shown() -> None:
    shown = Database("postgresql+psycopg://me:secret@db.example:5432/fsrun?password=hidden").shown
    assert shown == "postgresql+psycopg://me:***@db.example:5432/fsrun"


def test_a_run_from_elsewhere_says_why_it_has_no_curves(lab: Lab) -> None:
    (run_id,) = lab.ask("synthetic")
    spec = get_run(lab.engine, run_id).spec
    result = ResultRow("test/loss_ratio", 0.1, 0.01, 2)
    foreign = ForeignRun(7, spec, (), 10.0, 20.0, 5.0, "cpu", {}, {}, (result,))
    add_finished(lab.engine, [foreign], "theirs.json")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#2 Linear", "imported from theirs.json"))

    use(lab.dashboard(), steps, (160, 50))


def test_a_dashboard_without_a_screen_has_a_page_without_runs(lab: Lab) -> None:
    dashboard = lab.dashboard()  # as it is before it starts, and for a moment while it closes
    assert dashboard.screen_stack == []
    assert not isinstance(dashboard.page, Overview | RunScreen)
