"""What scripts read: the same facts as the tables, as JSON or CSV with names that stay.

The names are documented in docs/reference/formats.md. Not here: reports and comparisons (fsrun.report), which
have a JSON of their own.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from store.runs import RunRecord
    from store.views import RunRow

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of text.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV instead of text, a line for each run.")]


def say_json(schema: str, **facts: object) -> None:
    """Print one JSON object; `schema` is its name with a version, such as runs/1. NaN becomes null."""
    typer.echo(json.dumps({"schema": f"fsrun/{schema}", **_finite(facts)}, indent=2, allow_nan=False))


def say_csv(rows: "Sequence[RunRow]") -> None:
    """Print runs as CSV with a header; the result is the value that says most about a run."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*CSV_COLUMNS], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        facts = run_facts(row)
        name = facts["newest"]
        value = row.results.get(name, row.latest.get(name)) if name else None
        flat = {
            **facts,
            "tags": " ".join(row.tags),
            "value": value,
            "interval": row.intervals.get(name or ""),
        }
        writer.writerow({each: _finite(flat[each]) for each in CSV_COLUMNS})
    typer.echo(text.getvalue(), nl=False)


CSV_COLUMNS = (
    *("id", "status", "experiment", "method", "preset", "variant", "seed", "seeds", "n_way", "k_shot"),
    *("step", "total_steps", "newest", "value", "interval", "created", "started", "finished"),
    *("worked_seconds", "worker", "tags", "note", "error"),
)


def run_facts(row: "RunRow") -> dict[str, Any]:
    """Return one run of a list: JSON values, times in ISO 8601 with their zone, accuracies from 0 to 1."""
    from fsrun.api import run_of

    return {
        name: value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value
        for name, value in vars(run_of(row)).items()
    }


def record_facts(run: "RunRecord") -> dict[str, Any]:
    """Return everything about one run but its curves, in the same forms."""
    return {
        "id": run.id,
        "status": run.status.value,
        "experiment": run.spec.experiment,
        "method": run.spec.method,
        "preset": run.spec.preset,
        "variant": run.spec.variant,
        "config": json.loads(run.spec.config),
        "config_hash": run.spec.config_hash,
        "step": run.step,
        "total_steps": run.spec.total_steps,
        "priority": run.priority,
        "starts_from": list(run.parents),
        "created": _time(run.created),
        "started": _time(run.started),
        "finished": _time(run.finished),
        "deleted": _time(run.trashed),
        "worked_seconds": run.worked,
        "tags": list(run.tags),
        "note": run.note,
        "error": run.error,
        "results": [
            {"name": row.name, "value": row.value, "interval": row.interval, "episodes": row.episodes}
            for row in run.results
        ],
        "checkpoints": [{"step": row.step, "path": row.path, "url": row.url} for row in run.checkpoints],
        "attempts": [
            {
                "number": each.number,
                "outcome": each.outcome.value if each.outcome else None,
                "from_step": each.from_step,
                "started": _time(each.started),
                "ended": _time(each.ended),
                "worker": each.worker_id,
                "error": each.error,
                "provenance": dict(each.provenance),
            }
            for each in run.attempts
        ],
        "provenance": dict(run.provenance),
    }


def _time(seconds: float | None) -> str | None:
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )


def _finite(value: Any) -> Any:
    """Return the value with numbers that JSON does not have replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
