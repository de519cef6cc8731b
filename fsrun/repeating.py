"""Asking for a stored run once more, from the config that is stored with it.

Not here: whether it comes to the same numbers (fsrun.report.repetition).
"""

from dataclasses import dataclass

from sqlalchemy import Engine

from experiments.config import config_from_json, config_hash, config_to_json
from experiments.errors import ConfigError
from experiments.sweeps import PlannedRun
from fsrun.errors import FsrunError
from fsrun.planning import run_request
from fsrun.provenance import provenance
from fsrun.stored_options import ABSENT, different_options
from store.jobs import JobStatus
from store.runs import REPEATS, Enqueued, RunRecord, enqueue


@dataclass(frozen=True)
class Again:
    """A run to be repeated, ready to be queued; `warning` says what cannot be as it was, if anything."""

    run: RunRecord
    planned: PlannedRun
    warning: str = ""


def plan_again(run: RunRecord) -> Again:
    """Return a run ready to be repeated. Raises FsrunError where it cannot be."""
    if run.status is not JobStatus.DONE:
        remedy = {
            JobStatus.QUEUED: "start fsrun worker",
            JobStatus.RUNNING: "wait for its end",
        }.get(run.status, f"fsrun retry {run.id} goes on with it")
        raise FsrunError(f"run {run.id} is {run.status.value} and has no results to repeat: {remedy}")
    try:
        config = config_from_json(run.spec.config)
    except ConfigError as error:
        raise FsrunError(
            f"run {run.id} cannot be repeated: this version cannot read its config "
            f"({error}): use the version that ran it, commit {_commit(run)}, or queue it anew"
        ) from error
    warning = ""
    if config_hash(config) != run.spec.config_hash:
        later = different_options([run.spec.config, config_to_json(config)])
        named = ", ".join(f"{name}={now}" for name, (then, now) in later if then == ABSENT) or "it"
        warning = (
            f"run {run.id} was stored by a version without all options of this one, which takes {named}: "
            "its numbers may differ"
        )
    return Again(run, PlannedRun(config, run.spec.preset), warning)


def enqueue_again(engine: Engine, again: Again, *, now: float, priority: int = 0) -> Enqueued:
    """Queue the repeat, which says in its provenance what it repeats; what it starts from is shared."""
    facts = provenance() | {REPEATS: str(again.run.id)}
    request = run_request(again.planned)
    return enqueue(engine, [request], now=now, priority=priority, provenance=facts)[0]


def _commit(run: RunRecord) -> str:
    return run.attempts[-1].provenance.get("commit", "unknown") if run.attempts else "unknown"
