"""The command that opens the dashboard: `tui`.

Not here: the dashboard (fsrun.tui).
"""

import gc
import os
from typing import Annotated

import typer

from fsrun.errors import UsageError

DEFAULT_PORT = 8000


def tui(
    read_only: Annotated[bool, typer.Option("--read-only", help="Change nothing in the database.")] = False,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve", help="Serve the dashboard to a browser on this machine, and print the address."
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"Of --serve: where to listen, {DEFAULT_PORT} by default."),
    ] = None,
) -> None:
    """Open the dashboard."""
    if port is not None and not serve:
        raise UsageError("--port says where to serve: add --serve")
    if serve:
        from fsrun.tui.serving import serve as serve_in_browser

        serve_in_browser(port or DEFAULT_PORT, read_only=read_only, say=typer.echo)
        return
    if "TEXTUAL_DRIVER" not in os.environ and not all(map(os.isatty, (0, 1, 2))):  # --serve sets that
        raise UsageError(
            "the dashboard reads and draws in a terminal, and standard input, output or error is none: "
            "fsrun ls and fsrun watch print lines, fsrun tui --serve shows it in a browser"
        )
    gc.disable()  # nothing that is loaded now is ever garbage; run_tui turns it on again
    from fsrun.paths import find_home
    from fsrun.tui.start import run_tui
    from fsrun.tui.state import state_file

    home = find_home()
    code = run_tui(home.database, state_file=state_file(home, str(home.database)), read_only=read_only)
    raise typer.Exit(code)
