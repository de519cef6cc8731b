"""The commands that ask for runs: `queue` stores them, `run` also carries them out here and now.

Not here: what a sweep is (experiments.sweeps), and the worker.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.presets import DEFAULT_PRESET
from fsrun.cli.options import numbers, open_database, sentence, words
from fsrun.cli.scripts import Json, say_json
from fsrun.errors import FsrunError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from experiments.sweeps import PlannedRun
    from fsrun.searching import Search
    from store.runs import Enqueued

Experiment = Annotated[
    str,
    typer.Argument(
        help="An experiment: synthetic, omniglot, glyphs, miniimagenet, imagenet or drawn. Or a "
        "study: table2, ablations, when, equal-features or curves.",
        show_default=False,
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        help="Methods, separated by commas, such as fastslow,protonet. An unknown name lists all. Your own: "
        "FILE.py:CLASS or MODULE:CLASS."
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        help="fair: the recipes behind the README's numbers. quick: minutes on a CPU. cpu: about an hour "
        "for each method. paper: the lengths of the sources."
    ),
]
NWay = Annotated[str | None, typer.Option(help="Classes in an episode; a list is swept: 5,10,20.")]
KShot = Annotated[str | None, typer.Option(help="Support images of each class; a list is swept: 1,5.")]
Seeds = Annotated[
    int,
    typer.Option(
        min=1,
        max=1000,
        help="The number of seeds, counted from 0. Each seed is a run; synthetic has all in one run. "
        "--set seed=3,4 names seeds.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set any option; repeatable. A list is swept: slow_lr=0.01,0.1. [1,2] is one value. @FILE reads "
        "numbers from a file. With --random a range is drawn from: lr=1e-4..1e-1:log, filters=16..64.",
    ),
]
On = Annotated[
    str | None,
    typer.Option("--on", help="The data of a study: omniglot (default), miniimagenet or glyphs."),
]
Priority = Annotated[int, typer.Option(min=-1000, max=1000, help="The priority; higher ones run first.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the sweep and store nothing.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Again = Annotated[bool, typer.Option("--again", help="Queue runs even if runs with the same config exist.")]
Gpus = Annotated[
    int,
    typer.Option(min=1, max=64, help="GPUs that share one pre-training. With --device cpu: processes."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Tags for the new runs, a list with commas; repeatable."),
]
Draws = Annotated[
    int | None,
    typer.Option(
        "--random",
        metavar="N",
        min=1,
        max=10_000,
        help="Draw N values from each range of --set. The same command draws the same.",
    ),
]
Sampler = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Ask Optuna for values in the ranges of --set: tpe. With --trials."),
]
Trials = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=1000, help="With --sampler: how many configs to ask for."),
]
Metric = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="With --sampler: the metric of validation classes, as val/accuracy."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only the numbers of the new runs, one a line.")
]
OnEnd = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="A command for the shell when a run has ended, with FSRUN_RUN, FSRUN_STATUS, FSRUN_RESULT and "
        "FSRUN_ERROR in its environment.",
    ),
]


def queue(
    experiment: Experiment,
    method: Method = None,
    preset: Preset = DEFAULT_PRESET,
    n_way: NWay = None,
    k_shot: KShot = None,
    seeds: Seeds = 1,
    settings: Settings = None,
    on: On = None,
    priority: Priority = 0,
    tags: Tags = None,
    draws: Draws = None,
    sampler: Sampler = None,
    trials: Trials = None,
    metric: Metric = None,
    on_end: OnEnd = None,
    dry_run: DryRun = False,
    again: Again = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Queue a sweep: every combination of the lists. Runs that exist are not queued again."""
    from fsrun.planning import effort, known_runs, queued_line  # loads the store
    from store.runs import check_tags

    if as_json and quiet:
        raise UsageError("--json and --quiet are two forms of the answer: choose one")
    tags = [part for each in tags or () for part in words(each)]
    check_tags(tags)
    place = _Place(priority, tags, on_end or "")
    search = _search(sampler, trials, metric, draws)
    planned = _plan(experiment, method, preset, n_way, k_shot, seeds, settings, on, draws or 0, search)
    if as_json or quiet:
        _queue_for_a_script(planned, place, dry_run=dry_run, again=again, as_json=as_json)
        return
    _show(planned)
    if said := effort(planned):
        typer.echo(f"{said}.")
    if dry_run:
        typer.echo("Dry run: nothing was stored.")
        return
    engine = open_database()
    known = known_runs(engine, planned)
    if known.statuses and not again:
        if not known.fresh and not _is_wanted_again(known.line):
            typer.echo("Nothing was queued.")
            return
        if known.fresh:
            typer.echo(sentence(f"{known.line}: not queued again, --again does that"))
        planned = list(known.fresh) or planned
    typer.echo(sentence(queued_line(_store(engine, planned, place))))
    typer.echo(
        "Next:  fsrun worker   (or fsrun worker --drain to stop when all is done), and fsrun tui to watch."
    )


