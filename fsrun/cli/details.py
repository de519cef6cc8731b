"""Everything about one run, as `fsrun show` prints it.

Not here: lists (tables.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fsrun.stored_options import options_of
from fsrun.words import count, duration, is_chance, method_title, number, plain, seed_range
from store.jobs import JobStatus
from store.runs import RunRecord
from store.views import seeds_in


def details(run: RunRecord, told: Sequence[str] = ()) -> Iterator[RenderableType]:
    """Yield the parts of the page, one after another; `told` are sentences about its results."""
    yield Text(f"run {run.id}  {method_title(run.spec.method)} on {plain(run.spec.experiment)}", "bold")
    yield _pairs(_summary(run))
    if run.results:
        yield Text("\nresults", "bold")
        yield _pairs(_results(run))
    yield from map(Text, told)
    yield Text("\nconfig", "bold")
    yield _pairs(options_of(run.spec.config))
    if run.attempts:
        yield Text("\nattempts", "bold")
        yield _attempts(run)
    yield Text("\nprovenance", "bold")
    newest = run.attempts[-1].provenance if run.attempts else run.provenance
    yield _pairs(dict(newest))
    if run.error:
        yield Text("\nerror", "bold red")
        yield Text(plain(run.error.rstrip()))


def _summary(run: RunRecord) -> dict[str, str]:
    facts = {
        "status": f"{run.status.value}, step {run.step:,} of {run.spec.total_steps:,}",
        "preset": plain(run.spec.preset),
        **({"variant": plain(run.spec.variant)} if run.spec.variant else {}),
        "seed": seed_range(run.spec.seed, seeds_in(run.spec.config)),
        "created": _clock(run.created),
        "config hash": run.spec.config_hash,
    }
    if run.status is JobStatus.QUEUED:
        facts["priority"] = str(run.priority)
    if run.trashed is not None:
        facts["deleted"] = f"{_clock(run.trashed)}; fsrun rm --undo {run.id} brings it back"
    if run.tags:
        facts["tags"] = " ".join(run.tags)
    if run.note:
        facts["note"] = plain(run.note)
    if run.parents:
        facts["starts from"] = ", ".join(f"run {parent}" for parent in run.parents)
    if run.finished and run.attempts:
        facts["took"] = duration(run.worked)
    return facts


def _results(run: RunRecord) -> dict[str, str]:
    facts = {}
    for row in run.results:
        quantity = row.name.split("/")[-1]
        interval = f" ± {number(quantity, row.interval)}" if row.interval is not None else ""
        episodes = "" if row.episodes is None else f", {count(row.episodes, 'episode')}"
        chance = quantity == "accuracy" and is_chance(row.value, row.interval, run.spec.n_way)
        facts[row.name] = f"{number(quantity, row.value)}{interval}{episodes}{', at chance' * chance}"
    return facts


def _attempts(run: RunRecord) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("attempt", "outcome", "from step", "started", "took", "worker"):
        table.add_column(column)
    for attempt in run.attempts:
        took = duration(attempt.ended - attempt.started) if attempt.ended else ""
        table.add_row(
            str(attempt.number),
            attempt.outcome.value if attempt.outcome else "running",
            f"{attempt.from_step:,}",
            _clock(attempt.started),
            took,
            plain(attempt.worker_id),
        )
    return table


def _pairs(facts: Mapping[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(plain(name), Text(plain(value)))
    return table


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
