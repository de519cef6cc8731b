"""The runs behind a report's numbers: seed, interval, commit and machine of each, gathered from its document.

Not here: what a document says of a run (measured.traced).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fsrun.axes import with_interval
from fsrun.report.table import Column, Table
from fsrun.words import duration

_COMMIT = 12  # digits of a commit that are shown


def runs_table(document: Mapping[str, Any]) -> Table:
    """Return one line for each run that a document names with its provenance, in order."""
    found = {run["run_id"]: run for run in _traced(document)}
    runs = [found[run_id] for run_id in sorted(found)]
    return Table(
        title="The runs behind these numbers",
        columns=(
            Column("Run", numeric=True),
            Column("Seed", numeric=True),
            Column("Preset"),
            Column("Measured", numeric=True),
            Column("Episodes", numeric=True),
            Column("Commit"),
            Column("fsrun"),
            Column("torch"),
            Column("Device"),
            Column("Took", numeric=True),
        ),
        rows=tuple(_cells(run) for run in runs),
        notes=(),
        records=tuple(_record(run) for run in runs),
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


def _cells(run: Mapping[str, Any]) -> tuple[str, ...]:
    made, measured = run["provenance"], run.get("value")
    return (
        str(run["run_id"]),
        str(run["seed"]),
        run.get("preset", ""),
        "" if measured is None else with_interval(measured, run.get("interval")),
        f"{run['episodes']:,}" if run.get("episodes") else "",
        _short(made.get("commit", "")),
        made.get("fsrun", ""),
        made.get("torch", ""),
        run.get("device") or "",
        duration(run["seconds"]) if run.get("seconds") is not None else "",
    )


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
