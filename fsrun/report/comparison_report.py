"""A comparison of two sides, or of a run with its repeat, as a report.

Not here: comparing (comparison.py, repetition.py).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Engine

from fsrun.axes import with_interval
from fsrun.report.comparison import Comparison, Effect, compare, only_one_has, p_text, record, sentence
from fsrun.report.measured import Measured, traced
from fsrun.report.repetition import Repeated, Repetition, repetition, same_config
from fsrun.report.report import Report
from fsrun.report.table import Column, Table, field, listed
from fsrun.stored_options import ABSENT
from store.jobs import JobStatus
from store.results import ResultRow, finished_results
from store.runs import get_run


def comparison_report(engine: Engine, a: tuple[int, ...], b: tuple[int, ...]) -> Report:
    """Return A compared with B; two executions of one config bit for bit. Raises what compare raises."""
    if len(a) == len(b) == 1 and a != b:
        one, other = get_run(engine, a[0]), get_run(engine, b[0])
        if one.status is other.status is JobStatus.DONE and same_config(one, other):
            return repetition_report(engine, repetition(engine, one, other))
    found = compare(engine, a, b)
    command = f"compare {','.join(map(str, a))} {','.join(map(str, b))}"
    tables = (_results(found), *([_options(found)] if found.options else []))
    return Report(command, tables, partial(_document, found), says=sentence(found), schema="comparison/1")


def repetition_report(engine: Engine, found: Repetition) -> Report:
    """Return a run beside its repeat."""
    one, other = found.first.id, found.again.id
    table = Table.of(
        f"Run {one} and its repeat, run {other}",
        (
            Column("Result", field("name")),
            Column(f"Run {one}", lambda each: _repeated(each, each.first), "first", numeric=True),
            Column(f"Run {other}", lambda each: _repeated(each, each.again), "again", numeric=True),
            Column("Difference", _apart, "difference", numeric=True),
            Column("Match", lambda each: each.match.value),
        ),
        found.results,
        lambda each: (
            {"name": each.name, "first": each.first.value, "again": each.again.value}
            | {"difference": each.apart and each.apart.mean, "match": each.match.value}
            | {"difference_interval": each.apart and each.apart.interval, "run_ids": [one, other]}
        ),
        notes=tuple(_facts(found)),
    )

    def document() -> dict[str, Any]:
        runs = {each.run_id: traced(each) for each in finished_results(engine) if each.run_id in (one, other)}
        return {
            "title": table.title,
            "sentence": found.sentence,
            "match": found.match.value,
            "results": table.records,
            "made_otherwise": {name: list(pair) for name, pair in found.changed.items()},
            "runs": runs,
        }

    command = f"compare {one} {other}"
    return Report(command, (table,), document, says=f"{found.sentence}.", schema="repetition/1")


def _repeated(each: Repeated, row: ResultRow) -> str:
    scale, unit = _unit(each)
    return with_interval(scale * row.value, None if row.interval is None else scale * row.interval) + unit


def _apart(each: Repeated) -> str:
    scale, _ = _unit(each)
    return "0" if each.apart is None else with_interval(scale * each.apart.mean, scale * each.apart.interval)


def _unit(each: Repeated) -> tuple[int, str]:
    return (100, " %") if each.name.endswith("/accuracy") else (1, "")


def _facts(found: Repetition) -> Iterator[str]:
    for name, (one, other) in found.changed.items():
        yield f"{name}: {one or 'unknown'}, then {other or 'unknown'}."
    if not found.changed:
        yield "Versions, commit and machine are the same."


def _results(found: Comparison) -> Table:
    runs = [f"run{'s' * (len(each) > 1)} {listed(each)}" for each in found.runs]
    return Table.of(
        f"A, {found.a}, against B, {found.b}",
        (
            Column("Result", field("name")),
            Column(f"A, {runs[0]}", lambda each: _side(each, each.a), "a", numeric=True),
            Column(f"B, {runs[1]}", lambda each: _side(each, each.b), "b", numeric=True),
            Column("A - B", _difference, "difference", numeric=True),
            Column("Episodes", lambda each: f"{each.apart.episodes:,}", "episodes", numeric=True, spare=1),
            Column(
                "A better, equal, worse",
                lambda each: f"{each.better:,}, {each.equal:,}, {each.worse:,}",
                spare=2,
            ),
            Column("p", field("p", lambda p: p_text(p).removeprefix("= ")), "p", numeric=True, spare=3),
        ),
        found.effects,
        record,
        notes=tuple(_notes(found)),
    )


def _side(each: Effect, side: Measured) -> str:
    return with_interval(side.mean, side.interval) + each.unit


def _difference(each: Effect) -> str:
    return f"{'+' * (each.apart.mean >= 0)}{with_interval(each.apart.mean, each.apart.interval)}"


def _notes(found: Comparison) -> Iterator[str]:
    yield "A - B: paired, on the same numbered episodes, ± half of the 95 % interval of the difference."
    if max(map(len, found.runs)) > 1:
        yield "Several seeds: episodes by their means over the seeds; what seeds vary by is in the interval."
    if any(each.p is not None for each in found.effects):
        yield "p: two-sided, of the paired test over episodes."


def _options(found: Comparison) -> Table:
    shared = [(name, pair) for name, pair in found.options if ABSENT not in pair]
    alone = only_one_has(found)
    table = Table.of(
        "Options that differ",
        (
            Column("Option", lambda pair: pair[0]),
            Column("A", lambda pair: pair[1][0].strip('"')),
            Column("B", lambda pair: pair[1][1].strip('"')),
        ),
        shared,
        _option,
        notes=(f"And {alone} options that only one side has: the format json lists all.",) if alone else (),
    )
    return replace(table, records=tuple(map(_option, found.options)))


def _option(pair: tuple[str, tuple[str, str]]) -> dict[str, str]:
    return {"option": pair[0], "a": pair[1][0], "b": pair[1][1]}


def _document(found: Comparison) -> dict[str, Any]:
    runs = [run for each in found.effects for side in (each.a, each.b) for run in side.runs]
    return {
        "title": _results(found).title,
        "sentence": sentence(found),
        "a": found.a,
        "b": found.b,
        "results": list(map(record, found.effects)),
        "options": _options(found).records,
        "runs": {str(run.run_id): traced(run) for run in reversed(runs)},
    }
