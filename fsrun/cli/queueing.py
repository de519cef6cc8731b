"""The commands that ask for runs: `queue` stores them, `run` also carries them out here and now.

Not here: what a sweep is (experiments.sweeps), and the worker.
"""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fsrun.cli.options import numbers, open_database, words
from fsrun.errors import FsrunError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from experiments.sweeps import PlannedRun
    from store.runs import Enqueued

Experiment = Annotated[str, typer.Argument(help="synthetic, omniglot or glyphs.", show_default=False)]
Method = Annotated[
    str | None,
    typer.Option(
        help="Methods, a comma between: pixel-knn, protonet, fastslow, pretrain; synthetic has linear."
    ),
]
Preset = Annotated[str, typer.Option(help="quick: minutes on a CPU. paper: the paper's settings.")]
NWay = Annotated[str | None, typer.Option(help="Classes per episode, a list is swept: 5,10,20.")]
KShot = Annotated[str | None, typer.Option(help="Support images per class, a list is swept: 1,5.")]
Seeds = Annotated[
    int,
    typer.Option(
        min=1, max=1000, help="How many seeds, from 0 on; each is a run, but synthetic carries all in one."
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
Priority = Annotated[int, typer.Option(help="Higher runs first.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the sweep and store nothing.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def queue(
    experiment: Experiment,
    method: Method = None,
    preset: Preset = "paper",
    n_way: NWay = None,
    k_shot: KShot = None,
    seeds: Seeds = 1,
    settings: Settings = None,
    priority: Priority = 0,
    dry_run: DryRun = False,
) -> None:
    """Queue a sweep: the product of the lists, shown before it is stored."""
    planned = _plan(experiment, method, preset, n_way, k_shot, seeds, settings)
    _show(planned)
    if dry_run:
        typer.echo("Dry run: nothing was stored.")
        return
    _check_data(experiment)
    queued = _store(open_database(), planned, priority)
    made = [run_id for each in queued for run_id in each.new_parents]
    shared = {parent for each in queued for parent in each.parents} - set(made)
    typer.echo(f"Queued {_runs([each.run_id for each in queued])}{_needed(made, shared)}.")
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
    device: Device = "auto",
) -> None:
    """Queue a sweep and carry it out here; after Ctrl-C the same command goes on where it stopped."""
    from fsrun.cli.foreground import work_in_foreground  # loads the store
    from fsrun.worker.devices import check_device
    from store.runs import unfinished_run, with_prerequisites

    check_device(device)
    planned = _plan(experiment, method, preset, n_way, k_shot, seeds, settings)
    _check_data(experiment)
    engine = open_database()
    specs = _specs(planned)
    known = [unfinished_run(engine, spec) for spec in specs]
    fresh = [each for each, run_id in zip(planned, known, strict=True) if run_id is None]
    going_on = [run_id for run_id in known if run_id is not None]
    if going_on:
        typer.echo(f"Going on with {_runs(going_on)}, queued earlier with the same options.")
    asked = going_on + [each.run_id for each in _store(engine, fresh, priority=0)]
    finished = work_in_foreground(engine, device, asked, with_prerequisites(engine, asked))
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
) -> "list[PlannedRun]":
    from experiments.registry import EXPERIMENTS  # loads pydantic
    from experiments.sweeps import Sweep, parse_settings, plan

    known = EXPERIMENTS.get(experiment)
    together = known is not None and known.seeds_in_one_run
    sweep = Sweep(
        experiment,
        words(method),
        preset,
        numbers(n_way, "--n-way"),
        numbers(k_shot, "--k-shot"),
        1 if together else seeds,
        seeds if together else 1,
        parse_settings(settings or []),
    )
    planned = plan(sweep)
    _warn(planned)
    return planned


def _warn(planned: "list[PlannedRun]") -> None:
    """Say in one line which run theory expects to diverge, and how many more there are."""
    from fsrun.planning import warnings

    found = warnings(planned)
    if found:
        more = f" (and {len(found) - 1} more of these runs)" if len(found) > 1 else ""
        typer.echo(f"Warning: {found[0]}{more}.", err=True)


def _check_data(experiment: str) -> None:
    """Refuse to queue what no worker here could run."""
    from experiments.registry import EXPERIMENTS
    from fsrun.paths import find_home

    if EXPERIMENTS[experiment].needs_import:
        from experiments.data.omniglot import require_imported

        require_imported(find_home().data)


def _specs(planned: "list[PlannedRun]") -> list[str]:
    from experiments.config import config_hash

    return [config_hash(each.config) for each in planned]


def _store(engine: "Engine", planned: "list[PlannedRun]", priority: int) -> "list[Enqueued]":
    from fsrun.planning import requests  # loads the store
    from fsrun.provenance import provenance
    from store.runs import enqueue

    return enqueue(engine, requests(planned), now=time.time(), priority=priority, provenance=provenance())


def _show(planned: "list[PlannedRun]") -> None:
    """Print the sweep as a table."""
    from fsrun.cli.tables import console, sweep_table

    console().print(sweep_table(planned))


def _runs(run_ids: list[int]) -> str:
    """Say which runs: "run 3", or "runs 3 to 8", or "runs 3, 5"."""
    if len(run_ids) == 1:
        return f"run {run_ids[0]}"
    if run_ids == list(range(run_ids[0], run_ids[-1] + 1)):
        return f"runs {run_ids[0]} to {run_ids[-1]}"
    return "runs " + ", ".join(str(run_id) for run_id in run_ids)


def _needed(made: list[int], shared: set[int]) -> str:
    """Say which pre-trainings were queued first, and which that exist already are used."""
    parts = []
    if made:
        parts.append(f"{_runs(sorted(made))} first, which they start from")
    if shared:
        parts.append(f"starting from {_runs(sorted(shared))}, there already")
    return "".join(f"; {part}" for part in parts)
