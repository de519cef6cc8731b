"""What makes the dashboard pleasant to live in: themes, what it keeps, sizes, and only looking."""

import json
import stat
from pathlib import Path

import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.theme import Theme

from fsrun.paths import Home
from fsrun.plot.inks import COLOURS
from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from fsrun.tui.screens.overview import Overview
from fsrun.tui.screens.table2 import Table2Screen
from fsrun.tui.screens.too_small import TooSmall
from fsrun.tui.state import State, state_file
from fsrun.tui.themes import BLUE, GREEN, GREY, ORANGE, PINK, RED, THEMES, following, mixed
from fsrun.tui.widgets.run_table import RunTable
from store.jobs import JobStatus
from store.runs import get_run
from store.upkeep import identity
from tests.tui.tui_cases import Lab, is_open, screen_text, shows, until, use

Ink = tuple[int, int, int]


def inks(pilot: Pilot[None], words: str) -> set[Ink]:
    """Return the colours in which the words are drawn."""
    width, height = pilot.app.size
    strips = pilot.app.screen._compositor.render_strips()[:height]
    found = (
        segment.style.color.triplet
        for strip in strips
        for segment in strip.crop(0, width)
        if words in segment.text and segment.style and segment.style.color
    )
    return {(triplet.red, triplet.green, triplet.blue) for triplet in found if triplet is not None}


def colours(pilot: Pilot[None]) -> set[Ink]:
    """Return every colour of letters on the screen."""
    return inks(pilot, "")


def done_and_failed(lab: Lab) -> None:
    done, failed = lab.ask("synthetic", seeds=2)
    lab.finish(lab.work(done), "test/loss_ratio", 0.31)
    lab.fail(lab.work(failed), "ValueError: no")


