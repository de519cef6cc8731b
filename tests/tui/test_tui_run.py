"""The screen of one run: its sections, what stands in them, and that they draw at every size."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.run_cases import opened, trained
from tests.tui.tui_cases import Lab, halving, screen_text, shows, until, use

SIZES = [(60, 20), (80, 24), (160, 50)]


def test_sections_open_by_their_letters_and_close_again(lab: Lab) -> None:
    lab.finish(trained(lab), "test/accuracy", 0.912)

    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot)
        sections = {
            "R": "test/accuracy 91.20 ± 0.12 % over 1,000 episodes",
            "C": "method.steps = 1000",
            "E": "no error",
            "A": "1  done after 3m20s · from step 0 · cpu · box-1",
            "P": "created",
        }
        for letter, words in sections.items():
            await pilot.press(letter)
            if letter == "C":
                await pilot.press("G")
            await until(pilot, shows(pilot, words))
            assert "▸ loss" not in screen_text(pilot)  # no room for both
        await pilot.press("P")
        await until(pilot, shows(pilot, "▸ loss"))
        await pilot.press("C", "escape")
        await until(pilot, shows(pilot, "▸ loss"))
        await pilot.resize_terminal(160, 50)
        await until(pilot, shows(pilot, "▸ loss", "▸Results", "91.20 ± 0.12"))
        line = screen_text(pilot).splitlines()[2]
        await pilot.click("SectionLine", offset=(line.index("Config"), 0))
        await until(pilot, shows(pilot, "▸ loss", "▸Config", "method.lr"))

    use(lab.dashboard(), steps)


def test_keys_of_charts_are_offered_while_charts_are_shown(lab: Lab) -> None:
    (run_id,) = lab.ask("omniglot", "protonet")

    def last_line(pilot: Pilot[None]) -> str:
        return screen_text(pilot).splitlines()[-1]

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: last_line(pilot).startswith(" esc Back  c Cancel  r Retry  x Export"))
        lab.report(lab.work(run_id), range(20, 201, 20), {"train/loss": halving})
        await until(pilot, lambda: last_line(pilot).startswith(" esc Back  tab Next  z Zoom  v Values"))
        await pilot.press("C")  # no room for both
        await until(pilot, lambda: "Zoom" not in last_line(pilot))

    use(lab.dashboard(), steps)


def test_the_config_is_searched_as_one_types(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot)
        await pilot.press("slash", *"lr")
        await until(pilot, shows(pilot, "method.lr =", "method.halve_lr_every"))
        assert "data.kind" not in screen_text(pilot)
        await pilot.press("enter", "z")  # keys are keys again
        await until(pilot, shows(pilot, "method.lr ="))
        await pilot.press("escape")
        await until(pilot, shows(pilot, "data.kind"))
        await pilot.press("escape")
        await until(pilot, shows(pilot, "▸ loss"))

    use(lab.dashboard(), steps)


def test_the_log_is_shown_from_its_end_followed_and_made_plain(lab: Lab) -> None:
    run_id = trained(lab).run_id
    log = Path(lab.home.log(run_id))
    log.parent.mkdir()
    lines = b"".join(b"line %d\n" % number for number in range(20_000))
    log.write_bytes(lines + b"\x1b[2J\xff[red]x[/red]\n")

    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot)
        await pilot.press("O")
        await until(pilot, shows(pilot, "·[2J\ufffd[red]x[/red]", "line 19999"))
        with log.open("a") as file:
            file.write("a new line\n")
        await until(pilot, shows(pilot, "a new line"))
        await pilot.press("g")
        await until(pilot, shows(pilot, "the end of", "line 19502"))
        with log.open("a") as file:
            file.write("the newest line\n")
        await until(pilot, shows(pilot, "line 19503"))
        assert "newest" not in screen_text(pilot)  # who reads is left where they are
        await pilot.press("G")
        await until(pilot, shows(pilot, "the newest line"))

    use(lab.dashboard(), steps)


def test_a_log_that_is_elsewhere_is_said_to_be(lab: Lab) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot)
        await pilot.press("O")
        await until(pilot, shows(pilot, "no log on this machine", "worker box-1"))

    use(lab.dashboard(), steps)


@pytest.mark.parametrize("size", SIZES)
def test_every_section_draws_at_every_size(lab: Lab, size: tuple[int, int]) -> None:
    trained(lab)

    async def steps(pilot: Pilot[None]) -> None:
        await opened(pilot)
        for letter in "ROCEAP":
            await pilot.press(letter)
            await pilot.pause(0.05)
            rows = screen_text(pilot).splitlines()
            assert rows[0].startswith(" #1 Prototypical Net")
            assert "▸" in rows[2]
            assert max(map(len, rows)) <= size[0]

    use(lab.dashboard(), steps, size)


def test_a_failed_run_without_curves_opens_at_its_error(lab: Lab) -> None:
    (run_id,) = lab.ask("glyphs", "protonet")
    lab.fail(lab.work(run_id), "Traceback (most recent call last):\nValueError: no")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, shows(pilot, "▸Error", "ValueError: no"))

    use(lab.dashboard(), steps)