def _queue_for_a_script(
    planned: "list[PlannedRun]",
    place: "_Place",
    *,
    dry_run: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Queue what is not there, or all `again`. Print the new runs, as JSON with those that were there."""
    from fsrun.planning import Known, known_runs

    engine = open_database()
    known = Known({}, tuple(planned)) if again else known_runs(engine, planned)
    queued = [] if dry_run else _store(engine, list(known.fresh), place)
    if not as_json:
        for each in queued:
            typer.echo(each.run_id)
        return
    say_json(
        "queued/1",
        dry_run=dry_run,
        planned=len(planned),
        queued=[each.run_id for each in queued],
        prerequisites=sorted({parent for each in queued for parent in each.new_parents}),
        there={run_id: status.value for run_id, status in known.statuses.items()},
    )


@dataclass(frozen=True)
class _Place:
    """How runs are queued: priority, tags, and the command for their end."""

    priority: int
    tags: Sequence[str]
    on_end: str


def _store(engine: "Engine", planned: "list[PlannedRun]", place: _Place) -> "list[Enqueued]":
    from fsrun.paths import find_home
    from fsrun.planning import enqueue_planned, require_data
    from store.runs import change_tags

    require_data(planned, find_home())
    queued = enqueue_planned(engine, planned, now=time.time(), priority=place.priority, on_end=place.on_end)
    if place.tags:
        change_tags(engine, [each.run_id for each in queued], add=place.tags)
    return queued


def _is_wanted_again(line: str) -> bool:
    """Ask at a terminal; a script must say so beforehand: FsrunError."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise FsrunError(f"{line}: nothing was queued, --again queues it once more")
    return typer.confirm(sentence(line) + " Queue it again?")


def run(
    experiment: Experiment,
    method: Method = None,
    preset: Preset = DEFAULT_PRESET,
    n_way: NWay = None,
    k_shot: KShot = None,
    seeds: Seeds = 1,
    settings: Settings = None,
    on: On = None,
    device: Device = "auto",
    gpus: Gpus = 1,
    again: Again = False,
) -> None:
    """Queue a sweep and run it here. After Ctrl-C, the same command goes on."""
    from fsrun.cli.foreground import show_results, work_in_foreground  # loads the store
    from fsrun.cli.tables import console
    from fsrun.object_store import check
    from fsrun.paths import find_home
    from fsrun.planning import Known, enqueue_planned, known_runs, require_data
    from fsrun.worker.devices import check_gpus
    from fsrun.worker.notices import ADDRESSES, check_addresses
    from store.jobs import JobStatus
    from store.runs import with_prerequisites

    check_gpus(gpus, device)
    check_addresses(os.environ.get(ADDRESSES, ""))
    planned = _plan(experiment, method, preset, n_way, k_shot, seeds, settings, on)
    engine = open_database()
    known = Known({}, tuple(planned)) if again else known_runs(engine, planned)
    if known.statuses:
        done = all(status is JobStatus.DONE for status in known.statuses.values())
        what = "--again runs it once more" if done else "going on with what is not done"
        typer.echo(sentence(f"{known.line}: {what}"))
        if done and not known.fresh:
            show_results(engine, known.statuses, console())
            return
    require_data(known.fresh, find_home())
    check(find_home().storage)
    queued = enqueue_planned(engine, known.fresh, now=time.time())
    asked = sorted(known.statuses) + [each.run_id for each in queued]
    if work_in_foreground(engine, device, gpus, asked, with_prerequisites(engine, asked)):
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
    draws: int = 0,
    search: "Search | None" = None,
) -> "list[PlannedRun]":
    from fsrun.planning import Asked, plan_asked  # loads pydantic and the store

    ways, shots = numbers(n_way, "--n-way", "--n-way 5,20"), numbers(k_shot, "--k-shot", "--k-shot 1,5")
    asked = Asked(experiment, words(method), preset, ways, shots, seeds, settings or [], on, draws)
    if search is None:
        planned = plan_asked(asked)
    else:
        from fsrun.searching import plan_next

        planned = plan_next(open_database(), asked, search)
    _warn(planned)
    return planned


def _search(
    sampler: str | None, trials: int | None, metric: str | None, draws: int | None
) -> "Search | None":
    """Return the search asked for. Raises UsageError where its options do not go together."""
    if sampler is None:
        if trials is not None or metric is not None:
            raise UsageError("--trials and --metric are of a search: add --sampler tpe")
        return None
    if draws is not None:
        raise UsageError("--random and --sampler are two ways to choose values: leave out one")
    if trials is None or metric is None:
        raise UsageError(
            "--sampler needs --trials and --metric: add for example --trials 8 --metric val/accuracy"
        )
    from fsrun.searching import Search

    return Search(sampler, trials, metric)


def _warn(planned: "list[PlannedRun]") -> None:
    """Say in one line which run theory expects to diverge, and how many more there are."""
    from fsrun.planning import warnings

    found = warnings(planned)
    if found:
        more = f" (and {len(found) - 1} more of these runs)" if len(found) > 1 else ""
        typer.echo(f"Warning: {found[0]}{more}.", err=True)


def _show(planned: "list[PlannedRun]") -> None:
    """Print the sweep as a table."""
    from fsrun.cli.tables import console
    from fsrun.sweep_table import sweep_table

    console().print(sweep_table(planned))
