"""Opening the dashboard in this terminal.

Not here: the dashboard itself (fsrun.tui.app), and in a browser (fsrun.tui.serving).
"""

from contextlib import suppress
from pathlib import Path

from fsrun.tui.app import Dashboard
from fsrun.tui.database import Database
from fsrun.tui.state import State


def run_tui(database: str | Path, *, state_file: Path | None = None, read_only: bool = False) -> None:
    """Show the dashboard of a database until the user quits.

    The database is made if there is none, unless it is only to be read. What the user chose is kept in
    `state_file` for the next start.
    """
    source = Database(database, read_only=read_only)
    state = State(state_file)
    try:
        Dashboard(source, state=state, read_only=read_only).run()
    finally:
        with suppress(OSError):  # it has been said while there was a screen to say it on
            state.save()
        source.close()
