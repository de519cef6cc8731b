"""What the picture must stand: a paused queue, texts made to steer a terminal, values that are no numbers."""

import math
from json import dumps

from sqlalchemy import text
from textual.pilot import Pilot

from fsrun.tui.screens.run import RunScreen
from store import queue
from store.engine import writing
from tests.tui.tui_cases import Lab, is_open, screen_text, shows, until, use

HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]x[/red][/nope]\x9b31m"


def control_codes(pilot: Pilot[None]) -> list[str]:
    return [char for char in screen_text(pilot) if char != "\n" and (char < " " or "\x7f" <= char < "\xa0")]


def test_the_header_says_that_the_queue_is_paused(lab: Lab) -> None:
    lab.ask("synthetic")
    queue.pause(lab.engine, lab.now)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "1 queued · paused · no workers"))
        queue.resume(lab.engine)
        await until(pilot, lambda: "paused" not in screen_text(pilot))

    use(lab.dashboard(), steps)


def test_hostile_texts_are_drawn_without_control_codes_and_as_they_were_written(lab: Lab) -> None:
    running, failed = lab.ask("glyphs", "protonet", seeds=2)
    job = lab.work(running, worker=f"box{HOSTILE}")
    lab.report(job, [20, 40], {f"train/{HOSTILE}": lambda step: 1.0 / step})
    lab.fail(lab.work(failed), HOSTILE)
    with writing(lab.engine) as connection:
        hostile = {"x": HOSTILE}
        connection.execute(text("UPDATE run SET experiment = :x, preset = :x, method = :x"), hostile)
        remarks = text("INSERT INTO remark SELECT id, :x, :tags, NULL FROM run")
        connection.execute(remarks, hostile | {"tags": dumps([HOSTILE])})
        connection.execute(text("UPDATE worker SET host = :x, device = :x"), hostile)

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "[red]x[/red]"))
        assert control_codes(pilot) == []
        for _ in range(2):
            await pilot.press("enter")
            await until(pilot, is_open(pilot, RunScreen))
            await pilot.pause(0.2)
            assert control_codes(pilot) == []
            await pilot.press("escape", "down")
            await pilot.pause(0.2)
        await pilot.press("c")
        await pilot.pause(0.2)
        assert control_codes(pilot) == []

    use(lab.dashboard(), steps, (120, 40))


def test_values_that_are_no_numbers_are_shown_as_what_they_are(lab: Lab) -> None:
    (run_id,) = lab.ask("glyphs", "protonet")
    job = lab.work(run_id)
    values = {20: 1.0, 40: math.inf, 60: math.nan, 80: 2.0, 100: math.nan}
    lab.report(job, list(values), {"train/loss": values.__getitem__, "val/accuracy": lambda _: math.nan})

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, shows(pilot, "val nan"))
        await pilot.press("enter")
        await until(pilot, is_open(pilot, RunScreen))
        await until(pilot, shows(pilot, "train nan", "val nan", "no point can be drawn"))

    use(lab.dashboard(), steps, (120, 40))
