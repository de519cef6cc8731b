"""Pictures of the screens, made without a terminal by the dashboard itself.

Not here: the command (fsrun.cli.screenshot), and writing what the user looks at (exporting.py).
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from textual.pilot import Pilot

from fsrun.errors import FsrunError
from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from fsrun.tui.messages import Picture

PATIENCE = 60.0
"""Seconds after which a screen that is still empty is given up."""

_FAR = 50  # runs among which one with curves is looked for
_MOMENT = 0.05  # seconds between looks at whether a screen is ready


class ScreenEmpty(FsrunError):  # noqa: N818  (a name says what happened, and so what to do)
    """The screen has nothing to show or the database does not answer: the message says what to do."""


def _whole(picture: Picture) -> bool:
    return not picture.snapshot.runs or picture.snapshot.selected is not None


def _compares(picture: Picture) -> bool:
    return len(picture.snapshot.compared) > 1


_WAYS: Mapping[str, tuple[tuple[str, ...], Callable[[Picture], bool]]] = {
    "overview": ((), _whole),
    "run": (("enter",), _whole),
    "compare": (("slash", *"method:", "{method}", "enter", "*", "m"), _compares),
    "table2": (("2",), lambda picture: bool(picture.tables)),
    "classes": (("3",), lambda picture: bool(picture.classes)),
    "theory": (("4",), lambda picture: bool(picture.theory)),
    "queue": (("n",), _whole),
    "help": (("question_mark",), _whole),
}
"""The keys that lead to each screen from the first one, and whether all is there that it shows.

Compared are the runs of the method of the one under the cursor.
"""

SCREENS = tuple(_WAYS)


def screenshot(place: str | Path, screen: str, *, size: tuple[int, int], theme: str) -> str:
    """Return a picture of the screen as SVG, `size` in columns and lines; raises ScreenEmpty."""
    return asyncio.run(_taken(place, screen, size, theme))


async def _taken(place: str | Path, screen: str, size: tuple[int, int], theme: str) -> str:
    database = Database(place)
    app = Dashboard(database)
    app.animation_level = "none"
    try:
        async with app.run_test(size=size) as pilot:
            app.theme = theme
            return await _picture(pilot, app, screen)
    finally:
        database.close()


async def _picture(pilot: Pilot[None], app: Dashboard, name: str) -> str:
    keys, is_there = _WAYS[name]
    await _wait(pilot, app, _whole)
    await _go_to_curves(pilot, app)
    assert app.picture is not None
    selected = app.picture.snapshot.selected
    method = selected.row.method if selected else ""
    for key in keys:
        await pilot.press(*(method if key == "{method}" else [key]))
    await _wait(pilot, app, is_there)
    await pilot.pause(4 * _MOMENT)
    return app.export_screenshot()


async def _go_to_curves(pilot: Pilot[None], app: Dashboard) -> None:
    """Put the cursor on the newest run that has curves, where there is one among the newest."""
    for _ in range(_FAR):
        assert app.picture is not None
        taken = app.picture.snapshot
        if taken.selected is None or taken.selected.curves or taken.selected.row.id == taken.runs[-1].id:
            return
        before = taken.selected.row.id
        await pilot.press("j")
        await _wait(pilot, app, lambda picture, before=before: _selected(picture) != before)  # type: ignore[misc]


def _selected(picture: Picture) -> int | None:
    selected = picture.snapshot.selected
    return selected.row.id if selected else None


async def _wait(pilot: Pilot[None], app: Dashboard, is_there: Callable[[Picture], bool]) -> None:
    for _ in range(int(PATIENCE / _MOMENT)):
        if app.picture is not None and is_there(app.picture):
            await pilot.pause()
            return
        if app.trouble and not app.is_waiting:
            break
        await pilot.pause(_MOMENT)
    raise ScreenEmpty(app.trouble or "the screen is still empty: are there runs it can show?")