def test_a_key_cycles_through_themes_that_mix_their_own_inks(lab: Lab) -> None:
    done_and_failed(lab)

    async def steps(pilot: Pilot[None]) -> None:
        seen = []
        await until(pilot, shows(pilot, "✓ L1/L0", "✗ ValueError: no"))
        for theme in THEMES:
            assert pilot.app.theme == theme.name
            await pilot.pause(0.2)
            seen.append((inks(pilot, "✓"), inks(pilot, "✗")))
            await pilot.press("T")
        assert pilot.app.theme == THEMES[0].name  # round and round
        assert seen[0] == ({GREEN}, {RED})
        assert seen[2] == ({(0, 158, 115)}, {(213, 94, 0)})  # bluish green, vermillion
        assert len({str(each) for each in seen}) == len(THEMES)

    use(lab.dashboard(), steps)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_ink_of_a_theme_can_be_read_on_its_ground(theme: Theme) -> None:
    name, ground = theme.name, Color.parse(theme.background or "")
    for ink in (BLUE, ORANGE, GREEN, RED, PINK):
        letters = Color(*mixed(name, ink))
        light, dark = sorted((_luminance(letters), _luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.0, (name, ink)


def _luminance(colour: Color) -> float:
    """Return the relative luminance of WCAG 2.1."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_an_unknown_theme_is_followed_by_the_first() -> None:
    assert following("solarized") == THEMES[0].name


def test_without_colour_nothing_is_coloured_and_all_still_reads(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_and_failed(lab)
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "✓ L1/L0", "✗ ValueError: no"))
        await pilot.press("space")
        await until(pilot, shows(pilot, "◆"))
        assert {max(ink) - min(ink) for ink in colours(pilot)} == {0}

    use(lab.dashboard(), steps)


def test_what_the_user_chose_is_there_again_at_the_next_start(lab: Lab, tmp_path: Path) -> None:
    done_and_failed(lab)
    path = tmp_path / "tui.json"

    def dashboard() -> Dashboard:
        return Dashboard(Database(lab.path, clock=lambda: lab.now), state=State(path))

    async def choose(pilot: Pilot[None]) -> None:
        await pilot.press("T", "space", "o", "w", "s", *"jjjjj", "enter", "slash", *"linear", "enter", "2")
        await until(pilot, is_open(pilot, Table2Screen))
        await pilot.pause(0.1)
        assert isinstance(pilot.app, Dashboard)
        pilot.app.state.save()

    async def find(pilot: Pilot[None]) -> None:
        await until(pilot, is_open(pilot, Table2Screen))
        assert pilot.app.theme == THEMES[1].name
        await pilot.press("escape")
        await until(pilot, is_open(pilot, Overview))
        await until(pilot, shows(pilot, "linear", "2 of 2", "▸", "×2"))
        assert isinstance(pilot.app, Dashboard)
        assert pilot.app.marked == {2}
        assert pilot.app.screen.query_one(RunTable).view.sort == "variant"
        assert " GiB" not in screen_text(pilot)

    use(dashboard(), choose)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    use(dashboard(), find)


def test_marks_and_searches_of_one_database_are_not_those_of_another(tmp_path: Path) -> None:
    home = Home(tmp_path)
    own = state_file(home, str(tmp_path / "fsrun.db"))
    here, there = (state_file(home, f"postgresql://{host}/fsrun") for host in ("here", "there"))
    assert own == tmp_path / "tui.json"
    assert len({own, here, there}) == 3


def test_marks_are_not_carried_over_to_a_database_put_in_the_place_of_another(
    lab: Lab, tmp_path: Path
) -> None:
    lab.ask("synthetic")
    identity(lab.engine, lab.now)
    state = State(tmp_path / "tui.json")

    async def mark(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        await pilot.press("space")
        await until(pilot, shows(pilot, "◆"))

    async def find_none(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        assert isinstance(pilot.app, Dashboard)
        assert pilot.app.marked == frozenset()

    use(Dashboard(Database(lab.path), state=state), mark)
    other = Lab(tmp_path / "other")
    other.ask("synthetic")
    identity(other.engine, other.now)
    use(Dashboard(Database(other.path), state=state), find_none)
    other.engine.dispose()


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[1, 2]",
        "\x00\xff",
        '{"sort": 7, "marked": {"a": 1}, "theme": ["x"]}',
        '{"marked": [[1], {}, "1"]}',
    ],
)
def test_a_damaged_state_is_passed_over_and_written_anew(lab: Lab, tmp_path: Path, damage: str) -> None:
    lab.ask("synthetic")
    path = tmp_path / "tui.json"
    path.write_text(damage, encoding="latin-1")
    state = State(path)

    async def steps(pilot: Pilot[None]) -> None:
        if not damage.startswith('{"'):  # as a whole, not only in parts
            await until(pilot, shows(pilot, "it is damaged: it will be written anew"))
        await until(pilot, shows(pilot, "id↓", "○ queued"))
        await pilot.press("T")

    use(Dashboard(Database(lab.path), state=state), steps, (160, 50))
    state.save()
    assert json.loads(path.read_text(encoding="utf-8"))["theme"] == THEMES[1].name


def test_a_state_that_cannot_be_written_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "tui.json"
    state = State(path)
    state.set("theme", "fsrun-light")
    with pytest.raises(OSError, match="No such file"):
        state.save()
    state.save()  # one complaint is enough
    path.parent.mkdir()
    state.set("theme", "fsrun-dark")
    state.save()
    assert [each.name for each in path.parent.iterdir()] == ["tui.json"]


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 50)])
def test_where_one_only_looks_no_order_is_offered_and_none_is_carried_out(
    lab: Lab, size: tuple[int, int]
) -> None:
    (run_id,) = lab.ask("synthetic")
    database = Database(lab.path, clock=lambda: lab.now, read_only=True)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "read-only", "○ queued"))
        await pilot.press(*"crdupnNte+-")
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, Overview)
        footer = screen_text(pilot).splitlines()[-1]
        assert "Cancel" not in footer
        assert "Search" in footer
        titles = {command.title for command in pilot.app.get_system_commands(pilot.app.screen)}
        assert titles.isdisjoint({"Cancel", "Retry", "Delete", "Note", "Tags", "Queue"})

    before = lab.path.read_bytes()
    use(Dashboard(database, read_only=True), steps, size)
    database.close()
    assert get_run(lab.engine, run_id).status is JobStatus.QUEUED
    assert lab.path.read_bytes() == before


def test_where_one_only_looks_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    database = Database(tmp_path / "fsrun.db", read_only=True)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "! there is no database at"))

    use(Dashboard(database, read_only=True), steps)
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_too_small_has_one_plain_line_and_grows_back_to_what_was_there(lab: Lab) -> None:
    lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "#1 Linear"))
        for width, height in ((59, 20), (60, 19), (20, 5), (1, 1)):
            await pilot.resize_terminal(width, height)
            await until(pilot, is_open(pilot, TooSmall))
        await pilot.resize_terminal(40, 10)
        await until(pilot, shows(pilot, "fsrun: 40x10 is too small"))
        assert len(screen_text(pilot).split()) == 8
        await pilot.press("c", "slash", "enter")  # nothing to give orders on
        assert isinstance(pilot.app.screen, TooSmall)
        for width, height in ((60, 20), (300, 90), (80, 24)):
            await pilot.resize_terminal(width, height)
            await until(pilot, is_open(pilot, Overview))
            await until(pilot, shows(pilot, "#1 Linear", "Quit"))
            assert max(map(len, screen_text(pilot).splitlines())) <= width

    use(lab.dashboard(), steps)


def test_a_start_in_a_terminal_too_small_says_so(lab: Lab) -> None:
    lab.ask("synthetic")

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "fsrun: 50x15 is too small, make it 60x20"))
        await pilot.resize_terminal(80, 24)
        await until(pilot, shows(pilot, "#1 Linear"))

    use(lab.dashboard(), steps, (50, 15))


def luminance(ink: Ink) -> float:
    """Return the relative luminance of WCAG 2."""
    linear = [part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in ink]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_ink_stands_out_from_every_ground(theme: Theme) -> None:
    grounds = {
        name: Color.parse(str(getattr(theme, name))).rgb for name in ("background", "surface", "panel")
    }
    for ink in {*COLOURS, BLUE, ORANGE, GREEN, RED, PINK, GREY}:
        for name, ground in grounds.items():
            dark, light = sorted((luminance(mixed(theme.name, ink)), luminance(ground)))
            # WCAG 2: text on the ground of lists and charts, and lines on any ground
            assert (light + 0.05) / (dark + 0.05) >= (4.5 if name == "background" else 3), (ink, name)
