"""The command `worker`.

Not here: what a worker does (fsrun.worker).
"""

from typing import Annotated

import typer

from fsrun.cli.options import open_database
from fsrun.cli.queueing import Device


def worker(
    drain: Annotated[bool, typer.Option("--drain", help="Stop when nothing is left to do.")] = False,
    device: Device = "auto",
) -> None:
    """Execute queued runs, one at a time; Ctrl-C hands the running one back after a checkpoint."""
    from fsrun.cli.foreground import serve
    from fsrun.worker.devices import check_device

    check_device(device)
    serve(open_database(), device, drain=drain)
