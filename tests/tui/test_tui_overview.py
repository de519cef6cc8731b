"""What the keys and the mouse do on the first screen, at three sizes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from fsrun.tui.app import Dashboard
from fsrun.tui.screens.compare import CompareScreen
from fsrun.tui.screens.help import Help
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.queue_form import QueueForm
from fsrun.tui.screens.run import RunScreen
from fsrun.tui.screens.sort import SortMenu
from fsrun.tui.screens.table2 import Table2Screen
from fsrun.tui.widgets.key_line import KeyLine
from fsrun.tui.widgets.run_table import RunTable
from store.runs import RunRequest, enqueue, get_run
from tests.tui.tui_cases import Lab, halving, is_open, rising, screen_text, shows, until, use

SIZES = [(60, 20), (80, 24), (160, 50)]
everywhere = pytest.mark.parametrize("size", SIZES)


def listed(pilot: Pilot[None]) -> Sequence[tuple[int, ...]]:
    """Return the runs of each line."""
    return [line.run_ids for line in pilot.app.screen.query_one(RunTable).lines_shown]


def marked(pilot: Pilot[None]) -> frozenset[int]:
    assert isinstance(pilot.app, Dashboard)
    return pilot.app.marked


@pytest.fixture
def seeds(lab: Lab) -> Lab:
    """Runs 1 to 3 done, of one config, best first; 4 queued."""
    for run_id, value in zip(lab.ask("omniglot", "protonet", seeds=3), (0.97, 0.96, 0.95), strict=True):
        job = lab.work(run_id)
        lab.report(job, range(20, 201, 20), {"train/loss": halving, "train/accuracy": rising})
        lab.finish(job, "test/accuracy", value)
    lab.ask("glyphs", "maml")
    return lab


@everywhere
def test_a_search_narrows_the_list_with_every_letter_and_escape_ends_it(
    seeds: Lab, size: tuple[int, int]
) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"maml")
        await until(pilot, lambda: listed(pilot) == [(4,)])
        await until(pilot, shows(pilot, "maml", "1 of 4"))
        await pilot.press("enter")  # to the runs; the search stays
        assert isinstance(pilot.app.focused, RunTable)
        await until(pilot, shows(pilot, "1 of 4", "#4 MAML on glyphs"))
        await pilot.press("escape")
        await until(pilot, lambda: len(listed(pilot)) == 4)
        assert "of 4" not in screen_text(pilot)

    use(seeds.dashboard(), steps, size)


def test_letters_typed_in_a_search_are_no_orders(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"cq r")
        await until(pilot, lambda: listed(pilot) == [])
        assert isinstance(pilot.app.screen, Overview)
        await until(pilot, shows(pilot, "cq r", "0 of 4"))

    use(seeds.dashboard(), steps)


@everywhere
def test_s_asks_for_the_column_to_sort_by_and_an_arrow_shows_it(seeds: Lab, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: listed(pilot) == [(4,), (3,), (2,), (1,)])
        await until(pilot, shows(pilot, "id↓"))
        await pilot.press("s")
        await until(pilot, is_open(pilot, SortMenu))
        await pilot.press(*["j"] * 8, "enter")  # newest
        await until(pilot, lambda: listed(pilot) == [(1,), (2,), (3,), (4,)])
        await until(pilot, shows(pilot, "result↓"))
        await pilot.press("S")
        await until(pilot, lambda: listed(pilot) == [(3,), (2,), (1,), (4,)])  # without a value: last
        await until(pilot, shows(pilot, "result↑"))

    use(seeds.dashboard(), steps, size)


def test_a_click_on_a_header_sorts_by_it_and_another_the_other_way_round(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "id↓"))
        header = screen_text(pilot).splitlines()[1]
        await pilot.click(RunTable, offset=(header.index("method") + 1, 0))
        await until(pilot, lambda: listed(pilot)[0] == (4,))
        await until(pilot, shows(pilot, "method↑"))
        await pilot.click(RunTable, offset=(header.index("method") + 1, 0))
        await until(pilot, shows(pilot, "method↓"))
        assert listed(pilot)[-1] == (4,)

    use(seeds.dashboard(), steps)


@everywhere
def test_o_shows_a_line_per_config_and_enter_unfolds_it(seeds: Lab, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("o")
        await until(pilot, lambda: listed(pilot) == [(4,), (3, 2, 1)])
        # mean 0.96; Student's t for two degrees of freedom, and the runs' own intervals, in quadrature
        await until(pilot, shows(pilot, "▸", "×3", "✓ 96.00 ± 2.49"))
        await pilot.press("G", "enter")
        await until(pilot, lambda: listed(pilot) == [(4,), (3, 2, 1), (3,), (2,), (1,)])
        await until(pilot, shows(pilot, "▾", "└seed 1"))
        await pilot.press("enter", "o")
        await until(pilot, lambda: listed(pilot) == [(4,), (3,), (2,), (1,)])

    use(seeds.dashboard(), steps, size)


@everywhere
def test_space_marks_a_run_with_a_sign_and_star_marks_all_shown_or_none(
    seeds: Lab, size: tuple[int, int]
) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(listed(pilot)) == 4)
        assert "◆" not in screen_text(pilot)
        await pilot.press("space", "space")
        await until(pilot, lambda: marked(pilot) == {4, 3})
        await until(pilot, lambda: screen_text(pilot).count("◆") == 2)
        await pilot.press("asterisk")
        await until(pilot, lambda: marked(pilot) == {1, 2, 3, 4})
        await pilot.press("asterisk")
        await until(pilot, lambda: marked(pilot) == frozenset())
        assert "◆" not in screen_text(pilot)

    use(seeds.dashboard(), steps, size)


def test_a_mark_on_a_group_marks_all_its_runs(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("o")
        await until(pilot, lambda: len(listed(pilot)) == 2)
        await pilot.press("G", "space")
        await until(pilot, lambda: marked(pilot) == {1, 2, 3})

    use(seeds.dashboard(), steps)


def test_the_cursor_stays_on_its_run_through_sorting_searching_and_new_runs(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        table = pilot.app.screen.query_one(RunTable)
        await until(pilot, lambda: len(listed(pilot)) == 4)
        await pilot.press("down", "down")
        for keys in (["S"], ["S"], ["slash", *"protonet", "enter"], ["escape"], ["o"], ["o"]):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            assert table.cursor_line is not None
            assert 2 in table.cursor_line.run_ids
        seeds.ask("synthetic")
        await until(pilot, lambda: len(listed(pilot)) == 5)
        assert table.cursor_line is not None
        assert table.cursor_line.run_ids == (2,)

    use(seeds.dashboard(), steps)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_workers_and_this_machine_are_shown_where_there_is_room_and_w_hides_them(
    seeds: Lab, size: tuple[int, int]
) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "cpu ", "mem ", " GiB"))
        if size == (160, 50):
            await until(pilot, shows(pilot, "box-1", "box · cpu · pid 1", "♥ 0s"))
        else:
            await until(pilot, shows(pilot, "♥ 0s"))
        await pilot.press("w")
        await until(pilot, lambda: " GiB" not in screen_text(pilot))

    use(seeds.dashboard(), steps, size)


@pytest.mark.parametrize(
    ("size", "named"),
    [
        ((60, 20), "⏎ Open  n Queue  m Compare  2 3 4 Reports  ? Help  q Quit"),
        ((80, 24), "⏎ Open  n Queue  m Compare  2 Table 2  3 Classes  4 Theory  ? Help  q Quit"),
        (
            (160, 50),
            "⏎ Open  n Queue  m Compare  2 Table 2  3 Classes  4 Theory  / Search  c Cancel  r Retry  "
            "space Mark  s Sort  o Group  ? Help  q Quit",
        ),
    ],
)
def test_the_last_line_names_the_way_to_every_screen(seeds: Lab, size: tuple[int, int], named: str) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: screen_text(pilot).splitlines()[-1] == f" {named}")

    use(seeds.dashboard(), steps, size)


def test_the_last_line_of_an_empty_dashboard_names_only_what_can_be_done(lab: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        named = " n Queue  2 Table 2  3 Classes  4 Theory  ? Help  q Quit"
        await until(pilot, lambda: screen_text(pilot).splitlines()[-1] == named)
        lab.ask("synthetic")
        await until(pilot, lambda: "⏎ Open  n Queue  m Compare" in screen_text(pilot).splitlines()[-1])

    use(lab.dashboard(), steps)


def test_a_click_on_what_stands_for_several_reports_opens_the_first(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "2 3 4 Reports"))
        await pilot.click(KeyLine, offset=(30, 0))
        await until(pilot, is_open(pilot, Table2Screen))

    use(seeds.dashboard(), steps, (60, 20))


def test_1_leads_back_to_the_runs_from_every_screen(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(listed(pilot)) == 4)
        await pilot.press("space")
        for key, screen in (("enter", RunScreen), ("m", CompareScreen), ("2", Table2Screen)):
            await pilot.press(key)
            await until(pilot, is_open(pilot, screen))
            await pilot.press("1")
            await until(pilot, is_open(pilot, Overview))

    use(seeds.dashboard(), steps)


def test_help_has_every_key_of_the_screen_it_was_asked_from_in_groups(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await until(pilot, is_open(pilot, Help))
        await until(pilot, shows(pilot, "Runs", "Overview", "Everywhere", "Status"))
        await until(pilot, shows(pilot, "mark the run", "choose the column to sort by", "next theme"))
        await until(pilot, shows(pilot, "↓ j", "space", "its worker fell silent"))

    use(seeds.dashboard(), steps, (100, 70))


def test_the_command_palette_offers_what_the_keys_do(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(listed(pilot)) == 4)
        names = {command.title for command in pilot.app.get_system_commands(pilot.app.screen)}
        assert {"Search", "Sort", "Group", "Mark", "Theme", "Quit"} <= names
        await pilot.press("ctrl+p", *"group", "enter")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await until(pilot, lambda: listed(pilot) == [(4,), (3, 2, 1)])
        await pilot.press("ctrl+p", *"queue", "enter")  # an order, which depends on what is chosen
        await until(pilot, is_open(pilot, QueueForm))

    use(seeds.dashboard(), steps)


def test_no_two_entries_of_the_command_palette_have_one_name(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        ways: dict[type[Screen[Any]], tuple[str, ...]] = {
            Overview: (),
            RunScreen: ("enter",),
            CompareScreen: ("escape", "asterisk", "m"),
        }
        for screen, keys in ways.items():
            await pilot.press(*keys)
            await until(pilot, is_open(pilot, screen))
            names = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
            assert sorted(set(names)) == sorted(names)

    use(seeds.dashboard(), steps)


def test_a_search_that_finds_nothing_says_so(seeds: Lab) -> None:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"nosuch")
        await until(pilot, shows(pilot, "no run matches nosuch: esc shows all runs", "0 of "))
        await pilot.press("escape")
        await until(pilot, lambda: "no run matches" not in screen_text(pilot))

    use(seeds.dashboard(), steps)


def test_only_the_newest_of_very_many_runs_are_listed_which_is_said_and_a_search_finds_all(
    lab: Lab,
) -> None:
    (old,) = lab.ask("glyphs", "pixel-knn")
    (newer,) = lab.ask("synthetic")
    asked = [RunRequest(replace(get_run(lab.engine, newer).spec, seed=seed)) for seed in range(1, 1003)]
    enqueue(lab.engine, asked, now=lab.now, provenance={})

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "newest 1,000 of 1,004 listed"))
        await pilot.press("slash", *"pixel", "enter")
        await until(pilot, lambda: listed(pilot) == [(old,)])
        assert "newest 1,000" not in screen_text(pilot)
        await pilot.press("space", "escape")
        await until(pilot, shows(pilot, "newest 1,001 of 1,004 listed"))
        assert marked(pilot) == {old}  # listed because it is marked
        await pilot.press("S")
        await until(pilot, lambda: len(listed(pilot)) == 1004)
        assert listed(pilot)[0] == (old,)

    use(lab.dashboard(), steps, (120, 30))
