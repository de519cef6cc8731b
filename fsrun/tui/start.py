"""Opening the dashboard in this terminal, soon: what the first picture does not need is loaded after it.

Not here: the dashboard itself (fsrun.tui.app), and in a browser (fsrun.tui.serving).
"""

import gc
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Timer

from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from fsrun.tui.state import State

_SETTLED_AFTER = 2.0  # seconds: the first picture is there
_LATER = (
    "fsrun.tui.screens.compare",
    "fsrun.tui.screens.export",
    "fsrun.tui.screens.queue_form",
    "fsrun.tui.screens.reports",
    "fsrun.tui.screens.table2",
    "fsrun.tui.reports",
)
"""What screens need that are not the first one, and what takes long to load."""


def run_tui(database: str | Path, *, state_file: Path | None = None, read_only: bool = False) -> None:
    """Show the dashboard of a database until the user quits.

    The database is made if there is none, unless it is only to be read. What the user chose is kept in
    `state_file` for the next start.
    """
    source = Database(database, read_only=read_only)
    state = State(state_file)
    settle_soon()
    try:
        Dashboard(source, state=state, read_only=read_only).run()
    finally:
        with suppress(OSError):  # it has been said while there was a screen to say it on
            state.save()
        source.close()


def settle_soon() -> None:
    """Have the rest loaded on a thread when the first picture is there, and garbage looked for from then on.

    What is loaded stays, so that looking through it again and again would only hold up the screen.
    """
    gc.disable()
    later = Timer(_SETTLED_AFTER, settle)
    later.daemon = True
    later.start()


def settle() -> None:
    """Load the rest, and look for garbage from now on, not among what was loaded."""
    for name in _LATER:
        import_module(name)
    gc.freeze()
    gc.enable()
