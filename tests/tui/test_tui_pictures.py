"""Pictures of every screen beside those that were looked at and found good.

After a change that is meant, `pytest tests/tui/test_tui_pictures.py --snapshot-update` takes them anew: look
at each that changed before it is kept. All screens are taken dark at 80x24 and light at 160x50, the first in
all four ways, besides an empty database, a failed run and 1,000 runs.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from fsrun.paths import Home
from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from store.queue import finish
from store.results import ResultRow
from tests.report.linear_cases import CURVES, RESULTS, STEPS
from tests.tui.tui_cases import Lab, halving, rising, shows, until

Compare = Callable[..., bool]

SMALL, WIDE = (80, 24), (160, 50)
DARK, LIGHT = "fsrun-dark", "fsrun-light"
TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 3, in step\nValueError: loss is nan'

SCREENS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "overview": ((), ("MAML on omniglot", "50%")),
    "run": (("enter",), ("MAML on omniglot", "loss")),
    "compare": (("down", "space", "down", "space", "m"), ("2 runs", "metric 1 of")),
    "table2": (("2",), ("Table 2", "Pixel-KNN", "not run")),
    "classes": (("3",), ("Classes", "accuracy, %")),
    "theory": (("4",), ("Theory", "floor")),
    "queue": (("n",), ("Queue a run", "Queue 1 run")),
    "help": (("question_mark",), ("esc closes",)),
}
"""Screen -> keys that lead to it, words that are there when it is drawn."""


@pytest.fixture
def still(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A database whose pictures hold nothing of this machine or this moment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fsrun.tui.reading.EVERY_SECONDS", 3600.0)  # processors are never equally busy
    return lab


def dashboard(lab: Lab, theme: str) -> Dashboard:
    app = Dashboard(Database("fsrun.db", clock=lambda: lab.now, home=Home(Path("home"))))
    app.state.set("theme", theme)
    return app


def fill(lab: Lab) -> None:
    """Store a run of each kind: done, failed, running, queued."""
    (study,) = lab.ask("synthetic")
    job = lab.work(study)
    lab.report(
        job,
        STEPS,
        {name: dict(zip(STEPS, values, strict=True)).__getitem__ for name, values in CURVES.items()},
    )
    rows = [ResultRow(f"test/{name}", value, 0.0046 * value, 1000) for name, value in RESULTS.items()]
    finish(lab.engine, job.run_id, job.attempt, rows, now=lab.now)
    for ways, accuracy in ((5, 0.985), (20, 0.951)):
        (run_id,) = lab.ask("omniglot", "protonet", n_way=[ways])
        job = lab.work(run_id)
        lab.report(job, range(20, 301, 20), {"train/loss": halving, "train/accuracy": rising})
        lab.finish(job, "test/accuracy", accuracy)
    (failed,) = lab.ask("glyphs", "protonet")
    lab.fail(lab.work(failed), TRACEBACK)
    lab.ask("omniglot", "matching")
    (running,) = lab.ask("omniglot", "maml", settings={"steps": [600]})
    lab.report(lab.work(running), range(20, 301, 20), {"train/loss": halving, "train/accuracy": rising})


async def settle(pilot: Pilot[None], keys: tuple[str, ...], words: tuple[str, ...]) -> None:
    await until(pilot, lambda: bool(pilot.app.screen_stack) and len(pilot.app.screen_stack) > 1)
    await pilot.pause(0.3)
    await pilot.press(*keys)
    await until(pilot, shows(pilot, *words), 60.0)
    await pilot.pause(1.2)  # two more readings: nothing moves any more


@pytest.mark.parametrize(("size", "theme"), [(SMALL, DARK), (WIDE, LIGHT)], ids=["small-dark", "wide-light"])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen(
    screen: str, size: tuple[int, int], theme: str, still: Lab, snap_compare: Compare
) -> None:
    fill(still)

    async def before(pilot: Pilot[None]) -> None:
        await settle(pilot, *SCREENS[screen])

    assert snap_compare(dashboard(still, theme), terminal_size=size, run_before=before)


@pytest.mark.parametrize(("size", "theme"), [(SMALL, LIGHT), (WIDE, DARK)], ids=["small-light", "wide-dark"])
def test_the_first_screen_in_the_other_themes(
    size: tuple[int, int], theme: str, still: Lab, snap_compare: Compare
) -> None:
    fill(still)

    async def before(pilot: Pilot[None]) -> None:
        await settle(pilot, *SCREENS["overview"])

    assert snap_compare(dashboard(still, theme), terminal_size=size, run_before=before)


@pytest.mark.parametrize("screen", ["overview", "table2", "classes", "theory"])
def test_an_empty_database(screen: str, still: Lab, snap_compare: Compare) -> None:
    words = {
        "overview": "fsrun data import omniglot",
        "table2": "not run",
        "classes": "has finished: type",
        "theory": "no synthetic run",
    }

    async def before(pilot: Pilot[None]) -> None:
        await settle(pilot, SCREENS[screen][0], (words[screen],))

    assert snap_compare(dashboard(still, DARK), terminal_size=SMALL, run_before=before)


def test_a_failed_run(still: Lab, snap_compare: Compare) -> None:
    (failed,) = still.ask("glyphs", "protonet")
    job = still.work(failed)
    still.report(job, range(20, 101, 20), {"train/loss": halving})
    still.fail(job, TRACEBACK)

    async def before(pilot: Pilot[None]) -> None:
        await settle(pilot, ("enter",), ("ValueError: loss is nan",))

    assert snap_compare(dashboard(still, DARK), terminal_size=SMALL, run_before=before)


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "sign"), [((), "1000 synthetic"), (("o",), "▸")], ids=["singly", "grouped"])
def test_a_thousand_runs(keys: tuple[str, ...], sign: str, still: Lab, snap_compare: Compare) -> None:
    runs = still.ask("synthetic", seeds=1000)
    for run_id in runs[:3]:
        still.finish(still.work(run_id), "test/loss_ratio", 0.1 + run_id / 1000)

    async def before(pilot: Pilot[None]) -> None:
        await settle(pilot, keys, ("997 queued", sign))

    assert snap_compare(dashboard(still, DARK), terminal_size=SMALL, run_before=before)
