"""Opening the dashboard in this terminal, soon: what the first picture does not need is loaded after it.

Not here: the dashboard itself (fsrun.tui.app), and in a browser (fsrun.tui.serving).
"""

import asyncio
import gc
import select
import signal
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread, Timer

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


def run_tui(database: str | Path, *, state_file: Path | None = None, read_only: bool = False) -> int:
    """Show the dashboard of a database until the user quits; return the exit code.

    The database is made if there is none, unless it is only to be read. What the user chose is kept in
    `state_file` for the next start.
    """
    source = Database(database, read_only=read_only)
    state = State(state_file)
    settle_soon()
    dashboard = Dashboard(source, state=state, read_only=read_only)
    try:
        asyncio.run(_until_it_is_left(dashboard))
    finally:
        with suppress(OSError):  # it has been said while there was a screen to say it on
            state.save()
        source.close()
    return dashboard.return_code or 0


async def _until_it_is_left(dashboard: Dashboard) -> None:
    """Show the dashboard; a signal or the end of the terminal closes it as the key does."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, partial(dashboard.exit, return_code=128 + number))

    def leave_with_the_terminal() -> None:
        end = select.poll()
        end.register(0, 0)  # POLLHUP and POLLERR are told unasked
        if any(state & (select.POLLHUP | select.POLLERR) for _, state in end.poll()):
            with suppress(RuntimeError):  # the loop is closed, the dashboard was left already
                loop.call_soon_threadsafe(partial(dashboard.exit, return_code=128 + signal.SIGHUP))

    Thread(target=leave_with_the_terminal, daemon=True).start()
    await dashboard.run_async()


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
