"""All commands of `fsrun` by name, and nothing that takes long to load.

Not here: what a command does; the modules beside this one hold a few each, and import what is slow only then.
"""

from importlib.metadata import version
from typing import Annotated

import typer

from fsrun.cli import (
    classify,
    comparing,
    dashboard,
    data,
    database,
    doctor,
    export,
    queueing,
    remarks,
    reporting,
    runs,
    screenshot,
    starting,
    watching,
    working,
)

app = typer.Typer(
    help="Queue, run, watch and report one-shot and meta-learning experiments with fast and slow learners.",
    epilog="First steps:  fsrun run synthetic --preset quick  |  fsrun data import omniglot PATH  |  "
    "fsrun queue omniglot --preset quick  |  fsrun worker  |  fsrun tui  |  fsrun report --table2",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"fsrun {version('fsrun')}")
        raise typer.Exit


@app.callback()
def fsrun(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Queue, run, watch and report one-shot and meta-learning experiments with fast and slow learners."""


def _example(line: str) -> str:
    return f"Example:  {line}"


app.command(epilog=_example("fsrun queue omniglot --method fastslow,protonet --n-way 5,20 --seeds 3"))(
    queueing.queue
)
app.command(epilog=_example("fsrun run synthetic --preset quick"))(queueing.run)
app.command(epilog=_example("fsrun worker --drain --device auto"))(working.worker)
app.command(epilog=_example("fsrun tui"))(dashboard.tui)
app.command(epilog=_example("fsrun screenshot overview theory --size 120x36 --out docs"))(
    screenshot.screenshot
)
app.command(epilog=_example("fsrun report --table2 --format markdown"))(reporting.report)
app.command(epilog=_example("fsrun compare 3,4,5 8,9,10"))(comparing.compare)
app.command(epilog=_example("fsrun rerun 3"))(comparing.rerun)
app.command(epilog=_example("fsrun ls --status running"))(runs.ls)
app.command(epilog=_example("fsrun show 3"))(runs.show)
app.command(epilog=_example("fsrun logs 3 --follow"))(runs.logs)
app.command(epilog=_example("fsrun watch 3"))(watching.watch)
app.command(epilog=_example("fsrun note 3 'the first that converged'"))(remarks.note)
app.command(epilog=_example("fsrun tag 3 paper baseline"))(remarks.tag)
app.command(epilog=_example("fsrun rm 3 4"))(remarks.rm)
app.command(epilog=_example("fsrun cancel 3 4"))(runs.cancel)
app.command(epilog=_example("fsrun retry 3"))(runs.retry)
app.command(
    epilog=_example("fsrun priority 5 3 4"),
    context_settings={"ignore_unknown_options": True},  # -5 is a priority, not an option
)(runs.priority)
app.command(epilog=_example("fsrun pause"))(runs.pause)
app.command(epilog=_example("fsrun resume"))(runs.resume)
app.command(epilog=_example("fsrun export 3 --out model"))(export.export)
app.command("import", epilog=_example("fsrun import results/omniglot.json"))(export.import_)
app.command(epilog=_example("fsrun classify --run 3 --support examples --images new"))(classify.classify)
app.add_typer(data.app, name="data")
app.add_typer(starting.app, name="new")
app.add_typer(database.app, name="db")
app.command(epilog=_example("fsrun gc --yes"))(database.gc)
app.command(epilog=_example("fsrun doctor"))(doctor.doctor)
