"""The commands that ask for runs: `queue` stores them, `run` also carries them out here and now.

Not here: what a sweep is (experiments.sweeps), and the worker.
"""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.cli.options import numbers, open_database, sentence, words
from fsrun.errors import FsrunError

if TYPE_CHECKING:
    from experiments.sweeps import PlannedRun

Experiment = Annotated[
    str,
    typer.Argument(
        help="synthetic, omniglot, glyphs, miniimagenet, imagenet or drawn; or a study: table2, ablations "
        "(of fastslow).",
        show_default=False,
    ),
]
Method = Annotated[
    str | None,
    typer.Option(help="Methods, a comma between: fastslow, protonet, maml, ...; an unknown name lists all."),
]
Preset = Annotated[str, typer.Option(help="quick: minutes on a CPU. paper: the paper's settings.")]
NWay = Annotated[str | None, typer.Option(help="Classes per episode, a list is swept: 5,10,20.")]
KShot = Annotated[str | None, typer.Option(help="Support images per class, a list is swept: 1,5.")]
Seeds = Annotated[
    int,
    typer.Option(
        min=1,
        max=1000,
        help="How many seeds, from 0 on; each is a run, but synthetic carries all in one. "
        "Others: --set seed=3,4.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any option; a list is swept: slow_lr=0.01,0.1. [1,2] is one value, @FILE the numbers in it.",
    ),
]
On = Annotated[
    str | None, typer.Option("--on", help="Of a study: its data, omniglot unless said, or glyphs.")
]
Priority = Annotated[int, typer.Option(min=-1000, max=1000, help="Higher runs first.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the sweep and store nothing.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Gpus = Annotated[
    int,
    typer.Option(min=1, max=64, help="Of this machine, for each pre-training; with --device cpu, processes."),
]


def queue(
    experiment: Experiment,
    method: Method = None,
    preset: Preset = "paper",
    n_way: NWay = None,
    k_shot: KShot = None,
    seeds: Seeds = 1,
    settings: Settings = None,
    on: On = None,
    priority: Priority = 0,
    dry_run: DryRun = False,
) -> None:
    """Queue a sweep: the product of the lists, shown before it is stored."""
    from fsrun.paths import find_home
    from fsrun.planning import effort, enqueue_planned, queued_line, require_data  # loads the store

    planned = _plan(experiment, method, preset, n_way, k_shot, seeds, settings, on)
    _show(planned)
    if said := effort(planned):
        typer.echo(f"{said}.")
    if dry_run:
        typer.echo("Dry run: nothing was stored.")
        return
    require_data(planned, find_home())
    queued = enqueue_planned(open_database(), planned, now=time.time(), priority=priority)
    typer.echo(sentence(queued_line(queued)))
    typer.echo(
        "Next:  fsrun worker   (or fsrun worker --drain to stop when all is done), and fsrun tui to watch."
    )


def run(
    experiment: Experiment,
    method: Method = None,
    preset: Preset = "paper",
    n_way: NWay = None,
    k_shot: KShot = None,
    seeds: Seeds = 1,
    settings: Settings = None,
    on: On = None,
    device: Device = "auto",
    gpus: Gpus = 1,
) -> None:
    """Queue a sweep and carry it out here; after Ctrl-C the same command goes on where it stopped."""
    from fsrun.cli.foreground import work_in_foreground  # loads the store
    from fsrun.object_store import check
    from fsrun.paths import find_home
    from fsrun.planning import enqueue_planned, require_data, runs_named
    from fsrun.worker.devices import check_gpus
    from store.runs import unfinished_run, with_prerequisites

    check_gpus(gpus, device)
    planned = _plan(experiment, method, preset, n_way, k_shot, seeds, settings, on)
    require_data(planned, find_home())
    check(find_home().storage)
    engine = open_database()
    specs = _specs(planned)
    known = [unfinished_run(engine, spec) for spec in specs]
    fresh = [each for each, run_id in zip(planned, known, strict=True) if run_id is None]
    going_on = [run_id for run_id in known if run_id is not None]
    if going_on:
        typer.echo(f"Going on with {runs_named(going_on)}, queued earlier with the same options.")
    queued = enqueue_planned(engine, fresh, now=time.time())
    asked = going_on + [each.run_id for each in queued]
    finished = work_in_foreground(engine, device, gpus, asked, with_prerequisites(engine, asked))
    if finished:
        return
    raise FsrunError(
        f"not finished: see fsrun show {asked[0]}, then go on with the same command or fsrun worker"
    )


def _plan(
    experiment: str,
    method: str | None,
    preset: str,
    n_way: str | None,
    k_shot: str | None,
    seeds: int,
    settings: list[str] | None,
    on: str | None,
) -> "list[PlannedRun]":
    from fsrun.planning import Asked, plan_asked  # loads pydantic and the store

    ways, shots = numbers(n_way, "--n-way", "--n-way 5,20"), numbers(k_shot, "--k-shot", "--k-shot 1,5")
    planned = plan_asked(Asked(experiment, words(method), preset, ways, shots, seeds, settings or [], on))
    _warn(planned)
    return planned


def _warn(planned: "list[PlannedRun]") -> None:
    """Say in one line which run theory expects to diverge, and how many more there are."""
    from fsrun.planning import warnings

    found = warnings(planned)
    if found:
        more = f" (and {len(found) - 1} more of these runs)" if len(found) > 1 else ""
        typer.echo(f"Warning: {found[0]}{more}.", err=True)


def _specs(planned: "list[PlannedRun]") -> list[str]:
    from experiments.config import config_hash

    return [config_hash(each.config) for each in planned]


def _show(planned: "list[PlannedRun]") -> None:
    """Print the sweep as a table."""
    from fsrun.cli.tables import console
    from fsrun.sweep_table import sweep_table

    console().print(sweep_table(planned))
