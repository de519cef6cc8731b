"""Runs as two tables, one line a run and one line a point, for spreadsheets and data frames.

Not here: reports on what was measured (fsrun.report).
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fsrun.exports.curves import ExportedRun, in_parts

POINTS = ("run", "metric", "step", "time", "value")
_AT_ONCE = 50_000


def write_csv(runs: Sequence[ExportedRun], folder: Path) -> int:
    """Write runs.csv and points.csv into the folder; return the number of points."""
    lines = _lines(runs)
    with (folder / "runs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, _columns(lines))
        table.writeheader()
        table.writerows(lines)
    count = 0
    with (folder / "points.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(POINTS)
        for point in _points(runs):
            writer.writerow(point)
            count += 1
    return count


def write_parquet(runs: Sequence[ExportedRun], folder: Path) -> int:
    """Write runs.parquet and points.parquet into the folder; return the number of points."""
    import pyarrow as pa
    from pyarrow import parquet

    lines = _lines(runs)
    columns = {name: [line.get(name) for line in lines] for name in _columns(lines)}
    parquet.write_table(pa.table(columns), folder / "runs.parquet")
    types = (pa.int64(), pa.dictionary(pa.int32(), pa.string()), pa.int64(), pa.float64(), pa.float64())
    schema = pa.schema(list(zip(POINTS, types, strict=True)))
    count = 0
    with parquet.ParquetWriter(folder / "points.parquet", schema) as writer:
        for batch in in_parts(_points(runs), _AT_ONCE):
            writer.write_table(
                pa.table(dict(zip(POINTS, map(list, zip(*batch, strict=True)), strict=True)), schema)
            )
            count += len(batch)
    return count


def _points(runs: Iterable[ExportedRun]) -> Iterator[tuple[int, str, int, float, float]]:
    for run in runs:
        for point in run.points():
            yield run.record.id, point.name, point.step, point.time, point.value


def _lines(runs: Sequence[ExportedRun]) -> list[dict[str, Any]]:
    """Return one line a run: facts, results, and what has parts as JSON."""
    return [_line(run) for run in runs]


def _line(run: ExportedRun) -> dict[str, Any]:
    line: dict[str, Any] = {**run.facts, "config": run.config, **run.results}
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in line.items()
    }


def _columns(lines: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line))
