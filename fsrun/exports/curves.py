"""Runs as the writers of files see them: what they are called, their facts, their points one after another.

Not here: any file.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Engine

from store.curves import Point, every_point, metric_names
from store.engine import reading
from store.runs import RunRecord

_T = TypeVar("_T")


class Row(NamedTuple):
    """All that a run logged at one step; `time` in Unix seconds, of the first of the values."""

    step: int
    time: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class ExportedRun:
    """One run, read from the database while it is written."""

    engine: Engine
    record: RunRecord

    @property
    def name(self) -> str:
        """A name for files and lists: run-3-protonet-20w1s-s0."""
        spec = self.record.spec
        task = "" if spec.n_way is None else f"-{spec.n_way}w{spec.k_shot}s"
        return f"run-{self.record.id}-{spec.method}{task}-s{spec.seed}"

    @property
    def config(self) -> dict[str, Any]:
        """The options, as stored."""
        config: dict[str, Any] = json.loads(self.record.spec.config)
        return config

    @property
    def facts(self) -> dict[str, Any]:
        """What lists of runs show of it, and where it was made."""
        record, spec = self.record, self.record.spec
        made_with = record.attempts[-1].provenance if record.attempts else {}
        return {
            "run": record.id,
            "experiment": spec.experiment,
            "method": spec.method,
            "preset": spec.preset,
            "seed": spec.seed,
            "n_way": spec.n_way,
            "k_shot": spec.k_shot,
            "status": record.status.value,
            "step": record.step,
            "config_hash": spec.config_hash,
            "created": record.created,
            "finished": record.finished,
            "tags": list(record.tags),
            "note": record.note,
            "provenance": {**record.provenance, **made_with},
        }

    @property
    def results(self) -> dict[str, float]:
        """What it measured at its end, by name, with the half width of the 95 % interval as NAME_interval."""
        values = {row.name: row.value for row in self.record.results if not math.isnan(row.value)}
        halves = {f"{row.name}_interval": row.interval for row in self.record.results}
        return values | {name: half for name, half in halves.items() if half is not None}

    def points(self) -> Iterator[Point]:
        """Yield every point, metric by metric, each in order of its steps."""
        for name in self._metrics():
            yield from every_point(self.engine, self.record.id, name)

    def rows(self) -> Iterator[Row]:
        """Yield the same step by step."""
        curves = (every_point(self.engine, self.record.id, name) for name in self._metrics())
        in_order = merge(*curves, key=lambda point: (point.step, point.name))
        for step, points in groupby(in_order, key=lambda point: point.step):
            here = list(points)
            yield Row(step, here[0].time, {point.name: point.value for point in here})

    def _metrics(self) -> tuple[str, ...]:
        with reading(self.engine) as connection:
            return metric_names(connection, self.record.id)


def in_parts(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in lists of at most `size`, so that not all are in memory at a time."""
    left = iter(items)
    while part := list(islice(left, size)):
        yield part
