"""A comparison of two sides, or of a run with its repeat, as a report.

Not here: comparing (comparison.py, repetition.py).
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from sqlalchemy import Engine

from fsrun.axes import with_interval
from fsrun.report.comparison import Comparison, compare, only_one_has, p_text, record, sentence
from fsrun.report.measured import traced
from fsrun.report.repetition import Repeated, Repetition, repetition, same_config
from fsrun.report.report import Report
from fsrun.report.table import Column, Table
from fsrun.stored_options import ABSENT
from store.jobs import JobStatus
from store.results import finished_results
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
    return Report(command, tables, partial(_document, found), says=sentence(found))


def repetition_report(engine: Engine, found: Repetition) -> Report:
    """Return a run beside its repeat."""
    one, other = found.first.id, found.again.id
    table = Table(
        title=f"Run {one} and its repeat, run {other}",
        columns=(
            Column("Result"),
            Column(f"Run {one}", numeric=True),
            Column(f"Run {other}", numeric=True),
            Column("Difference", numeric=True),
            Column("Match"),
        ),
        rows=tuple(map(_repeated, found.results)),
        notes=tuple(_facts(found)),
        records=tuple(
            {"name": each.name, "first": each.first.value, "again": each.again.value}
            | {"difference": each.apart and each.apart.mean, "match": each.match.value}
            | {"difference_interval": each.apart and each.apart.interval, "run_ids": [one, other]}
            for each in found.results
        ),
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

    return Report(f"compare {one} {other}", (table,), document, says=f"{found.sentence}.")


def _repeated(each: Repeated) -> tuple[str, ...]:
    percent = each.name.endswith("/accuracy")
    scale, unit = (100, " %") if percent else (1, "")
    values = [
        with_interval(scale * row.value, None if row.interval is None else scale * row.interval) + unit
        for row in (each.first, each.again)
    ]
    apart = "0" if each.apart is None else with_interval(scale * each.apart.mean, scale * each.apart.interval)
    return each.name, *values, apart, each.match.value


def _facts(found: Repetition) -> Iterator[str]:
    for name, (one, other) in found.changed.items():
        yield f"{name}: {one or 'unknown'}, then {other or 'unknown'}."
    if not found.changed:
        yield "Versions, commit and machine are the same."


def _results(found: Comparison) -> Table:
    runs = [", ".join(map(str, each)) for each in found.runs]
    return Table(
        title=f"A, {found.a}, against B, {found.b}",
        columns=(
            Column("Result"),
            Column(f"A, run{'s' * (len(found.runs[0]) > 1)} {runs[0]}", numeric=True),
            Column(f"B, run{'s' * (len(found.runs[1]) > 1)} {runs[1]}", numeric=True),
            Column("A - B", numeric=True),
            Column("Episodes", numeric=True, spare=1),
            Column("A better, equal, worse", spare=2),
            Column("p", numeric=True, spare=3),
        ),
        rows=tuple(
            (
                each.name,
                with_interval(each.a.mean, each.a.interval) + each.unit,
                with_interval(each.b.mean, each.b.interval) + each.unit,
                f"{'+' * (each.apart.mean >= 0)}{with_interval(each.apart.mean, each.apart.interval)}",
                f"{each.apart.episodes:,}",
                f"{each.better:,}, {each.equal:,}, {each.worse:,}",
                "" if each.p is None else p_text(each.p).removeprefix("= "),
            )
            for each in found.effects
        ),
        notes=tuple(_notes(found)),
        records=tuple(map(record, found.effects)),
    )


def _notes(found: Comparison) -> Iterator[str]:
    yield "A - B: paired, on the same numbered episodes, ± half of the 95 % interval of the difference."
    if max(map(len, found.runs)) > 1:
        yield "Several seeds: episodes by their means over the seeds; what seeds vary by is in the interval."
    if any(each.p is not None for each in found.effects):
        yield "p: two-sided, of the paired test over episodes."


def _options(found: Comparison) -> Table:
    shared = [(name, pair) for name, pair in found.options if ABSENT not in pair]
    alone = only_one_has(found)
    return Table(
        title="Options that differ",
        columns=(Column("Option"), Column("A"), Column("B")),
        rows=tuple((name, *(value.strip('"') for value in pair)) for name, pair in shared),
        notes=(f"And {alone} options that only one side has: the format json lists all.",) if alone else (),
        records=tuple({"option": name, "a": one, "b": other} for name, (one, other) in found.options),
    )


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
