"""Stores filled the way workers fill them, with a clock that stands still, for the tests of the dashboard."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen

from experiments.sweeps import Sweep, plan
from fsrun.paths import Home
from fsrun.planning import requests
from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from store import queue, workers
from store.curves import Point, write_points
from store.engine import open_store
from store.results import ResultRow
from store.runs import enqueue
from tests.report.report_cases import Filled

LEASE_SECONDS = 60.0

Steps = Callable[[Pilot[None]], Awaitable[None]]


class Lab:
    """A database, one worker, and a clock that only moves when told."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.path = folder / "fsrun.db"
        self.engine = open_store(self.path)
        self.now = 1_000_000.0

    def dashboard(self) -> Dashboard:
        return Dashboard(Database(self.path, clock=lambda: self.now, home=self.home))

    def ask(self, experiment: str, method: str = "", *, preset: str = "quick", **sweep: Any) -> list[int]:
        planned = plan(Sweep(experiment, (method,) if method else (), preset, **sweep))
        asked = enqueue(self.engine, requests(planned), now=self.now, provenance={"commit": "c0ffee"})
        return [each.run_id for each in asked]

    def work(self, run_id: int, worker: str = "box-1") -> queue.Claim:
        workers.register(self.engine, worker, host="box", pid=1, device="cpu", now=self.now)
        workers.beat(self.engine, worker, self.now, run_id)
        claim = queue.claim(
            self.engine, worker, now=self.now, lease_seconds=LEASE_SECONDS, only=[run_id], device="cpu"
        )
        assert claim is not None
        return claim

    def report(
        self, job: queue.Claim, steps: Sequence[int], curves: Mapping[str, Callable[[int], float]]
    ) -> None:
        points = [
            Point(name, step, curve(step), self.now) for name, curve in curves.items() for step in steps
        ]
        write_points(self.engine, job.run_id, job.attempt, points, step=steps[-1], rate=4.0, now=self.now)

    def finish(self, job: queue.Claim, name: str, value: float, interval: float = 0.0012) -> None:
        result = ResultRow(name, value, interval, 1000)
        queue.finish(self.engine, job.run_id, job.attempt, [result], now=self.now)

    def fail(self, job: queue.Claim, error: str) -> None:
        queue.fail(self.engine, job.run_id, job.attempt, error, now=self.now)


def dashboard_of(filled: Filled) -> Dashboard:
    """Return the dashboard of a database that a test of reports has filled."""
    assert filled.engine.url.database
    return Dashboard(Database(filled.engine.url.database, clock=lambda: filled.now))


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the dashboard go on until the condition holds."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError(f"not within {seconds} s; the screen shows:\n{screen_text(pilot)}")


def screen_text(pilot: Pilot[None]) -> str:
    """Return what is on the screen, as plain text."""
    width, height = pilot.app.size
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text[:width].rstrip() for strip in strips[:height])


def is_settled(dashboard: Dashboard) -> bool:
    """Return whether the first picture is there, with the run under the cursor where there is one."""
    picture = dashboard.picture
    if picture is None or dashboard.trouble:
        return bool(dashboard.trouble)
    empty = not picture.snapshot.runs or bool(dashboard.state.get("search", ""))
    return empty or picture.snapshot.selected is not None


def use(dashboard: Dashboard, steps: Steps, size: tuple[int, int] = (80, 24)) -> None:
    async def session() -> None:
        async with dashboard.run_test(size=size) as pilot:
            await until(pilot, lambda: is_settled(dashboard))
            await pilot.pause()
            await steps(pilot)

    asyncio.run(session())


def shows(pilot: Pilot[None], *words: str) -> Callable[[], bool]:
    return lambda: all(word in screen_text(pilot) for word in words)


def is_open(pilot: Pilot[None], screen: type[Screen[Any]]) -> Callable[[], bool]:
    return lambda: isinstance(pilot.app.screen, screen)


def halving(step: int) -> float:
    return math.exp(-step / 100)


def rising(step: int) -> float:
    return 1 - 0.9 * math.exp(-step / 100)
