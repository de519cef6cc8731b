"""The runs behind a report's numbers: seed, interval, commit and machine of each, gathered from its document.

Not here: what a document says of a run (measured.traced).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fsrun.report.table import Column, Table, field, measured_in
from fsrun.words import duration

_COMMIT = 12  # digits of a commit that are shown


def runs_table(document: Mapping[str, Any]) -> Table:
    """Return one line for each run that a document names with its provenance, in order."""
    found = {run["run_id"]: run for run in _traced(document)}
    runs = [found[run_id] for run_id in sorted(found)]
    return Table.of(
        "The runs behind these numbers",
        (
            Column("Run", field("run_id"), "run_id", numeric=True),
            Column("Seed", field("seed"), "seed", numeric=True),
            Column("Preset", field("preset")),
            Column("Measured", measured_in("value", "interval", ""), "value", numeric=True),
            Column("Episodes", field("episodes", "{:,}".format), "episodes", numeric=True),
            Column("Commit", field("commit", _short)),
            Column("fsrun", lambda run: run["provenance"].get("fsrun", "")),
            Column("torch", lambda run: run["provenance"].get("torch", "")),
            Column("Device", field("device")),
            Column("Took", field("seconds", duration), "seconds", numeric=True),
        ),
        map(_record, runs),
        dict,
    )


def lines_of(runs: Table) -> list[str]:
    """Return a line on each run, for a comment."""
    headings = [column.heading.casefold() for column in runs.columns]
    return [
        ", ".join(f"{name} {cell}" for name, cell in zip(headings, row, strict=True) if cell)
        for row in runs.rows
    ]


def _traced(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what a document holds about runs, however deep it lies."""
    if isinstance(value, Mapping):
        if "run_id" in value and "provenance" in value:
            yield value if value.get("result") is None else value["result"]
        else:
            for each in value.values():
                yield from _traced(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _traced(each)


def _short(commit: str) -> str:
    """Return the first digits of a commit, and whether files differed from it."""
    digits, _, rest = commit.partition(" ")
    is_commit = len(digits) > _COMMIT
    return f"{digits[:_COMMIT]} {rest}".rstrip() if is_commit else commit


def _record(run: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in run.items() if name not in ("config", "provenance", "result")}
    return {**plain, "commit": run["provenance"].get("commit"), "config": run.get("config")} | {
        "provenance": run["provenance"]
    }
