"""A run with curves, and its screen, for the tests of both."""

from textual.pilot import Pilot

from fsrun.tui.screens.run import RunScreen
from fsrun.tui.widgets.charts import Charts
from store.queue import Claim
from tests.tui.tui_cases import Lab, halving, is_open, rising, until


def trained(lab: Lab, steps: range = range(10, 1001, 10)) -> Claim:
    (run_id,) = lab.ask("omniglot", "protonet", settings={"steps": [1000]})
    job = lab.work(run_id)
    lab.now += 100
    lab.report(job, steps[: len(steps) // 2], {"train/loss": halving, "train/accuracy": rising})
    lab.now += 100
    lab.report(job, steps[len(steps) // 2 :], {"train/loss": halving, "train/accuracy": rising})
    return job


async def opened(pilot: Pilot[None]) -> Charts:
    await pilot.press("enter")
    await until(pilot, is_open(pilot, RunScreen))
    charts = pilot.app.screen.query_one(Charts)
    await until(pilot, lambda: bool(charts.charts))
    await pilot.pause(0.1)
    return charts
